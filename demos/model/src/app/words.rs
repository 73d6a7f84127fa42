//! Words for what a person sees.

use syncline::{Error, Status, Transport};

use crate::{BadText, check_text};

/// What a status means to a person.
pub fn status_words(status: Status) -> String {
    match status {
        Status::Idle => "Idle".into(),
        Status::Connecting => "Connecting…".into(),
        Status::Snapshot { done, total } => format!("Loading {done} of {total}…"),
        Status::Live => "Live".into(),
        Status::Reconnecting => "Reconnecting…".into(),
        Status::NeedsAuth => "Signed out".into(),
        Status::Failed => "Refused".into(),
        Status::Closed => "Offline".into(),
    }
}

/// Whether what is seen is kept for the next visit: `kept`, or the code of the error why not.
pub fn storage_word(degraded: Option<Error>) -> String {
    degraded.map_or_else(|| "kept".into(), |error| error.code().to_owned())
}

/// What the badge says beside the status: the transport, how many writes still wait for the server and how many of them
/// would not survive the page.
pub fn transport_words(transport: Option<Transport>, pending: usize, unsaved: usize) -> String {
    let transport = match transport {
        Some(Transport::WebSocket) => "WebSocket",
        Some(Transport::Sse) => "Streaming fetch",
        None => "No connection",
    };
    let mut words = String::from(transport);
    if pending > 0 {
        words += &format!(" · {pending} pending");
    }
    if unsaved > 0 {
        words += &format!(" · {unsaved} unsaved");
    }
    words
}

/// What the badge says last where nothing is kept for the next visit.
pub fn storage_words(degraded: Option<Error>) -> Option<&'static str> {
    degraded.map(|_| " · nothing is kept")
}

/// What the server would say of a text that is too long, before anything is sent.
pub fn too_long(text: &str) -> Option<String> {
    let bad = check_text(text.trim()).err().filter(|bad| *bad != BadText::Empty)?;
    Some(Error::from(bad).message().to_owned())
}

/// What is said when completed to-dos have been cleared away.
pub fn cleared_words(count: usize) -> String {
    format!("{count} cleared")
}
