//! Words for what a person sees.

use js_sys::Date;
use syncline::{Status, Transport};
use web_sys::wasm_bindgen::JsValue;

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

/// What the badge says beside the status: the transport, and how many writes still wait for the server.
pub fn transport_words(transport: Option<Transport>, pending: usize) -> String {
    let transport = match transport {
        Some(Transport::WebSocket) => "WebSocket",
        Some(Transport::Sse) => "Streaming fetch",
        None => "No connection",
    };
    match pending {
        0 => transport.into(),
        _ => format!("{transport} · {pending} pending"),
    }
}

/// The time of day at this place, as `14:07`.
pub fn clock_time(ms: u64) -> String {
    let date = Date::new(&JsValue::from_f64(ms as f64));
    format!("{:02}:{:02}", date.get_hours(), date.get_minutes())
}
