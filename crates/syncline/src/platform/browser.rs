//! The browser: microtasks, `setTimeout`, events of window and document, localStorage.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use syncline_core::client::Input;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Document, EventTarget, Storage, VisibilityState, Window, window};
pub(crate) use web_time::{Instant, SystemTime};

use super::spawn_local;
use crate::contrail::Allowance;
use crate::shared::Shared;
use crate::storage::IndexedDb;
use crate::transport::{BrowserConnector, Connector, address};
use crate::{BoxFuture, Transport};

/// The longest single timer. Browsers hold 31 bits of milliseconds; the driver looks again when it fires.
const LONGEST_TIMER_MS: u128 = 60 * 60 * 1000;

/// How long a page goes straight for the second choice of transports.
const FALLBACK_REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Starts the driver's task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spawner {}

impl Spawner {
    pub(crate) fn spawn(&self, task: impl FnOnce() -> BoxFuture<()>) -> bool {
        spawn_local(task());
        true
    }
}

pub(crate) fn sleep(duration: Duration) -> BoxFuture<()> {
    // rounded up: a timer that fires early would only be set again
    let ms = duration.as_micros().div_ceil(1000).min(LONGEST_TIMER_MS);
    Box::pin(TimeoutFuture::new(u32::try_from(ms).unwrap_or(u32::MAX >> 1)))
}

pub(crate) fn default_connector(_: &str) -> Option<Arc<dyn Connector>> {
    Some(Arc::new(BrowserConnector))
}

pub(crate) fn default_storage() -> Option<Arc<dyn crate::storage::Storage>> {
    Some(Arc::new(IndexedDb::default()))
}

/// Listens to what the browser says about the network and the page. Ends when dropped. A worker has no window, and no
/// hints.
pub(crate) struct Hints {
    _listeners: Vec<Listener>,
}

impl Hints {
    pub(crate) fn listen(shared: Weak<Shared>) -> Self {
        let Some(window) = window() else { return Self { _listeners: Vec::new() } };
        let hint = |target: &EventTarget, name, input: fn(&Window) -> Option<Input<'static>>| {
            let (shared, window) = (Weak::clone(&shared), window.clone());
            Listener::new(target, name, move || {
                if let (Some(shared), Some(input)) = (shared.upgrade(), input(&window)) {
                    shared.act(|state, now| state.core.handle(now, input));
                }
            })
        };
        let mut listeners = vec![
            hint(&window, "online", |_| Some(Input::Online(true))),
            hint(&window, "offline", |_| Some(Input::Online(false))),
        ];
        if let Some(document) = window.document() {
            listeners.push(hint(&document, "visibilitychange", |window| {
                window.document().as_ref().map(is_visible).map(Input::Visible)
            }));
        }
        Self { _listeners: listeners }
    }
}

fn is_visible(document: &Document) -> bool {
    document.visibility_state() == VisibilityState::Visible
}

/// One event listener; removed when dropped.
struct Listener {
    target: EventTarget,
    name: &'static str,
    callback: Closure<dyn FnMut()>,
}

impl Listener {
    fn new(target: &EventTarget, name: &'static str, callback: impl FnMut() + 'static) -> Self {
        let callback = Closure::new(callback);
        // adding a listener of a plain function cannot fail
        let _ = target.add_event_listener_with_callback(name, callback.as_ref().unchecked_ref());
        Self { target: target.clone(), name, callback }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let callback = self.callback.as_ref().unchecked_ref();
        let _ = self.target.remove_event_listener_with_callback(self.name, callback);
    }
}

/// The transport that worked with this server last time. Storage may be missing, full or forbidden: then nothing is
/// remembered. A fallback is remembered for a day: what stood in the way of the first choice may have been a server
/// that was just starting, or the network of a hotel.
pub(crate) fn remembered(url: &str) -> Option<Transport> {
    let entry = storage()?.get_item(&storage_key(url)).ok()??;
    match entry.split_once(' ') {
        None => (entry == Transport::WebSocket.as_str()).then_some(Transport::WebSocket),
        Some((word, since)) if word == Transport::Sse.as_str() => {
            let since = SystemTime::UNIX_EPOCH + Duration::from_millis(since.parse().ok()?);
            let age = SystemTime::now().duration_since(since).ok()?;
            (age < FALLBACK_REMEMBERED_FOR).then_some(Transport::Sse)
        }
        Some(_) => None,
    }
}

pub(crate) fn remember(url: &str, transport: Transport) {
    let Some(storage) = storage() else { return };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let entry = match transport {
        Transport::WebSocket => transport.as_str().to_owned(),
        Transport::Sse => format!("{} {}", transport.as_str(), now.as_millis()),
    };
    let _ = storage.set_item(&storage_key(url), &entry);
}

fn storage() -> Option<Storage> {
    window()?.local_storage().ok()?
}

fn storage_key(url: &str) -> String {
    format!("syncline:transport:{url}")
}

/// The event streams that may be open to the origin of `base`: one number for all clients of the page, since the browser
/// counts its connections to a host.
pub(crate) fn event_streams(base: &str) -> Allowance {
    thread_local! {
        static BY_ORIGIN: RefCell<BTreeMap<String, Allowance>> = const { RefCell::new(BTreeMap::new()) };
    }
    // to where there is no origin no stream will be opened
    let Some(origin) = address::origin(base) else { return Allowance::default() };
    BY_ORIGIN.with_borrow_mut(|origins| {
        origins.retain(|_, allowance| allowance.is_shared());
        origins.entry(origin).or_default().clone()
    })
}
