//! A streaming fetch from the server, and a POST for what goes to it.
//!
//! Not `EventSource`: that hides the status of a refusal, takes neither a body nor headers, and retries on its own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::channel::mpsc;
use futures::{SinkExt, Stream, StreamExt};
use gloo_net::http::{Request, RequestBuilder, Response};
use syncline_core::wire::{Frame, ServerMessage};
use web_sys::RequestCredentials;

use crate::sse_parser::SseItem;
use crate::transport::events::{Abort, EVENT_STREAM, Events, lost, unreachable};
use crate::transport::{Link, address};
use crate::{BoxFuture, Error, code};

/// Names the stream that a POST belongs to.
const LINK_HEADER: &str = "x-syncline-link";
/// Frames that may wait for a POST; the driver keeps more.
const FRAMES: usize = 64;
/// The most that frames put together in one POST may be. A single frame may be longer.
const POST_BYTES: usize = 512 * 1024;

pub(crate) async fn connect(base: &str, hello: Vec<u8>) -> Result<Link, Error> {
    let (stream, send) = (address::http(base, "stream")?, address::http(base, "send")?);
    let abort = Abort::new()?;
    let response = post(&stream, &abort).header("accept", EVENT_STREAM);
    let response =
        checked(response.body(text(hello)).map_err(unreachable)?.send().await.map_err(unreachable)?).await?;
    let events = Events::of(&response)?;

    let (sender, outgoing) = mpsc::channel(FRAMES);
    let upload = Upload { url: send, link: None, outgoing, next: None, posting: None };
    let receiver = Receiver { events, upload, ended: false, abort };
    let closed = |_| lost("the stream was closed");
    Ok(Link { sender: Box::pin(sender.sink_map_err(closed)), receiver: Box::pin(receiver) })
}

/// Reads the stream, and sees to the uploads meanwhile: both belong to one connection, and one task.
struct Receiver {
    events: Events,
    upload: Upload,
    ended: bool,
    abort: Abort,
}

impl Receiver {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Error>> {
        if let Poll::Ready(error) = self.upload.poll(&self.abort, cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            match ready!(self.events.poll_item(cx))? {
                SseItem::Event { data, .. } => {
                    self.upload.learn_link(&data);
                    return Poll::Ready(Ok(data));
                }
                SseItem::Comment => {}
            }
        }
    }
}

impl Stream for Receiver {
    type Item = Result<Vec<u8>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(self.poll_frame(cx));
        self.ended = frame.is_err();
        if self.ended {
            self.abort.now();
        }
        Poll::Ready(Some(frame))
    }
}

/// What goes to the server: one POST at a time, so that frames arrive in order, each with all that waits.
struct Upload {
    url: String,
    /// The server's name for the stream; it stands in the welcome, and nothing can be sent before.
    link: Option<String>,
    outgoing: mpsc::Receiver<Vec<u8>>,
    /// A frame that no longer fitted into the POST before.
    next: Option<Vec<u8>>,
    posting: Option<BoxFuture<Result<(), Error>>>,
}

impl Upload {
    /// Ready only when a POST failed, and with it the connection.
    fn poll(&mut self, abort: &Abort, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            if let Some(posting) = &mut self.posting {
                let result = ready!(posting.as_mut().poll(cx));
                self.posting = None;
                if let Err(error) = result {
                    return Poll::Ready(error);
                }
            }
            let Some(link) = &self.link else { return Poll::Pending };
            let mut body = match self.next.take() {
                Some(frame) => frame,
                None => match self.outgoing.poll_next_unpin(cx) {
                    Poll::Ready(Some(frame)) => frame,
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                },
            };
            while let Poll::Ready(Some(frame)) = self.outgoing.poll_next_unpin(cx) {
                if body.len() + frame.len() > POST_BYTES {
                    self.next = Some(frame);
                    break;
                }
                body.push(b'\n');
                body.extend(frame);
            }
            let request = post(&self.url, abort).header(LINK_HEADER, link).body(text(body));
            self.posting = Some(Box::pin(async move {
                checked(request.map_err(unreachable)?.send().await.map_err(unreachable)?).await.map(drop)
            }));
        }
    }

    fn learn_link(&mut self, frame: &[u8]) {
        if frame.starts_with(b"{\"welcome\"")
            && let Ok(Frame { message: ServerMessage::Welcome(welcome), .. }) = Frame::parse(frame)
            && welcome.link.is_some()
        {
            self.link = welcome.link;
        }
    }
}

fn post(url: &str, abort: &Abort) -> RequestBuilder {
    Request::post(url)
        .header("content-type", "application/json")
        // cookies go along to a server of another origin too, as they do with a WebSocket
        .credentials(RequestCredentials::Include)
        .abort_signal(Some(&abort.signal()))
}

/// The response, or what the server refused it with: its own error, or what the status means.
async fn checked(response: Response) -> Result<Response, Error> {
    if response.ok() {
        return Ok(response);
    }
    let body = response.binary().await.unwrap_or_default();
    if let Ok(error) = serde_json::from_slice(&body) {
        return Err(error);
    }
    if let Ok(Frame { message: ServerMessage::Error(error), .. }) = Frame::parse(&body) {
        return Err(error);
    }
    // not said by a Syncline server but by something on the way, which may let it pass the next time
    let code = match response.status() {
        401 => code::UNAUTHENTICATED,
        413 => code::FRAME_TOO_LARGE,
        429 => code::TOO_MANY,
        _ => code::CONNECTION,
    };
    Err(Error::new(code, format!("the server answered {} {}", response.status(), response.status_text())))
}

fn text(frame: Vec<u8>) -> String {
    String::from_utf8(frame).unwrap_or_default()
}
