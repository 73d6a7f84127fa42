//! A connection as a browser's is: a frame stays with the browser until the client takes it, and costs nobody the turn of a
//! task. So no more than one frame at a time is in the memory that is measured.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::{Sink, Stream};
use send_wrapper::SendWrapper;
use syncline::transport::{ConnectRequest, Connector, Link};
use syncline::{BoxFuture, Error, code};
use wasm_bindgen::prelude::*;

use crate::signals::{self, told};

/// What the client connects with, once.
pub(crate) struct Line(Mutex<Option<SendWrapper<Rc<Wire>>>>);

/// The server's end.
#[derive(Default)]
pub(crate) struct Wire {
    coming: RefCell<VecDeque<JsValue>>,
    /// The next frame of them comes when there has been this much.
    due: Cell<Seen>,
    /// Each waits until somebody has been told of the one before.
    in_step: Cell<bool>,
    heard: Cell<u64>,
    client: Cell<Option<Waker>>,
    server: Cell<Option<Waker>>,
}

/// How many changes somebody has been told of, and how many frames have come from the client.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) told: u64,
    pub(crate) heard: u64,
}

/// Both ends.
pub(crate) fn line() -> (Line, Rc<Wire>) {
    let wire = Rc::<Wire>::default();
    (Line(Mutex::new(Some(SendWrapper::new(Rc::clone(&wire))))), wire)
}

impl Wire {
    /// What there has been so far.
    pub(crate) fn seen(&self) -> Seen {
        Seen { told: told(), heard: self.heard.get() }
    }

    /// Gives the client these, one after the other, as soon as it takes them.
    pub(crate) fn send(&self, frames: impl IntoIterator<Item = JsValue>) {
        self.in_step.set(false);
        self.give(frames, Seen::default());
    }

    /// Gives the client these, the first one after so much, each other one when somebody has been told of the one before.
    /// Ends when somebody has been told of the last.
    pub(crate) async fn show(&self, frames: impl IntoIterator<Item = JsValue>, first: Seen) {
        self.in_step.set(true);
        self.give(frames, first);
        self.until(|| self.coming.borrow().is_empty() && self.is_due()).await;
    }

    /// Waits until the client has sent so many frames in all.
    pub(crate) async fn hear(&self, frames: u64) {
        self.until(|| self.heard.get() >= frames).await;
    }

    fn give(&self, frames: impl IntoIterator<Item = JsValue>, due: Seen) {
        self.due.set(due);
        self.coming.borrow_mut().extend(frames);
        wake(&self.client);
    }

    fn is_due(&self) -> bool {
        let (due, seen) = (self.due.get(), self.seen());
        seen.told >= due.told && seen.heard >= due.heard
    }

    async fn until(&self, is: impl Fn() -> bool) {
        poll_fn(|cx| {
            if is() {
                return Poll::Ready(());
            }
            self.server.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn poll_frame(&self, cx: &Context<'_>) -> Poll<Vec<u8>> {
        if !self.is_due() {
            signals::wait(cx);
            return Poll::Pending;
        }
        let Some(frame) = self.coming.borrow_mut().pop_front() else {
            self.client.set(Some(cx.waker().clone()));
            wake(&self.server);
            return Poll::Pending;
        };
        let due = self.due.get();
        self.due.set(Seen { told: told() + u64::from(self.in_step.get()), ..due });
        Poll::Ready(bytes(frame))
    }

    /// A frame from the client, which looks for its next one by itself after it.
    fn take(&self) {
        self.heard.set(self.heard.get() + 1);
        if self.coming.borrow().is_empty() {
            wake(&self.server);
        }
    }
}

fn wake(waiting: &Cell<Option<Waker>>) {
    if let Some(waker) = waiting.take() {
        waker.wake();
    }
}

/// A frame as it came: text is transcoded, bytes are copied.
pub(crate) fn bytes(frame: JsValue) -> Vec<u8> {
    // bytes first, as a WebSocket's message is looked at
    match frame.dyn_ref::<js_sys::ArrayBuffer>() {
        Some(buffer) => js_sys::Uint8Array::new(buffer).to_vec(),
        None => frame.as_string().unwrap_or_default().into_bytes(),
    }
}

impl Connector for Line {
    fn connect(&self, _: ConnectRequest) -> BoxFuture<Result<Link, Error>> {
        let wire = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let wire = wire.ok_or_else(|| Error::new(code::CONNECTION, "the other end is gone"))?.take();
            Ok(Link { sender: Box::pin(Sender(Rc::clone(&wire))), receiver: Box::pin(Receiver(wire)) })
        })
    }
}

struct Receiver(Rc<Wire>);

impl Stream for Receiver {
    type Item = Result<Vec<u8>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_frame(cx).map(|frame| Some(Ok(frame)))
    }
}

struct Sender(Rc<Wire>);

impl Sink<Vec<u8>> for Sender {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, _: Vec<u8>) -> Result<(), Error> {
        self.0.take();
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}
