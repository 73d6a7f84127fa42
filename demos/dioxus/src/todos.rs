//! The to-do list.

use demo_model::browser::{new_id, now_ms, status_words};
use demo_model::{Todo, TodoFilter, list_space};
use dioxus::prelude::*;
use syncline_dioxus::{Row, UseWatch, use_watch};

/// No further than it takes, and at once.
const INTO_VIEW: ScrollToOptions = ScrollToOptions {
    behavior: ScrollBehavior::Instant,
    vertical: ScrollLogicalPosition::Nearest,
    horizontal: ScrollLogicalPosition::Nearest,
};

#[component]
pub fn TodoPanel(list: String) -> Element {
    let list = use_hook(|| list_space(&list));
    let mut filter = use_signal(|| TodoFilter::All);
    let all = use_watch(TodoFilter::All.query(&list));
    // while the filter is `All` this is an equal query: the two share one subscription
    let todos = use_watch(move || Some(filter().query(&list)));
    let left = use_memo(move || all.rows().iter().filter(|row| row.with(|todo| !todo.done)).count());
    // what was added on this page and is yet to be seen
    let added = use_hook(|| CopyValue::new(None::<String>));

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
            NewTodo { todos, all, added }
            if let Some(error) = todos.error() {
                p { class: "notice", role: "alert", "data-testid": "todo-watch-error", {error.message()} }
            }
            div { class: "scroll",
                if todos.is_loading() {
                    p { class: "quiet", "data-testid": "todo-loading", "Loading…" }
                }
                ul { class: "rows", "data-testid": "todo-list", aria_label: "To-dos",
                    for row in todos.rows() {
                        TodoItem { key: "{row.key()}", todos, row, added }
                    }
                }
            }
            p { class: "todo-foot", "data-testid": "todo-count", "{left} left" }
        }
    }
}

/// The field for one more, below the last of `all`.
#[component]
fn NewTodo(todos: UseWatch<Todo>, all: UseWatch<Todo>, added: CopyValue<Option<String>>) -> Element {
    let mut draft = use_signal(String::new);

    let add = move |event: FormEvent| {
        event.prevent_default();
        let text = draft.peek().trim().to_owned();
        if !text.is_empty() {
            let last = all.rows().last().map_or(0.0, |row| row.with(|todo| todo.position));
            let id = new_id();
            added.set(Some(id.clone()));
            todos.put(Todo::new(id, text, last, now_ms()));
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
fn TodoItem(todos: UseWatch<Todo>, row: Row<Todo>, added: CopyValue<Option<String>>) -> Element {
    let key = use_signal(|| row.key());
    // what others add moves nobody's list
    let is_new = use_hook(|| added.write().take_if(|id| *id == row.key().as_ref()).is_some());
    let state = row.state();
    let error = row.error();
    // how often this component has run, and how often the record was read to be shown: tests count both
    let mut renders = use_hook(|| CopyValue::new(0_u32));
    *renders.write() += 1;
    let mut runs = use_hook(|| CopyValue::new(0_u32));
    let todo = use_memo(move || {
        *runs.write() += 1;
        row.get()
    });
    let toggle = move |event: FormEvent| {
        todos.update(key(), |todo| todo.done = event.checked());
    };
    // the text while it is edited
    let edited = use_signal(|| None::<String>);
    // whether the text that comes back is to have the focus
    let refocus = use_hook(|| CopyValue::new(false));
    let Todo { text, done, .. } = todo();

    rsx! {
        li {
            class: "todo",
            "data-testid": "todo-item",
            "data-key": "{key}",
            "data-state": state.as_str(),
            "data-done": "{done}",
            "data-renders": "{renders}",
            "data-runs": "{runs}",
            onmounted: move |event| {
                if is_new {
                    spawn(async move { drop(event.scroll_to_with_options(INTO_VIEW).await) });
                }
            },
            input {
                r#type: "checkbox",
                class: "todo-toggle",
                "data-testid": "todo-toggle",
                aria_label: "Done: {text}",
                checked: done,
                onchange: toggle,
            }
            if edited.read().is_some() {
                TodoEdit { todos, row_key: key, edited, refocus }
            } else {
                TodoText { todo, edited, refocus }
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

/// The text, a button that begins an edit.
#[component]
fn TodoText(todo: Memo<Todo>, edited: Signal<Option<String>>, refocus: CopyValue<bool>) -> Element {
    let mut edit = move || edited.set(Some(todo.peek().text.clone()));
    let on_key = move |event: KeyboardEvent| {
        if event.key() == Key::Enter || event.key() == Key::Character(" ".into()) {
            // or the key would be typed into the field that comes
            event.prevent_default();
            edit();
        }
    };

    rsx! {
        span {
            class: "todo-text",
            role: "button",
            tabindex: 0,
            title: "Double-click or press Enter to edit",
            "data-testid": "todo-text",
            onmounted: move |event| {
                if refocus.replace(false) {
                    spawn(async move { drop(event.set_focus(true).await) });
                }
            },
            ondoubleclick: move |_| edit(),
            onkeydown: on_key,
            {todo().text}
        }
    }
}

/// The field that stands in for the text while somebody edits it.
#[component]
fn TodoEdit(
    todos: UseWatch<Todo>,
    row_key: Signal<syncline::Key>,
    edited: Signal<Option<String>>,
    refocus: CopyValue<bool>,
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
    // who ends the edit by a key stays in the row; who leaves the field has gone where they want to be
    let on_key = move |event: KeyboardEvent| match event.key() {
        Key::Enter if !event.is_composing() => {
            refocus.set(true);
            save();
        }
        Key::Escape => {
            refocus.set(true);
            edited.set(None);
        }
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
