//! The to-do list.

use demo_model::browser::{new_id, now_ms, status_words};
use demo_model::{Todo, TodoFilter, list_space};
use dioxus::prelude::*;
use syncline_dioxus::{Row, UseWatch, use_watch};

#[component]
pub fn TodoPanel(list: String) -> Element {
    let list = use_hook(|| list_space(&list));
    let mut filter = use_signal(|| TodoFilter::All);
    let all = use_watch(TodoFilter::All.query(&list));
    // while the filter is `All` this is an equal query: the two share one subscription
    let todos = use_watch(move || Some(filter().query(&list)));
    let left = use_memo(move || all.rows().iter().filter(|row| row.with(|todo| !todo.done)).count());

    rsx! {
        section { class: "panel", "data-testid": "todo-panel", aria_labelledby: "todo-title",
            div { class: "panel-head",
                h2 { class: "panel-title", id: "todo-title", "To-do" }
                span { class: "panel-status", "data-testid": "todo-status", "data-status": todos.status().as_str(),
                    {status_words(todos.status())}
                }
                div { class: "tabs", role: "group", aria_label: "Show",
                    for choice in TodoFilter::CHOICES {
                        button {
                            class: "tab",
                            "data-testid": choice.test_id(),
                            aria_pressed: filter() == choice,
                            onclick: move |_| filter.set(choice),
                            {choice.label()}
                        }
                    }
                }
            }
            NewTodo { todos, all }
            if let Some(error) = todos.error() {
                p { class: "notice", role: "alert", "data-testid": "todo-watch-error", {error.message()} }
            }
            div { class: "scroll",
                if todos.is_loading() {
                    p { class: "quiet", "data-testid": "todo-loading", "Loading…" }
                }
                ul { class: "rows", "data-testid": "todo-list", aria_label: "To-dos",
                    for row in todos.rows() {
                        TodoItem { key: "{row.key()}", todos, row }
                    }
                }
            }
            p { class: "todo-foot", "data-testid": "todo-count", "{left} left" }
        }
    }
}

/// The field for one more, below the last of `all`.
#[component]
fn NewTodo(todos: UseWatch<Todo>, all: UseWatch<Todo>) -> Element {
    let mut draft = use_signal(String::new);

    let add = move |event: FormEvent| {
        event.prevent_default();
        let text = draft.peek().trim().to_owned();
        if !text.is_empty() {
            let last = all.rows().last().map_or(0.0, |row| row.with(|todo| todo.position));
            todos.put(Todo::new(new_id(), text, last, now_ms()));
            draft.set(String::new());
        }
    };

    rsx! {
        form { class: "compose", onsubmit: add,
            input {
                class: "field",
                "data-testid": "todo-input",
                aria_label: "New to-do",
                placeholder: "What needs doing?",
                autocomplete: "off",
                value: draft,
                oninput: move |event| draft.set(event.value()),
            }
            button { class: "button button-primary", "data-testid": "todo-add", "Add" }
        }
    }
}

#[component]
fn TodoItem(todos: UseWatch<Todo>, row: Row<Todo>) -> Element {
    let key = use_signal(|| row.key());
    let state = row.state();
    let error = row.error();
    // how often the record was read to be shown: tests count it
    let mut runs = use_hook(|| CopyValue::new(0_u32));
    let todo = use_memo(move || {
        *runs.write() += 1;
        row.get()
    });
    let toggle = move |event: FormEvent| {
        todos.update(key(), |todo| todo.done = event.checked());
    };
    // the text while it is edited
    let mut edited = use_signal(|| None::<String>);
    let mut edit = move || edited.set(Some(todo.peek().text.clone()));
    let Todo { text, done, .. } = todo();

    rsx! {
        li {
            class: "todo",
            "data-testid": "todo-item",
            "data-key": "{key}",
            "data-state": state.as_str(),
            "data-done": "{done}",
            "data-runs": "{runs}",
            input {
                r#type: "checkbox",
                class: "todo-toggle",
                "data-testid": "todo-toggle",
                aria_label: "Done: {text}",
                checked: done,
                onchange: toggle,
            }
            if edited.read().is_some() {
                TodoEdit { todos, row_key: key, edited }
            } else {
                span {
                    class: "todo-text",
                    role: "button",
                    tabindex: 0,
                    title: "Double-click or press Enter to edit",
                    "data-testid": "todo-text",
                    ondoubleclick: move |_| edit(),
                    onkeydown: move |event| {
                        if event.key() == Key::Enter {
                            edit();
                        }
                    },
                    "{text}"
                }
            }
            button {
                class: "todo-delete",
                "data-testid": "todo-delete",
                aria_label: "Delete: {text}",
                onclick: move |_| { todos.delete(key()); },
                "×"
            }
            if let Some(error) = error {
                div { class: "refused", role: "alert",
                    span { "data-testid": "todo-error", {error.message()} }
                    button {
                        class: "button-link",
                        "data-testid": "todo-retry",
                        onclick: move |_| { todos.retry(key()); },
                        "Retry"
                    }
                    button {
                        class: "button-link",
                        "data-testid": "todo-dismiss",
                        onclick: move |_| { todos.dismiss(key()); },
                        "Dismiss"
                    }
                }
            }
        }
    }
}

/// The field that stands in for the text while somebody edits it.
#[component]
fn TodoEdit(
    todos: UseWatch<Todo>,
    row_key: Signal<syncline::Key>,
    edited: Signal<Option<String>>,
) -> Element {
    let mut save = move || {
        // leaving the field saves too, and it is left again when it goes away
        if let Some(text) = edited.write().take() {
            let text = text.trim().to_owned();
            if !text.is_empty() {
                todos.update(row_key(), |todo| todo.text = text);
            }
        }
    };
    let on_key = move |event: KeyboardEvent| match event.key() {
        Key::Enter if !event.is_composing() => save(),
        Key::Escape => edited.set(None),
        _ => {}
    };

    rsx! {
        input {
            class: "field todo-edit",
            "data-testid": "todo-edit",
            aria_label: "Edit to-do",
            onmounted: move |event| async move { drop(event.set_focus(true).await) },
            value: edited().unwrap_or_default(),
            oninput: move |event| edited.set(Some(event.value())),
            onkeydown: on_key,
            onblur: move |_| save(),
        }
    }
}
