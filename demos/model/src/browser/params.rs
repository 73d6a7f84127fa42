//! The page's query parameters, for showing and for tests: `?list=`, `?room=`, `?view=`, `?transport=`, `?server=`,
//! `?guest=`.

use syncline::TransportPreference;
use web_sys::UrlSearchParams;

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

/// What the page was asked to be.
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
    /// Tells apart several guests in one browser; one guest unless told.
    pub guest: Option<String>,
}

impl Params {
    /// Those of the page's address.
    pub fn of_page() -> Self {
        let search = web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default();
        let given = UrlSearchParams::new_with_str(&search).ok();
        let get = |name: &str| given.as_ref()?.get(name).filter(|value| !value.is_empty());
        Self {
            list: get("list").unwrap_or_else(|| "main".into()),
            room: get("room").unwrap_or_else(|| "lobby".into()),
            view: match get("view").as_deref() {
                Some("todos") => View::Todos,
                Some("chat") => View::Chat,
                _ => View::Both,
            },
            transport: match get("transport").as_deref() {
                Some("ws") => TransportPreference::WebSocket,
                Some("sse") => TransportPreference::Sse,
                _ => TransportPreference::Auto,
            },
            server: get("server").unwrap_or_else(|| "/sync".into()),
            guest: get("guest"),
        }
    }
}
