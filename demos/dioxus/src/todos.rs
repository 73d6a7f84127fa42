//! The to-do list.

#[cfg(not(feature = "desktop"))]
use demo_model::app::has_left;
use demo_model::app::{cleared_words, new_id, now_ms, status_words, too_long};
use demo_model::position::Side;
use demo_model::{Todo, TodoAction, TodoChannel, TodoFilter, list_space};
use dioxus::prelude::*;
use syncline::ActionHandle;
use syncline_dioxus::{Row, UseWatch, use_sync};

#[cfg(feature = "desktop")]
use crate::desktop::has_left;
use crate::scroll::scroll_into_view;

#[component]
pub fn TodoPanel(list: String) -> Element {
    let list = use_hook(|| list_space(&list));
    let mut filter = use_signal(|| TodoFilter::All);
    let (all, send) = use_sync(TodoFilter::All.of(&list));
    // while the filter is `All` this is an equal query: the two share one subscription
    let (todos, _) = use_sync(move || filter().of(&list));
    let act = use_callback(move |action| drop(send(action)));
    let step = use_callback(move |(key, side): (syncline::Key, Side)| {
        let step = TodoAction::step(key.as_ref(), side, &todos.records(), &all.records());
        if let Some(action) = step {
            act(action);
        }
    });
    let clear = use_callback(move |()| send(TodoAction::ClearCompleted));
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
            NewTodo { all, act, added }
            if let Some(error) = todos.error() {
                p { class: "notice", role: "alert", "data-testid": "todo-watch-error", {error.message()} }
            }
            div { class: "scroll",
                if todos.is_loading() {
                    p { class: "quiet", "data-testid": "todo-loading", "Loading…" }
                }
                ul { class: "rows", "data-testid": "todo-list", aria_label: "To-dos",
                    for row in todos.rows() {
                        TodoItem { key: "{row.key()}", row, act, step, added }
                    }
                }
            }
            TodoFoot { all, clear }
        }
    }
}

/// The field for one more, below the last of `all`.
#[component]
fn NewTodo(all: UseWatch<Todo>, act: Callback<TodoAction>, added: CopyValue<Option<String>>) -> Element {
    let mut draft = use_signal(String::new);

    let add = move |event: FormEvent| {
        event.prevent_default();
        let text = draft.peek().trim().to_owned();
        if !text.is_empty() && too_long(&text).is_none() {
            let id = new_id();
            added.set(Some(id.clone()));
            act(TodoAction::create(id, text, &all.records(), now_ms()));
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
            p { class: "text-error", role: "alert", "data-testid": "todo-refused", {too_long(&draft.read())} }
        }
    }
}

/// How many of `all` are left, and the button that takes the others away.
#[component]
fn TodoFoot(all: UseWatch<Todo>, clear: Callback<(), ActionHandle<TodoChannel>>) -> Element {
    let done = use_memo(move || all.rows().iter().filter(|row| row.with(|todo| todo.done)).count());
    let left = use_memo(move || all.rows().len() - done());
    // what the server has said of it
    let mut cleared = use_signal(|| None::<String>);
    let clear = move |_| {
        if done() == 0 {
            return;
        }
        let answer = clear(());
        spawn(async move {
            let words = match answer.await {
                Ok(output) => cleared_words(output.changed),
                Err(error) => error.error().message().to_owned(),
            };
            cleared.set(Some(words));
        });
    };

    rsx! {
        div { class: "todo-foot",
            span { "data-testid": "todo-count", "{left} left" }
            span { role: "status", "data-testid": "todo-cleared", {cleared()} }
            button {
                class: "button-link todo-clear",
                "data-testid": "todo-clear",
                aria_disabled: done() == 0,
                onclick: clear,
                "Clear completed"
            }
        }
    }
}

#[component]
fn TodoItem(
    row: Row<Todo>,
    act: Callback<TodoAction>,
    step: Callback<(syncline::Key, Side)>,
    added: CopyValue<Option<String>>,
) -> Element {
    let key = use_signal(|| row.key());
    // what others add moves nobody's list
    let is_new = use_hook(|| added.write().take_if(|id| *id == row.key().as_ref()).is_some());
    let state = row.state();
    // how often this component has run, and how often the record was read to be shown: tests count both
    let mut renders = use_hook(|| CopyValue::new(0_u32));
    *renders.write() += 1;
    let mut runs = use_hook(|| CopyValue::new(0_u32));
    let todo = use_memo(move || {
        *runs.write() += 1;
        row.get()
    });
    let id = move || key().to_string();
    let toggle = move |event: FormEvent| {
        act(TodoAction::Toggle { id: id(), done: event.checked() });
    };
    // the text while it is edited
    let edited = use_signal(|| None::<String>);
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
                    scroll_into_view(event);
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
                TodoEdit { todo, act, edited }
            } else {
                TodoText { todo, edited }
            }
            MoveButton { side: Side::Before, todo, row_key: key, step }
            MoveButton { side: Side::After, todo, row_key: key, step }
            button {
                class: "todo-delete",
                "data-testid": "todo-delete",
                aria_label: "Delete: {text}",
                onclick: move |_| act(TodoAction::Delete { id: id() }),
                "×"
            }
        }
    }
}

/// Moves a row past its neighbour.
#[component]
fn MoveButton(
    side: Side,
    todo: Memo<Todo>,
    row_key: Signal<syncline::Key>,
    step: Callback<(syncline::Key, Side)>,
) -> Element {
    let (test_id, verb, arrow) = match side {
        Side::Before => ("todo-up", "Move up", "↑"),
        Side::After => ("todo-down", "Move down", "↓"),
    };
    let text = todo().text;

    rsx! {
        button {
            class: "todo-move",
            "data-testid": test_id,
            aria_label: "{verb}: {text}",
            onclick: move |_| step((row_key(), side)),
            {arrow}
        }
    }
}

/// The text, a button that begins an edit.
#[component]
fn TodoText(todo: Memo<Todo>, edited: Signal<Option<String>>) -> Element {
    rsx! {
        button {
            class: "todo-text",
            title: "Click to edit",
            "data-testid": "todo-text",
            onclick: move |_| edited.set(Some(todo.peek().text.clone())),
            {todo().text}
        }
    }
}

/// The field that stands in for the text while somebody edits it.
#[component]
fn TodoEdit(todo: Memo<Todo>, act: Callback<TodoAction>, edited: Signal<Option<String>>) -> Element {
    let id = format!("edit-{}", todo.peek().id);
    let mut save = move || {
        // leaving the field saves too, and it is left again when it goes away, perhaps with its row
        let Some(text) = edited.peek().clone() else { return };
        if too_long(&text).is_none() {
            let (text, before) = (text.trim().to_owned(), todo());
            edited.set(None);
            if !text.is_empty() && text != before.text {
                act(TodoAction::Edit { id: before.id, text });
            }
        }
    };
    let on_key = move |event: KeyboardEvent| match event.key() {
        Key::Enter if !event.is_composing() => {
            // or the key would press the text that comes
            event.prevent_default();
            save();
        }
        Key::Escape => edited.set(None),
        _ => {}
    };
    let leave = move |left| {
        spawn(async move {
            if has_left(left).await {
                save();
            }
        });
    };

    rsx! {
        input {
            class: "field todo-edit",
            id: "{id}",
            "data-testid": "todo-edit",
            aria_label: "Edit to-do",
            onmounted: move |event| async move { drop(event.set_focus(true).await) },
            value: edited().unwrap_or_default(),
            oninput: move |event| edited.set(Some(event.value())),
            onkeydown: on_key,
            onblur: move |_| leave(id.clone()),
        }
        p { class: "text-error", role: "alert", "data-testid": "todo-edit-refused",
            {edited().and_then(|text| too_long(&text))}
        }
    }
}
