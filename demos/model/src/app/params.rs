//! The parameters of the app's address, for showing and for tests: `?list=`, `?room=`, `?view=`, `?transport=`, `?server=`,
//! `?guest=`.

use syncline::TransportPreference;

use super::place;

/// The ways to connect that a person can choose between, in order, with their names in `?transport=` and their labels.
pub const TRANSPORTS: [(TransportPreference, &str, &str); 3] = [
    (TransportPreference::Auto, "auto", "Automatic"),
    (TransportPreference::WebSocket, "ws", "WebSocket"),
    (TransportPreference::Sse, "sse", "Streaming fetch"),
];

/// Which panels to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The to-do list only.
    Todos,
    /// The chat only.
    Chat,
    /// Both.
    #[default]
    Both,
}

impl View {
    /// Whether the to-do list is to be seen.
    pub fn has_todos(self) -> bool {
        self != Self::Chat
    }

    /// Whether the chat is to be seen.
    pub fn has_chat(self) -> bool {
        self != Self::Todos
    }
}

/// What the app was asked to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The name of the to-do list; `main` unless told.
    pub list: String,
    /// The name of the chat room to start in; `lobby` unless told.
    pub room: String,
    /// Which panels; both unless told.
    pub view: View,
    /// `ws`, `sse`; whatever works unless told.
    pub transport: TransportPreference,
    /// Where Syncline is mounted; `/sync` unless told.
    pub server: String,
    /// Tells apart several guests of one browser or one desktop; one guest unless told.
    pub guest: Option<String>,
}

impl Params {
    /// Those of the app's address: the page's, or the one that a desktop program was given.
    pub fn of_address() -> Self {
        let get = |name: &str| place::parameter(name).filter(|value| !value.is_empty());
        Self {
            list: get("list").unwrap_or_else(|| "main".into()),
            room: get("room").unwrap_or_else(|| "lobby".into()),
            view: match get("view").as_deref() {
                Some("todos") => View::Todos,
                Some("chat") => View::Chat,
                _ => View::Both,
            },
            transport: get("transport")
                .and_then(|given| TRANSPORTS.into_iter().find(|(_, name, _)| *name == given))
                .map_or(TransportPreference::Auto, |(transport, ..)| transport),
            server: get("server").unwrap_or_else(|| place::at_own_server("/sync")),
            guest: get("guest"),
        }
    }
}

/// Begins anew with this `?transport=`, and with the rest of the address as it is: a client keeps its way to connect for as
/// long as it lives.
pub fn reload_with_transport(name: &str) {
    place::reload_with("transport", name);
}
