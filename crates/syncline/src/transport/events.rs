//! What a streaming fetch reads: server-sent events, as they come in.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use gloo_net::http::Response;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, AbortSignal, ReadableStreamDefaultReader};

use crate::Error;
use crate::sse_parser::{SseItem, SseParser};
use crate::transport::sse::{self, check_kind, lost};

/// The events of one response.
pub(super) struct Events {
    reader: ReadableStreamDefaultReader,
    reading: Option<JsFuture>,
    parser: SseParser,
    _abort: Rc<Abort>,
}

impl Events {
    /// # Errors
    /// `connection` when the response is no event stream.
    pub(super) fn of(response: &Response, abort: Rc<Abort>) -> Result<Self, Error> {
        let kind = response.headers().get("content-type").unwrap_or_default();
        check_kind(&kind)?;
        let body = response.body().ok_or_else(|| lost("the stream has no body"))?;
        let reader = body.get_reader().dyn_into().map_err(|_| lost("the stream cannot be read"))?;
        Ok(Self { reader, reading: None, parser: SseParser::default(), _abort: abort })
    }
}

impl sse::Events for Events {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<SseItem, Error>> {
        loop {
            if let Some(item) = self.parser.next_item() {
                return Poll::Ready(Ok(item));
            }
            let reading = self.reading.get_or_insert_with(|| JsFuture::from(self.reader.read()));
            let piece = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            let piece = piece.map_err(|_| lost("the stream broke off"))?;
            match Reflect::get(&piece, &JsValue::from_str("value"))
                .ok()
                .and_then(|value| value.dyn_into().ok())
            {
                Some(bytes) => self.parser.push(&Uint8Array::to_vec(&bytes))?,
                None => return Poll::Ready(Err(lost("the server ended the stream"))),
            }
        }
    }
}

/// Ends every request of a connection when the last one who holds it is gone.
pub(super) struct Abort(AbortController);

impl Abort {
    pub(super) fn new() -> Result<Self, Error> {
        AbortController::new().map(Self).map_err(|_| lost("this browser cannot stop a stream"))
    }

    pub(super) fn signal(&self) -> AbortSignal {
        self.0.signal()
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A browser's own words may name the address, and with it a ticket.
pub(super) fn unreachable(_: gloo_net::Error) -> Error {
    lost("the server cannot be reached")
}
