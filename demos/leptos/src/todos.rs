//! The to-do list.

use demo_model::app::{cleared_words, has_left, new_id, now_ms, scroll_into_view, status_words, too_long};
use demo_model::position::Side;
use demo_model::{Todo, TodoAction, TodoChannel, TodoFilter, list_space};
use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::html::{Input, Li};
use leptos::prelude::*;
use leptos::task::spawn_local;
use syncline::{ActionHandle, Key};
use syncline_leptos::{Row, UseWatch, use_sync};

#[component]
pub fn TodoPanel(list: String) -> impl IntoView {
    let list = list_space(&list);
    let filter = RwSignal::new(TodoFilter::All);
    let (all, send) = use_sync(TodoFilter::All.of(&list));
    // while the filter is `All` this is an equal query: the two share one subscription
    let (todos, _) = use_sync(move || filter.get().of(&list));
    let act = Callback::new(move |action| drop(send(action)));
    let step = Callback::new(move |(key, side): (Key, Side)| {
        let step = untrack(|| TodoAction::step(key.as_ref(), side, &todos.records(), &all.records()));
        if let Some(action) = step {
            act.run(action);
        }
    });
    let clear = move || send(TodoAction::ClearCompleted);
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
            <NewTodo all act added />
            {move || todos.error().map(|error| view! {
                <p class="notice" role="alert" data-testid="todo-watch-error">{error.message().to_owned()}</p>
            })}
            <div class="scroll">
                <Show when=move || todos.is_loading()>
                    <p class="quiet" data-testid="todo-loading">"Loading…"</p>
                </Show>
                <ul class="rows" data-testid="todo-list" aria-label="To-dos">
                    <For each=move || todos.rows() key=|row| row.key() let:row>
                        <TodoItem row act step added />
                    </For>
                </ul>
            </div>
            <TodoFoot all clear />
        </section>
    }
}

/// The field for one more, below the last of `all`.
#[component]
fn NewTodo(
    all: UseWatch<Todo>,
    act: Callback<TodoAction>,
    added: StoredValue<Option<String>>,
) -> impl IntoView {
    let draft = RwSignal::new(String::new());

    let add = move |event: SubmitEvent| {
        event.prevent_default();
        let text = draft.get_untracked().trim().to_owned();
        if !text.is_empty() && too_long(&text).is_none() {
            let id = new_id();
            added.set_value(Some(id.clone()));
            act.run(untrack(|| TodoAction::create(id, text, &all.records(), now_ms())));
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
            <p class="text-error" role="alert" data-testid="todo-refused">{move || too_long(&draft.read())}</p>
        </form>
    }
}

/// How many of `all` are left, and the button that takes the others away.
#[component]
fn TodoFoot(
    all: UseWatch<Todo>,
    clear: impl Fn() -> ActionHandle<TodoChannel> + Copy + Send + 'static,
) -> impl IntoView {
    let done = Memo::new(move |_| all.rows().iter().filter(|row| row.with(|todo| todo.done)).count());
    let left = Memo::new(move |_| all.rows().len() - done.get());
    // what the server has said of it
    let cleared = RwSignal::new(None::<String>);
    let clear = move |_| {
        if done.get_untracked() == 0 {
            return;
        }
        let answer = clear();
        spawn_local(async move {
            let words = match answer.await {
                Ok(output) => cleared_words(output.changed),
                Err(error) => error.error().message().to_owned(),
            };
            // the panel may be gone
            drop(cleared.try_set(Some(words)));
        });
    };

    view! {
        <div class="todo-foot">
            <span data-testid="todo-count">{move || format!("{} left", left.get())}</span>
            <span role="status" data-testid="todo-cleared">{cleared}</span>
            <button
                class="button-link todo-clear"
                data-testid="todo-clear"
                aria-disabled=move || (done.get() == 0).to_string()
                on:click=clear
            >
                "Clear completed"
            </button>
        </div>
    }
}

#[component]
fn TodoItem(
    row: Row<Todo>,
    act: Callback<TodoAction>,
    step: Callback<(Key, Side)>,
    added: StoredValue<Option<String>>,
) -> impl IntoView {
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
    let todo = Signal::derive(move || row.get());
    let id = move || key.get_value().to_string();
    let toggle = move |event| {
        act.run(TodoAction::Toggle { id: id(), done: event_target_checked(&event) });
    };
    // the text while it is edited
    let edited = RwSignal::new(None::<String>);
    // how often the record was read to be shown: tests count it
    let runs = StoredValue::new(0_u32);

    view! {
        <li
            class="todo"
            node_ref=item
            data-testid="todo-item"
            data-key=id()
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
                fallback=move || view! { <TodoText todo edited /> }
            >
                <TodoEdit todo act edited />
            </Show>
            <MoveButton side=Side::Before todo key step />
            <MoveButton side=Side::After todo key step />
            <button
                class="todo-delete"
                data-testid="todo-delete"
                aria-label=move || todo.with(|todo| format!("Delete: {}", todo.text))
                on:click=move |_| act.run(TodoAction::Delete { id: id() })
            >
                "×"
            </button>
        </li>
    }
}

/// Moves a row past its neighbour.
#[component]
fn MoveButton(
    side: Side,
    todo: Signal<Todo>,
    key: StoredValue<Key>,
    step: Callback<(Key, Side)>,
) -> impl IntoView {
    let (test_id, verb, arrow) = match side {
        Side::Before => ("todo-up", "Move up", "↑"),
        Side::After => ("todo-down", "Move down", "↓"),
    };

    view! {
        <button
            class="todo-move"
            data-testid=test_id
            aria-label=move || todo.with(|todo| format!("{verb}: {}", todo.text))
            on:click=move |_| step.run((key.get_value(), side))
        >
            {arrow}
        </button>
    }
}

/// The text, a button that begins an edit.
#[component]
fn TodoText(todo: Signal<Todo>, edited: RwSignal<Option<String>>) -> impl IntoView {
    view! {
        <button
            class="todo-text"
            title="Click to edit"
            data-testid="todo-text"
            on:click=move |_| edited.set(Some(todo.get_untracked().text))
        >
            {move || todo.get().text}
        </button>
    }
}

/// The field that stands in for the text while somebody edits it.
#[component]
fn TodoEdit(
    todo: Signal<Todo>,
    act: Callback<TodoAction>,
    edited: RwSignal<Option<String>>,
) -> impl IntoView {
    let field = NodeRef::<Input>::new();
    field.on_load(|field| drop(field.focus()));
    let id = format!("edit-{}", todo.get_untracked().id);
    let save = move || {
        // leaving the field saves too, and it is left again when it goes away, perhaps with its row
        let Some(text) = edited.try_get_untracked().flatten() else { return };
        if too_long(&text).is_none() {
            let (text, before) = (text.trim().to_owned(), todo.get_untracked());
            edited.set(None);
            if !text.is_empty() && text != before.text {
                act.run(TodoAction::Edit { id: before.id, text });
            }
        }
    };
    let on_key = move |event: KeyboardEvent| match event.key().as_str() {
        "Enter" if !event.is_composing() => {
            // or the key would press the text that comes
            event.prevent_default();
            save();
        }
        "Escape" => edited.set(None),
        _ => {}
    };
    let leave = move |left| {
        spawn_local(async move {
            if has_left(left).await {
                save();
            }
        });
    };

    view! {
        <input
            class="field todo-edit"
            id=id.clone()
            data-testid="todo-edit"
            aria-label="Edit to-do"
            node_ref=field
            prop:value=move || edited.get().unwrap_or_default()
            on:input=move |event| edited.set(Some(event_target_value(&event)))
            on:keydown=on_key
            on:blur=move |_| leave(id.clone())
        />
        <p class="text-error" role="alert" data-testid="todo-edit-refused">
            {move || edited.get().and_then(|text| too_long(&text))}
        </p>
    }
}
