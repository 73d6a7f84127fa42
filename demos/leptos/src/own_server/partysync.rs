//! A partysync server.

use demo_model::TodoAction;
use demo_model::app::{PartyTodo, PartysyncServer, status_words};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use syncline::Transport;
use syncline_leptos::{Row, provide_syncline, use_connection, use_sync};

use super::OwnField;

#[component]
pub fn OwnPartysync(list: String) -> impl IntoView {
    let server = RwSignal::new(None::<PartysyncServer>);
    // those of this demo's own server, which speaks partysync's protocol too: the room is the list that the page shows
    let address = RwSignal::new(String::new());
    let party = RwSignal::new("todos".to_owned());
    let room = RwSignal::new(list);

    let connect = move |event: SubmitEvent| {
        event.prevent_default();
        let text = |field: RwSignal<String>| field.get_untracked().trim().to_owned();
        server.set(Some(PartysyncServer { address: text(address), party: text(party), room: text(room) }));
    };

    view! {
        <details class="own" data-testid="own-party">
            <summary>"Bring your own partysync server"</summary>
            <form class="own-form" on:submit=connect>
                <OwnField name="own-party-address" label="Address" hint="wss://party.example" value=address />
                <OwnField name="own-party-name" label="Party" hint="todos" value=party />
                <OwnField name="own-party-room" label="Room" hint="main" value=room />
                <button class="button button-primary" data-testid="own-party-connect">"Connect"</button>
            </form>
            {move || server.get().map(|server| view! { <OwnTodos server /> })}
        </details>
    }
}

#[component]
fn OwnTodos(server: PartysyncServer) -> impl IntoView {
    // for the hooks below this point only
    provide_syncline(server.connect());
    let (todos, send) = use_sync(server.todos());
    let connection = use_connection();
    let draft = RwSignal::new(String::new());
    // why the server cannot be reached, or what it has refused last
    let unwell = move || connection.last_error().or_else(|| connection.refusals().pop());
    let error = move || todos.error().or_else(unwell);
    let act = Callback::new(move |action| {
        // what was refused before has been seen
        connection.dismiss_refusals();
        drop(send(action));
    });

    let add = move |event: SubmitEvent| {
        event.prevent_default();
        let text = draft.get_untracked().trim().to_owned();
        if !text.is_empty() {
            act.run(untrack(|| PartyTodo::create(text, &todos.records())));
            draft.set(String::new());
        }
    };

    view! {
        <p class="own-status">
            <span
                data-testid="own-party-status"
                data-status=move || todos.status().as_str()
                data-transport=move || connection.transport().map_or("none", Transport::as_str)
            >
                {move || status_words(todos.status())}
            </span>
            {move || error().map(|error| view! {
                <span class="own-error" role="alert" data-testid="own-party-error">{error.message().to_owned()}</span>
            })}
        </p>
        <form class="own-form" on:submit=add>
            <input
                class="field"
                data-testid="own-party-input"
                aria-label="New to-do at your own server"
                placeholder="What needs doing?"
                autocomplete="off"
                bind:value=draft
            />
            <button class="button" data-testid="own-party-add">"Add"</button>
        </form>
        <ul class="rows own-rows" data-testid="own-party-list">
            <For each=move || todos.rows() key=|row| row.key() let:row>
                <OwnTodo row act />
            </For>
        </ul>
    }
}

#[component]
fn OwnTodo(row: Row<PartyTodo>, act: Callback<TodoAction>) -> impl IntoView {
    let key = StoredValue::new(row.key());
    let state = Signal::derive({
        let row = row.clone();
        move || row.state()
    });
    let todo = Signal::derive(move || row.get());
    let id = move || key.get_value().to_string();
    let toggle = move |event| {
        act.run(TodoAction::Toggle { id: id(), done: event_target_checked(&event) });
    };

    view! {
        <li
            class="todo"
            data-testid="own-party-todo"
            data-key=id()
            data-state=move || state.get().as_str()
            data-done=move || todo.with(|todo| todo.done.to_string())
        >
            <input
                type="checkbox"
                class="todo-toggle"
                data-testid="own-party-toggle"
                aria-label=move || todo.with(|todo| format!("Done: {}", todo.text))
                prop:checked=move || todo.with(|todo| todo.done)
                on:change=toggle
            />
            <span class="todo-text" data-testid="own-party-text">{move || todo.get().text}</span>
            <button
                class="todo-delete"
                data-testid="own-party-delete"
                aria-label=move || todo.with(|todo| format!("Delete: {}", todo.text))
                on:click=move |_| act.run(TodoAction::Delete { id: id() })
            >
                "×"
            </button>
        </li>
    }
}
