//! A partysync server.

use demo_model::TodoAction;
use demo_model::app::{PartyTodo, PartysyncServer, status_words};
use dioxus::prelude::*;
use syncline::Transport;
use syncline_dioxus::{Row, use_connection, use_sync, use_syncline_provider};

use super::OwnField;

#[component]
pub fn OwnPartysync(list: String) -> Element {
    // with a number of its own: another server is another client, and keeps nothing of the one before
    let mut server = use_signal(|| None::<(u32, PartysyncServer)>);
    // those of this demo's own server, which speaks partysync's protocol too: the room is the list that the page shows
    let address = use_signal(String::new);
    let party = use_signal(|| "todos".to_owned());
    let room = use_signal(|| list);

    let connect = move |event: FormEvent| {
        event.prevent_default();
        let text = |field: Signal<String>| field.peek().trim().to_owned();
        let number = server.peek().as_ref().map_or(0, |(number, _)| number + 1);
        let said = PartysyncServer { address: text(address), party: text(party), room: text(room) };
        server.set(Some((number, said)));
    };

    rsx! {
        details { class: "own", "data-testid": "own-party",
            summary { "Bring your own partysync server" }
            form { class: "own-form", onsubmit: connect,
                OwnField { name: "own-party-address", label: "Address", hint: "wss://party.example", value: address }
                OwnField { name: "own-party-name", label: "Party", hint: "todos", value: party }
                OwnField { name: "own-party-room", label: "Room", hint: "main", value: room }
                button { class: "button button-primary", "data-testid": "own-party-connect", "Connect" }
            }
            for (number, server) in server() {
                OwnTodos { key: "{number}", server }
            }
        }
    }
}

#[component]
fn OwnTodos(server: PartysyncServer) -> Element {
    // for the hooks below this point only
    use_syncline_provider(|| server.connect());
    let (todos, send) = use_sync(server.todos());
    let connection = use_connection();
    let mut draft = use_signal(String::new);
    // why the server cannot be reached, or what it has refused last
    let unwell = move || connection.last_error().or_else(|| connection.refusals().pop());
    let error = move || todos.error().or_else(unwell);
    let act = use_callback(move |action| {
        // what was refused before has been seen
        connection.dismiss_refusals();
        drop(send(action));
    });

    let add = move |event: FormEvent| {
        event.prevent_default();
        let text = draft.peek().trim().to_owned();
        if !text.is_empty() {
            act(PartyTodo::create(text, &todos.records()));
            draft.set(String::new());
        }
    };

    rsx! {
        p { class: "own-status",
            span {
                "data-testid": "own-party-status",
                "data-status": todos.status().as_str(),
                "data-transport": connection.transport().map_or("none", Transport::as_str),
                {status_words(todos.status())}
            }
            if let Some(error) = error() {
                span { class: "own-error", role: "alert", "data-testid": "own-party-error", {error.message()} }
            }
        }
        form { class: "own-form", onsubmit: add,
            input {
                class: "field",
                "data-testid": "own-party-input",
                aria_label: "New to-do at your own server",
                placeholder: "What needs doing?",
                autocomplete: "off",
                value: draft,
                oninput: move |event| draft.set(event.value()),
            }
            button { class: "button", "data-testid": "own-party-add", "Add" }
        }
        ul { class: "rows own-rows", "data-testid": "own-party-list",
            for row in todos.rows() {
                OwnTodo { key: "{row.key()}", row, act }
            }
        }
    }
}

#[component]
fn OwnTodo(row: Row<PartyTodo>, act: Callback<TodoAction>) -> Element {
    let key = use_signal(|| row.key());
    let state = row.state();
    let PartyTodo { text, done, .. } = row.get();
    let id = move || key().to_string();
    let toggle = move |event: FormEvent| {
        act(TodoAction::Toggle { id: id(), done: event.checked() });
    };

    rsx! {
        li {
            class: "todo",
            "data-testid": "own-party-todo",
            "data-key": "{key}",
            "data-state": state.as_str(),
            "data-done": "{done}",
            input {
                r#type: "checkbox",
                class: "todo-toggle",
                "data-testid": "own-party-toggle",
                aria_label: "Done: {text}",
                checked: done,
                onchange: toggle,
            }
            span { class: "todo-text", "data-testid": "own-party-text", "{text}" }
            button {
                class: "todo-delete",
                "data-testid": "own-party-delete",
                aria_label: "Delete: {text}",
                onclick: move |_| act(TodoAction::Delete { id: id() }),
                "×"
            }
        }
    }
}
