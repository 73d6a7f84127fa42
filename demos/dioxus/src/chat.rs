//! The chat: the rooms, and what was said in the one that is open.

use demo_model::app::{News, clock_time, new_id, now_ms, status_words, too_long};
use demo_model::{EMOJI, MESSAGES_A_PAGE, Message, Reaction, room_space, rooms_with, shown_name};
use dioxus::prelude::*;
use syncline::{Key, Status};
use syncline_dioxus::{Row, UseConnection, UseRelated, UseWatch, use_connection, use_watch};

use crate::scroll::scroll_into_view;

#[component]
pub fn ChatPanel(room: String) -> Element {
    let rooms = use_hook(|| rooms_with(&room));
    let room = use_signal(|| room);
    let mut limit = use_signal(|| MESSAGES_A_PAGE);
    // another room is another query: the subscription moves, and no row of the old room is left on the screen
    let messages = use_watch(move || Some(Message::latest_in(&room_space(&room.read()), limit())));
    let connection = use_connection();
    let oldest_first = messages.rows().into_iter().rev();
    // what was said on this page and is yet to be seen
    let said = use_hook(|| CopyValue::new(None::<String>));
    // older messages have been asked for and are yet to come
    let mut asked = use_signal(|| false);
    let status = use_memo(move || messages.status());
    // another list may have had them already: then they come, and the status stays as it is
    let shown = use_memo(move || messages.rows().len());
    use_effect(move || {
        shown();
        if matches!(status(), Status::Live | Status::Failed) {
            asked.set(false);
        }
    });
    let may_have_older = use_memo(move || asked() || messages.rows().len() >= limit() as usize);
    let load_older = move |_| {
        if !asked() {
            asked.set(true);
            limit += MESSAGES_A_PAGE;
        }
    };

    rsx! {
        section { class: "panel", "data-testid": "chat-panel", aria_labelledby: "room-title",
            div { class: "panel-head",
                h2 { class: "panel-title", id: "room-title", "data-testid": "room-title", "{room}" }
                span { class: "panel-status", "data-testid": "chat-status", "data-status": messages.status().as_str(),
                    {status_words(messages.status())}
                }
                div { class: "tabs", role: "group", aria_label: "Rooms",
                    for name in rooms {
                        RoomButton { key: "{name}", room, limit, asked, name }
                    }
                }
            }
            if let Some(error) = messages.error() {
                p { class: "notice", role: "alert", "data-testid": "chat-watch-error", {error.message()} }
            }
            div { class: "scroll chat-scroll", role: "region", aria_label: "Messages", tabindex: 0,
                if messages.is_loading() {
                    p { class: "quiet", "data-testid": "chat-loading", "Loading…" }
                }
                div { class: "chat-history",
                    if may_have_older() {
                        button {
                            class: "button-link chat-older",
                            "data-testid": "chat-older",
                            aria_busy: asked(),
                            aria_disabled: asked(),
                            onclick: load_older,
                            if asked() { "Loading…" } else { "Load older messages" }
                        }
                    }
                    ul { class: "rows messages", "data-testid": "chat-list", "data-room": "{room}",
                        for row in oldest_first {
                            ChatMessage { key: "{row.key()}", messages, row, connection, said }
                        }
                    }
                }
            }
            NewMessage { messages, room, connection, said }
            Heard { messages, room, limit, connection }
        }
    }
}

/// What others say meanwhile, for those who do not see it.
#[component]
fn Heard(
    messages: UseWatch<Message>,
    room: Signal<String>,
    limit: Signal<u32>,
    connection: UseConnection,
) -> Element {
    let mut news = use_hook(|| CopyValue::new(News::default()));
    let mut heard = use_signal(Vec::<Message>::new);
    use_effect(move || {
        let (is_live, me) = (messages.status() == Status::Live, connection.user());
        let (room, limit, messages) = (room.read(), limit(), messages.records());
        let said = news.write().heard(&room, limit, is_live, &messages, me.as_ref());
        if let Some(said) = said {
            heard.set(said);
        }
    });

    rsx! {
        div { class: "visually-hidden", role: "status", "data-testid": "chat-heard",
            for message in heard() {
                p { key: "{message.id}", "{message.author_name}: {message.text}" }
            }
        }
    }
}

#[component]
fn RoomButton(room: Signal<String>, limit: Signal<u32>, asked: Signal<bool>, name: String) -> Element {
    let is_open = *room.read() == name;
    let label = name.clone();

    rsx! {
        button {
            class: "tab",
            "data-testid": "room-tab",
            "data-room": "{name}",
            aria_pressed: is_open,
            onclick: move |_| {
                limit.set(MESSAGES_A_PAGE);
                asked.set(false);
                room.set(name.clone());
            },
            "{label}"
        }
    }
}

#[component]
fn ChatMessage(
    messages: UseWatch<Message>,
    row: Row<Message>,
    connection: UseConnection,
    said: CopyValue<Option<String>>,
) -> Element {
    let key = use_signal(|| row.key());
    // what others say moves nobody's list
    let is_new = use_hook(|| said.write().take_if(|id| *id == row.key().as_ref()).is_some());
    let state = row.state();
    let error = row.error();
    let Message { author, author_name, text, sent_at, .. } = row.get();
    let is_mine = connection.user().is_some_and(|me| me.id == author.as_str());

    rsx! {
        li {
            class: "message",
            "data-testid": "chat-message",
            "data-key": "{key}",
            "data-state": state.as_str(),
            "data-mine": "{is_mine}",
            onmounted: move |event| {
                if is_new {
                    scroll_into_view(event);
                }
            },
            span { class: "message-author", "data-testid": "chat-author", "{author_name}" }
            span { class: "message-bubble", "data-testid": "chat-text", "{text}" }
            span { class: "message-foot",
                time { {clock_time(sent_at)} }
                if is_mine {
                    button {
                        class: "button-link message-delete",
                        "data-testid": "chat-delete",
                        onclick: move |_| { messages.delete(key()); },
                        "Take back"
                    }
                }
            }
            Reactions { messages, message: key(), connection }
            if let Some(error) = error {
                div { class: "refused", role: "alert",
                    span { "data-testid": "chat-error", {error.message()} }
                    button {
                        class: "button-link",
                        "data-testid": "chat-retry",
                        onclick: move |_| { messages.retry(key()); },
                        "Retry"
                    }
                    button {
                        class: "button-link",
                        "data-testid": "chat-dismiss",
                        onclick: move |_| { messages.dismiss(key()); },
                        "Dismiss"
                    }
                }
            }
        }
    }
}

#[component]
fn Reactions(messages: UseWatch<Message>, message: Key, connection: UseConnection) -> Element {
    // what reads the reactions to this message runs again when these change, and not when others do
    let reactions = messages.related(Reaction::message);
    let count = reactions.count(&message);

    rsx! {
        span { class: "reactions", role: "group", aria_label: "Reactions", "data-testid": "reactions", "data-count": "{count}",
            for emoji in EMOJI {
                ReactionButton { key: "{emoji}", reactions, message: message.clone(), emoji, connection }
            }
        }
    }
}

#[component]
fn ReactionButton(
    reactions: UseRelated<Message, Reaction>,
    message: Key,
    emoji: &'static str,
    connection: UseConnection,
) -> Element {
    let given = reactions.of(&message).into_iter();
    let given: Vec<_> = given.filter(|row| row.with(|reaction| reaction.emoji == emoji)).collect();
    let me = connection.user();
    let mine = me.as_ref().and_then(|me| {
        given.iter().find(|row| row.with(|reaction| me.id == reaction.author.as_str())).cloned()
    });
    let state = mine.as_ref().map(|row| row.state().as_str());
    let why = mine.as_ref().and_then(|row| row.error()).map(|error| error.message().to_owned());
    let is_mine = mine.is_some();

    let toggle = move |_| match (&mine, &me) {
        (Some(row), _) if row.error().is_some() => drop(reactions.dismiss(row.key())),
        (Some(row), _) => drop(reactions.delete(row.key())),
        (None, Some(me)) => {
            reactions.put(Reaction::new(message.as_str(), me.id.as_str(), emoji, now_ms()));
        }
        (None, None) => {}
    };

    rsx! {
        button {
            class: "reaction",
            "data-testid": "reaction",
            "data-emoji": emoji,
            "data-state": state,
            aria_pressed: is_mine,
            onclick: toggle,
            {emoji}
            span { class: "reaction-count", "data-testid": "reaction-count",
                if !given.is_empty() {
                    "{given.len()}"
                }
            }
        }
        if let Some(why) = why {
            span { class: "reaction-error", role: "alert", "data-testid": "reaction-error", "{why}" }
        }
    }
}

#[component]
fn NewMessage(
    messages: UseWatch<Message>,
    room: Signal<String>,
    connection: UseConnection,
    said: CopyValue<Option<String>>,
) -> Element {
    let mut draft = use_signal(String::new);
    // a message says whose it is, which only the server's first welcome tells
    let is_known = use_memo(move || connection.user().is_some());

    let send = move |event: FormEvent| {
        event.prevent_default();
        let text = draft.peek().trim().to_owned();
        let is_good = !text.is_empty() && too_long(&text).is_none();
        let Some(user) = connection.user().filter(|_| is_good) else { return };
        let (id, author_name) = (new_id(), shown_name(&user));
        said.set(Some(id.clone()));
        messages.put(Message { id, author: user.id.to_string(), author_name, text, sent_at: now_ms() });
        draft.set(String::new());
    };

    rsx! {
        form { class: "compose chat-compose", onsubmit: send,
            input {
                class: "field",
                "data-testid": "chat-input",
                aria_label: "Message",
                placeholder: "Message {room}",
                autocomplete: "off",
                value: draft,
                oninput: move |event| draft.set(event.value()),
            }
            button { class: "button button-primary", "data-testid": "chat-send", disabled: !is_known(), "Send" }
            p { class: "text-error", role: "alert", "data-testid": "chat-refused", {too_long(&draft.read())} }
            if !is_known() && !draft.read().is_empty() {
                p { class: "compose-hint", role: "status", "data-testid": "chat-hint",
                    "You can send it as soon as you are connected."
                }
            }
        }
    }
}
