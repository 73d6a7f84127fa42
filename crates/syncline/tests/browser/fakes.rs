//! The network in the test's hands; see fakes.js.

use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Date, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen(module = "/tests/browser/fakes.js")]
extern "C" {
    #[derive(Clone)]
    pub(crate) type Socket;
    #[derive(Clone)]
    pub(crate) type Asked;

    fn restore();
    #[wasm_bindgen(js_name = fakeSockets)]
    fn fake_sockets();
    #[wasm_bindgen(js_name = takeSockets)]
    fn take_sockets() -> Array;
    fn open(socket: &Socket);
    #[wasm_bindgen(js_name = sayText)]
    fn say_text(socket: &Socket, text: &str);
    #[wasm_bindgen(js_name = sayBytes)]
    fn say_bytes(socket: &Socket, text: &str);
    fn fail(socket: &Socket, code: u16, reason: &str);
    fn cut(socket: &Socket);
    fn sent(socket: &Socket) -> Array;
    #[wasm_bindgen(js_name = isClosed)]
    fn is_closed(socket: &Socket) -> bool;
    fn url(of: &JsValue) -> String;
    #[wasm_bindgen(js_name = fakeFetch)]
    fn fake_fetch();
    #[wasm_bindgen(js_name = takeRequests)]
    fn take_requests() -> Array;
    fn header(asked: &Asked, name: &str) -> Option<String>;
    fn credentials(asked: &Asked) -> String;
    fn body(asked: &Asked) -> Promise;
    fn answer(asked: &Asked, status: u16, text: &str);
    #[wasm_bindgen(js_name = answerStream)]
    fn answer_stream(asked: &Asked);
    fn push(asked: &Asked, text: &str);
    fn end(asked: &Asked);
    #[wasm_bindgen(js_name = isAborted)]
    fn is_aborted(asked: &Asked) -> bool;
    #[wasm_bindgen(js_name = startCounting)]
    fn start_counting();
    #[wasm_bindgen(js_name = listenerCount)]
    fn listener_count() -> usize;
    #[wasm_bindgen(js_name = timerCount)]
    fn timer_count() -> usize;
    #[wasm_bindgen(js_name = stopCounting)]
    fn stop_counting();
    #[wasm_bindgen(js_name = patchMethod)]
    fn patch_method(of: &str, name: &str, body: &str) -> Function;
    #[wasm_bindgen(js_name = patchGetter)]
    fn patch_getter(name: &str, body: &str) -> Function;
}

/// Something of the browser's is something else until this is dropped.
pub(crate) struct Patch(Function);

impl Patch {
    /// A method of a type; `original` and `args` are in reach of its new body.
    pub(crate) fn new(of: &str, name: &str, body: &str) -> Self {
        Self(patch_method(of, name, body))
    }

    /// A property of the page.
    pub(crate) fn getter(name: &str, body: &str) -> Self {
        Self(patch_getter(name, body))
    }
}

impl Drop for Patch {
    fn drop(&mut self) {
        self.0.call0(&JsValue::NULL).unwrap();
    }
}

/// Longer than anything in a test takes, ms.
const PATIENCE: f64 = 10_000.0;

/// Waits until there is something.
async fn some<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Date::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Date::now() - start < PATIENCE, "waited in vain");
        TimeoutFuture::new(1).await;
    }
}

/// Waits until something is so.
pub(crate) async fn until(mut so: impl FnMut() -> bool) {
    some(|| so().then_some(())).await;
}

async fn one_of<T: JsCast>(mut take: impl FnMut() -> Array) -> T {
    some(|| {
        let taken = take();
        assert!(taken.length() <= 1, "more than one at once");
        (taken.length() == 1).then(|| taken.get(0).unchecked_into())
    })
    .await
}

/// Sockets that lead to the test, until dropped.
pub(crate) struct Sockets;

impl Sockets {
    pub(crate) fn fake() -> Self {
        fake_sockets();
        Self
    }

    /// The next socket that the client makes.
    pub(crate) async fn next(&self) -> Socket {
        one_of(take_sockets).await
    }

    pub(crate) fn count(&self) -> u32 {
        take_sockets().length()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        restore();
    }
}

impl Socket {
    pub(crate) fn url(&self) -> String {
        url(self)
    }

    pub(crate) fn open(&self) {
        open(self);
    }

    pub(crate) fn say(&self, text: &str) {
        say_text(self, text);
    }

    pub(crate) fn say_as_bytes(&self, text: &str) {
        say_bytes(self, text);
    }

    pub(crate) fn fail(&self, code: u16, reason: &str) {
        fail(self, code, reason);
    }

    pub(crate) fn cut(&self) {
        cut(self);
    }

    pub(crate) fn is_closed(&self) -> bool {
        is_closed(self)
    }

    /// What has been sent since the last time.
    pub(crate) fn sent(&self) -> Vec<String> {
        sent(self).iter().filter_map(|data| data.as_string()).collect()
    }

    /// The next frame.
    pub(crate) async fn frame(&self) -> String {
        let mut frames = Vec::new();
        until(|| {
            frames.extend(self.sent());
            !frames.is_empty()
        })
        .await;
        assert_eq!(frames.len(), 1, "{frames:?}");
        frames.remove(0)
    }
}

/// A `fetch` that asks the test, until dropped.
pub(crate) struct Fetches;

impl Fetches {
    pub(crate) fn fake() -> Self {
        fake_fetch();
        Self
    }

    /// The next request that the client makes.
    pub(crate) async fn next(&self) -> Asked {
        one_of(take_requests).await
    }

    pub(crate) fn count(&self) -> u32 {
        take_requests().length()
    }
}

impl Drop for Fetches {
    fn drop(&mut self) {
        restore();
    }
}

impl Asked {
    pub(crate) fn url(&self) -> String {
        url(self)
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(self, name)
    }

    pub(crate) fn credentials(&self) -> String {
        credentials(self)
    }

    pub(crate) async fn body(&self) -> String {
        JsFuture::from(body(self)).await.unwrap().as_string().unwrap()
    }

    pub(crate) fn answer(&self, status: u16, text: &str) {
        answer(self, status, text);
    }

    pub(crate) fn answer_stream(&self) {
        answer_stream(self);
    }

    pub(crate) fn push(&self, text: &str) {
        push(self, text);
    }

    pub(crate) fn end(&self) {
        end(self);
    }

    pub(crate) fn is_aborted(&self) -> bool {
        is_aborted(self)
    }
}

/// Counts listeners of window and document, and timers, until dropped.
pub(crate) struct Counting;

impl Counting {
    pub(crate) fn start() -> Self {
        start_counting();
        Self
    }

    pub(crate) fn listeners(&self) -> usize {
        listener_count()
    }

    pub(crate) fn timers(&self) -> usize {
        timer_count()
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        stop_counting();
    }
}
