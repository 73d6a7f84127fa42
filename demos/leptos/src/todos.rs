//! The to-do list.

use demo_model::browser::{new_id, now_ms, scroll_into_view, status_words};
use demo_model::{Todo, TodoFilter, list_space};
use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::html::{Input, Li, Span};
use leptos::prelude::*;
use syncline::Key;
use syncline_leptos::{Row, UseWatch, use_watch};

#[component]
pub fn TodoPanel(list: String) -> impl IntoView {
    let list = list_space(&list);
    let filter = RwSignal::new(TodoFilter::All);
    let all = use_watch(TodoFilter::All.query(&list));
    // while the filter is `All` this is an equal query: the two share one subscription
    let todos = use_watch(move || Some(filter.get().query(&list)));
    let left = Memo::new(move |_| all.rows().iter().filter(|row| row.with(|todo| !todo.done)).count());
    // what was added on this page and is yet to be seen
    let added = StoredValue::new(None::<String>);

    view! {
        <section class="panel" data-testid="todo-panel" aria-labelledby="todo-title">
            <div class="panel-head">
                <h2 class="panel-title" id="todo-title">"To-do"</h2>
                <span class="panel-status" data-testid="todo-status" data-status=move || todos.status().as_str()>
                    {move || status_words(todos.status())}
                </span>
                <div class="tabs" role="group" aria-label="Show">
                    {TodoFilter::CHOICES.map(|choice| view! {
                        <button
                            class="tab"
                            data-testid=choice.test_id()
                            aria-pressed=move || (filter.get() == choice).to_string()
                            on:click=move |_| filter.set(choice)
                        >
                            {choice.label()}
                        </button>
                    })}
                </div>
            </div>
            <NewTodo todos all added />
            {move || todos.error().map(|error| view! {
                <p class="notice" role="alert" data-testid="todo-watch-error">{error.message().to_owned()}</p>
            })}
            <div class="scroll">
                <Show when=move || todos.is_loading()>
                    <p class="quiet" data-testid="todo-loading">"Loading…"</p>
                </Show>
                <ul class="rows" data-testid="todo-list" aria-label="To-dos">
                    <For each=move || todos.rows() key=|row| row.key() let:row>
                        <TodoItem todos row added />
                    </For>
                </ul>
            </div>
            <p class="todo-foot" data-testid="todo-count">{move || format!("{} left", left.get())}</p>
        </section>
    }
}

/// The field for one more, below the last of `all`.
#[component]
fn NewTodo(todos: UseWatch<Todo>, all: UseWatch<Todo>, added: StoredValue<Option<String>>) -> impl IntoView {
    let draft = RwSignal::new(String::new());

    let add = move |event: SubmitEvent| {
        event.prevent_default();
        let text = draft.get_untracked().trim().to_owned();
        if !text.is_empty() {
            let last = untrack(|| all.rows().last().map_or(0.0, |row| row.with(|todo| todo.position)));
            let id = new_id();
            added.set_value(Some(id.clone()));
            todos.put(Todo::new(id, text, last, now_ms()));
            draft.set(String::new());
        }
    };

    view! {
        <form class="compose" on:submit=add>
            <input
                class="field"
                data-testid="todo-input"
                aria-label="New to-do"
                placeholder="What needs doing?"
                autocomplete="off"
                bind:value=draft
            />
            <button class="button button-primary" data-testid="todo-add">"Add"</button>
        </form>
    }
}

#[component]
fn TodoItem(todos: UseWatch<Todo>, row: Row<Todo>, added: StoredValue<Option<String>>) -> impl IntoView {
    let key = StoredValue::new(row.key());
    let item = NodeRef::<Li>::new();
    // what others add moves nobody's list
    if added.write_value().take_if(|id| *id == row.key().as_ref()).is_some() {
        item.on_load(|item| scroll_into_view(&item));
    }
    let state = Signal::derive({
        let row = row.clone();
        move || row.state()
    });
    let error = Signal::derive({
        let row = row.clone();
        move || row.error()
    });
    let todo = Signal::derive(move || row.get());
    let toggle = move |event| {
        todos.update(key.get_value(), |todo| todo.done = event_target_checked(&event));
    };
    // the text while it is edited
    let edited = RwSignal::new(None::<String>);
    // whether the text that comes back is to have the focus
    let refocus = StoredValue::new(false);
    // how often the record was read to be shown: tests count it
    let runs = StoredValue::new(0_u32);

    view! {
        <li
            class="todo"
            node_ref=item
            data-testid="todo-item"
            data-key=key.get_value().to_string()
            data-state=move || state.get().as_str()
            data-done=move || todo.with(|todo| todo.done.to_string())
            data-runs=move || todo.with(|_| {
                *runs.write_value() += 1;
                runs.get_value().to_string()
            })
        >
            <input
                type="checkbox"
                class="todo-toggle"
                data-testid="todo-toggle"
                aria-label=move || todo.with(|todo| format!("Done: {}", todo.text))
                prop:checked=move || todo.with(|todo| todo.done)
                on:change=toggle
            />
            <Show
                when=move || edited.with(Option::is_some)
                fallback=move || view! { <TodoText todo edited refocus /> }
            >
                <TodoEdit todos key edited refocus />
            </Show>
            <button
                class="todo-delete"
                data-testid="todo-delete"
                aria-label=move || todo.with(|todo| format!("Delete: {}", todo.text))
                on:click=move |_| { todos.delete(key.get_value()); }
            >
                "×"
            </button>
            {move || error.get().map(|error| view! {
                <div class="refused" role="alert">
                    <span data-testid="todo-error">{error.message().to_owned()}</span>
                    <button
                        class="button-link"
                        data-testid="todo-retry"
                        on:click=move |_| { todos.retry(key.get_value()); }
                    >
                        "Retry"
                    </button>
                    <button
                        class="button-link"
                        data-testid="todo-dismiss"
                        on:click=move |_| { todos.dismiss(key.get_value()); }
                    >
                        "Dismiss"
                    </button>
                </div>
            })}
        </li>
    }
}

/// The text, a button that begins an edit.
#[component]
fn TodoText(
    todo: Signal<Todo>,
    edited: RwSignal<Option<String>>,
    refocus: StoredValue<bool>,
) -> impl IntoView {
    let text = NodeRef::<Span>::new();
    text.on_load(move |text| {
        if std::mem::take(&mut *refocus.write_value()) {
            drop(text.focus());
        }
    });
    let edit = move || edited.set(Some(todo.get_untracked().text));
    let on_key = move |event: KeyboardEvent| {
        if matches!(event.key().as_str(), "Enter" | " ") {
            // or the key would be typed into the field that comes
            event.prevent_default();
            edit();
        }
    };

    view! {
        <span
            class="todo-text"
            role="button"
            tabindex="0"
            title="Double-click or press Enter to edit"
            data-testid="todo-text"
            node_ref=text
            on:dblclick=move |_| edit()
            on:keydown=on_key
        >
            {move || todo.get().text}
        </span>
    }
}

/// The field that stands in for the text while somebody edits it.
#[component]
fn TodoEdit(
    todos: UseWatch<Todo>,
    key: StoredValue<Key>,
    edited: RwSignal<Option<String>>,
    refocus: StoredValue<bool>,
) -> impl IntoView {
    let field = NodeRef::<Input>::new();
    field.on_load(|field| drop(field.focus()));
    let save = move || {
        // leaving the field saves too, and it is left again when it goes away
        if let Some(text) = edited.write().take() {
            let text = text.trim().to_owned();
            if !text.is_empty() {
                todos.update(key.get_value(), |todo| todo.text = text);
            }
        }
    };
    // who ends the edit by a key stays in the row; who leaves the field has gone where they want to be
    let on_key = move |event: KeyboardEvent| match event.key().as_str() {
        "Enter" if !event.is_composing() => {
            refocus.set_value(true);
            save();
        }
        "Escape" => {
            refocus.set_value(true);
            edited.set(None);
        }
        _ => {}
    };

    view! {
        <input
            class="field todo-edit"
            data-testid="todo-edit"
            aria-label="Edit to-do"
            node_ref=field
            prop:value=move || edited.get().unwrap_or_default()
            on:input=move |event| edited.set(Some(event_target_value(&event)))
            on:keydown=on_key
            on:blur=move |_| save()
        />
    }
}
