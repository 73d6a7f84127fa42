//! The chat: the rooms, and what was said in the one that is open.

use demo_model::app::{News, clock_time, new_id, now_ms, scroll_into_view, status_words, too_long};
use demo_model::{EMOJI, MESSAGES_A_PAGE, Message, Reaction, room_space, rooms_with, shown_name};
use leptos::ev::SubmitEvent;
use leptos::html::Li;
use leptos::prelude::*;
use syncline::{Key, Status};
use syncline_leptos::{Row, UseConnection, UseRelated, UseWatch, use_connection, use_watch};

#[component]
pub fn ChatPanel(room: String) -> impl IntoView {
    let rooms = rooms_with(&room);
    let room = RwSignal::new(room);
    let limit = RwSignal::new(MESSAGES_A_PAGE);
    // another room is another query: the subscription moves, and no row of the old room is left on the screen
    let messages = use_watch(move || Some(Message::latest_in(&room_space(&room.get()), limit.get())));
    let connection = use_connection();
    let oldest_first = move || messages.rows().into_iter().rev().collect::<Vec<_>>();
    // what was said on this page and is yet to be seen
    let said = StoredValue::new(None::<String>);
    // older messages have been asked for and are yet to come
    let asked = RwSignal::new(false);
    let status = Memo::new(move |_| messages.status());
    // another list may have had them already: then they come, and the status stays as it is
    let shown = Memo::new(move |_| messages.rows().len());
    Effect::new(move || {
        shown.track();
        if matches!(status.get(), Status::Live | Status::Failed) {
            asked.set(false);
        }
    });
    let may_have_older = Memo::new(move |_| asked.get() || messages.rows().len() >= limit.get() as usize);
    let load_older = move |_| {
        if !asked.get_untracked() {
            asked.set(true);
            limit.update(|limit| *limit += MESSAGES_A_PAGE);
        }
    };

    view! {
        <section class="panel" data-testid="chat-panel" aria-labelledby="room-title">
            <div class="panel-head">
                <h2 class="panel-title" id="room-title" data-testid="room-title">{room}</h2>
                <span class="panel-status" data-testid="chat-status" data-status=move || messages.status().as_str()>
                    {move || status_words(messages.status())}
                </span>
                <div class="tabs" role="group" aria-label="Rooms">
                    {rooms.into_iter().map(|name| view! { <RoomButton room limit asked name /> }).collect_view()}
                </div>
            </div>
            {move || messages.error().map(|error| view! {
                <p class="notice" role="alert" data-testid="chat-watch-error">{error.message().to_owned()}</p>
            })}
            <div class="scroll chat-scroll" role="region" aria-label="Messages" tabindex="0">
                <Show when=move || messages.is_loading()>
                    <p class="quiet" data-testid="chat-loading">"Loading…"</p>
                </Show>
                <div class="chat-history">
                    <Show when=move || may_have_older.get()>
                        <button
                            class="button-link chat-older"
                            data-testid="chat-older"
                            aria-busy=move || asked.get().to_string()
                            aria-disabled=move || asked.get().to_string()
                            on:click=load_older
                        >
                            {move || if asked.get() { "Loading…" } else { "Load older messages" }}
                        </button>
                    </Show>
                    <ul class="rows messages" data-testid="chat-list" data-room=room>
                        <For each=oldest_first key=|row| row.key() let:row>
                            <ChatMessage messages row connection said />
                        </For>
                    </ul>
                </div>
            </div>
            <NewMessage messages room connection said />
            <Heard messages room limit connection />
        </section>
    }
}

/// What others say meanwhile, for those who do not see it.
#[component]
fn Heard(
    messages: UseWatch<Message>,
    room: RwSignal<String>,
    limit: RwSignal<u32>,
    connection: UseConnection,
) -> impl IntoView {
    let news = StoredValue::new(News::default());
    let heard = RwSignal::new(Vec::<Message>::new());
    Effect::new(move || {
        let (is_live, me) = (messages.status() == Status::Live, connection.user());
        let (room, limit, messages) = (room.read(), limit.get(), messages.records());
        let said = news.write_value().heard(&room, limit, is_live, &messages, me.as_ref());
        if let Some(said) = said {
            heard.set(said);
        }
    });

    view! {
        <div class="visually-hidden" role="status" data-testid="chat-heard">
            <For each=move || heard.get() key=|message| message.id.clone() let:message>
                <p>{format!("{}: {}", message.author_name, message.text)}</p>
            </For>
        </div>
    }
}

#[component]
fn RoomButton(
    room: RwSignal<String>,
    limit: RwSignal<u32>,
    asked: RwSignal<bool>,
    name: String,
) -> impl IntoView {
    let is_open = Memo::new({
        let name = name.clone();
        move |_| room.with(|room| *room == name)
    });
    let label = name.clone();

    view! {
        <button
            class="tab"
            data-testid="room-tab"
            data-room=name.clone()
            aria-pressed=move || is_open.get().to_string()
            on:click=move |_| {
                limit.set(MESSAGES_A_PAGE);
                asked.set(false);
                room.set(name.clone());
            }
        >
            {label}
        </button>
    }
}

#[component]
fn ChatMessage(
    messages: UseWatch<Message>,
    row: Row<Message>,
    connection: UseConnection,
    said: StoredValue<Option<String>>,
) -> impl IntoView {
    let key = StoredValue::new(row.key());
    let item = NodeRef::<Li>::new();
    // what others say moves nobody's list
    if said.write_value().take_if(|id| *id == row.key().as_ref()).is_some() {
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
    let message = Signal::derive(move || row.get());
    let is_mine = Memo::new(move |_| {
        connection.user().is_some_and(|me| message.with(|message| me.id == message.author.as_str()))
    });

    view! {
        <li
            node_ref=item
            class="message"
            data-testid="chat-message"
            data-key=key.get_value().to_string()
            data-state=move || state.get().as_str()
            data-mine=move || is_mine.get().to_string()
        >
            <span class="message-author" data-testid="chat-author">{move || message.get().author_name}</span>
            <span class="message-bubble" data-testid="chat-text">{move || message.get().text}</span>
            <span class="message-foot">
                <time>{move || clock_time(message.get().sent_at)}</time>
                <Show when=move || is_mine.get()>
                    <button
                        class="button-link message-delete"
                        data-testid="chat-delete"
                        on:click=move |_| { messages.delete(key.get_value()); }
                    >
                        "Take back"
                    </button>
                </Show>
            </span>
            <Reactions messages message=key connection />
            {move || error.get().map(|error| view! {
                <div class="refused" role="alert">
                    <span data-testid="chat-error">{error.message().to_owned()}</span>
                    <button
                        class="button-link"
                        data-testid="chat-retry"
                        on:click=move |_| { messages.retry(key.get_value()); }
                    >
                        "Retry"
                    </button>
                    <button
                        class="button-link"
                        data-testid="chat-dismiss"
                        on:click=move |_| { messages.dismiss(key.get_value()); }
                    >
                        "Dismiss"
                    </button>
                </div>
            })}
        </li>
    }
}

#[component]
fn Reactions(
    messages: UseWatch<Message>,
    message: StoredValue<Key>,
    connection: UseConnection,
) -> impl IntoView {
    // what reads the reactions to this message runs again when these change, and not when others do
    let reactions = messages.related(Reaction::message);
    let count = move || reactions.count(message.get_value());

    view! {
        <span class="reactions" role="group" aria-label="Reactions" data-testid="reactions" data-count=count>
            {EMOJI.map(|emoji| view! { <ReactionButton reactions message emoji connection /> }).collect_view()}
        </span>
    }
}

#[component]
fn ReactionButton(
    reactions: UseRelated<Message, Reaction>,
    message: StoredValue<Key>,
    emoji: &'static str,
    connection: UseConnection,
) -> impl IntoView {
    let given = Memo::new(move |_| {
        let given = reactions.of(message.get_value()).into_iter();
        given.filter(|row| row.with(|reaction| reaction.emoji == emoji)).collect::<Vec<_>>()
    });
    let mine = Memo::new(move |_| {
        let me = connection.user()?;
        given.get().into_iter().find(|row| row.with(|reaction| me.id == reaction.author.as_str()))
    });
    let state = move || mine.get().map(|row| row.state().as_str());
    let why = move || mine.get().and_then(|row| row.error()).map(|error| error.message().to_owned());

    let toggle = move |_| match (mine.get_untracked(), untrack(|| connection.user())) {
        (Some(row), _) if untrack(|| row.error()).is_some() => drop(reactions.dismiss(row.key())),
        (Some(row), _) => drop(reactions.delete(row.key())),
        (None, Some(me)) => {
            let key = message.get_value();
            reactions.put(Reaction::new(key.as_str(), me.id.as_str(), emoji, now_ms()));
        }
        (None, None) => {}
    };

    view! {
        <button
            class="reaction"
            data-testid="reaction"
            data-emoji=emoji
            data-state=state
            aria-pressed=move || mine.get().is_some().to_string()
            on:click=toggle
        >
            {emoji}
            <span class="reaction-count" data-testid="reaction-count">
                {move || Some(given.get().len()).filter(|count| *count > 0)}
            </span>
        </button>
        {move || why().map(|why| view! {
            <span class="reaction-error" role="alert" data-testid="reaction-error">{why}</span>
        })}
    }
}

#[component]
fn NewMessage(
    messages: UseWatch<Message>,
    room: RwSignal<String>,
    connection: UseConnection,
    said: StoredValue<Option<String>>,
) -> impl IntoView {
    let draft = RwSignal::new(String::new());
    // a message says whose it is, which only the server's first welcome tells
    let is_known = Memo::new(move |_| connection.user().is_some());

    let send = move |event: SubmitEvent| {
        event.prevent_default();
        let text = draft.get_untracked().trim().to_owned();
        let is_good = !text.is_empty() && too_long(&text).is_none();
        let Some(user) = untrack(|| connection.user()).filter(|_| is_good) else { return };
        let (id, author_name) = (new_id(), shown_name(&user));
        said.set_value(Some(id.clone()));
        messages.put(Message { id, author: user.id.to_string(), author_name, text, sent_at: now_ms() });
        draft.set(String::new());
    };

    view! {
        <form class="compose chat-compose" on:submit=send>
            <input
                class="field"
                data-testid="chat-input"
                aria-label="Message"
                placeholder=move || format!("Message {}", room.get())
                autocomplete="off"
                bind:value=draft
            />
            <button class="button button-primary" data-testid="chat-send" disabled=move || !is_known.get()>
                "Send"
            </button>
            <p class="text-error" role="alert" data-testid="chat-refused">{move || too_long(&draft.read())}</p>
            <Show when=move || !is_known.get() && !draft.read().is_empty()>
                <p class="compose-hint" role="status" data-testid="chat-hint">
                    "You can send it as soon as you are connected."
                </p>
            </Show>
        </form>
    }
}
