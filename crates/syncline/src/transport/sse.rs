//! A stream of events from the server, and a POST for what goes to it: what that is in a browser and natively alike.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::channel::mpsc;
use futures::{SinkExt, Stream, StreamExt};
use syncline_core::wire::{Frame, ServerMessage, check_depth};

use crate::sse_parser::SseItem;
use crate::transport::Link;
use crate::{BoxFuture, Error, MaybeSend, code};

/// What a stream is made of.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// Names the stream that a POST belongs to.
pub(super) const LINK_HEADER: &str = "x-syncline-link";
/// Frames that may wait for a POST; the driver keeps more.
const FRAMES: usize = 64;
/// The most that frames put together in one POST may be: each answer is a sign of life, and must not be long in coming where
/// the line is slow. A single frame may be longer.
const POST_BYTES: usize = 64 * 1024;

/// A frame that says nothing but that the server is there.
const SIGN_OF_LIFE: Vec<u8> = Vec::new();

/// The events of an open stream. Ends it when it is dropped.
pub(super) trait Events: MaybeSend + Unpin + 'static {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<SseItem, Error>>;
}

/// Sends frames, one a line, for the connection of this name. Ends all of it when it is dropped.
pub(super) trait Post: MaybeSend + Unpin + 'static {
    fn post(&mut self, link: &str, body: Vec<u8>) -> BoxFuture<Result<(), Error>>;
}

/// One connection out of both.
pub(super) fn link(events: impl Events, post: impl Post) -> Link {
    let (sender, outgoing) = mpsc::channel(FRAMES);
    let upload = Upload { post, link: None, most: POST_BYTES, outgoing, next: None, posting: None };
    let closed = |_| lost("the stream was closed");
    Link {
        sender: Box::pin(sender.sink_map_err(closed)),
        receiver: Box::pin(Receiver { open: Some((events, upload)) }),
    }
}

/// Reads the stream, and sees to the uploads meanwhile: both belong to one connection, and one task.
struct Receiver<E, P> {
    open: Option<(E, Upload<P>)>,
}

fn poll_frame(
    events: &mut impl Events,
    upload: &mut Upload<impl Post>,
    cx: &mut Context<'_>,
) -> Poll<Result<Vec<u8>, Error>> {
    if let Poll::Ready(posted) = upload.poll(cx) {
        return Poll::Ready(posted.map(|()| SIGN_OF_LIFE));
    }
    match ready!(events.poll_item(cx))? {
        SseItem::Event { data, .. } => {
            upload.learn_link(&data);
            Poll::Ready(Ok(data))
        }
        SseItem::Comment => Poll::Ready(Ok(SIGN_OF_LIFE)),
    }
}

impl<E: Events, P: Post> Stream for Receiver<E, P> {
    type Item = Result<Vec<u8>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some((events, upload)) = &mut self.open else { return Poll::Ready(None) };
        let frame = ready!(poll_frame(events, upload, cx));
        if frame.is_err() {
            self.open = None;
        }
        Poll::Ready(Some(frame))
    }
}

/// What goes to the server: one POST at a time, so that frames arrive in order, each with all that waits.
struct Upload<P> {
    post: P,
    /// The server's name for the stream; it stands in the welcome, and nothing can be sent before.
    link: Option<String>,
    /// The most bytes of a POST of several frames.
    most: usize,
    outgoing: mpsc::Receiver<Vec<u8>>,
    /// A frame that no longer fitted into the POST before.
    next: Option<Vec<u8>>,
    posting: Option<BoxFuture<Result<(), Error>>>,
}

impl<P: Post> Upload<P> {
    /// Ready when the server has taken a POST, or one has failed, and with it the connection.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if let Some(posting) = &mut self.posting {
                let result = ready!(posting.as_mut().poll(cx));
                self.posting = None;
                return Poll::Ready(result);
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
                if body.len() + 1 + frame.len() > self.most {
                    self.next = Some(frame);
                    break;
                }
                body.push(b'\n');
                body.extend(frame);
            }
            self.posting = Some(self.post.post(link, body));
        }
    }

    fn learn_link(&mut self, frame: &[u8]) {
        if frame.starts_with(b"{\"welcome\"")
            && let Ok(Frame { message: ServerMessage::Welcome(welcome), .. }) = Frame::parse(frame)
            && welcome.link.is_some()
        {
            self.most = POST_BYTES.min(welcome.limits.frame_bytes);
            self.link = welcome.link;
        }
    }
}

/// What the server refused with: its own error, or what the status means.
pub(super) fn refused(status: u16, reason: &str, body: &[u8]) -> Error {
    if check_depth(body, 0).is_ok()
        && let Ok(error) = serde_json::from_slice(body)
    {
        return error;
    }
    if let Ok(Frame { message: ServerMessage::Error(error), .. }) = Frame::parse(body) {
        return error;
    }
    // not said by a Syncline server but by something on the way, which may let it pass the next time
    let code = match status {
        401 => code::UNAUTHENTICATED,
        413 => code::FRAME_TOO_LARGE,
        429 => code::TOO_MANY,
        _ => code::CONNECTION,
    };
    Error::new(code, format!("the server answered {status} {reason}"))
}

/// Whether an answer of this kind is a stream of events.
///
/// # Errors
/// `connection`, when it is something else: a page that is served for every address there is, say.
pub(super) fn check_kind(kind: &str) -> Result<(), Error> {
    if kind.starts_with(EVENT_STREAM) {
        return Ok(());
    }
    let kind: String = kind.chars().take(100).collect();
    Err(lost(format!("there is no such server: the answer is {kind:?}")))
}

pub(super) fn lost(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(code::CONNECTION, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_unless_it_is_deeper_than_it_looks() {
        let code = |data: &str| {
            let body = format!(r#"{{"code":"forbidden","message":"no","data":{data}}}"#);
            refused(403, "Forbidden", body.as_bytes()).code().to_owned()
        };
        assert_eq!(code("[1]"), code::FORBIDDEN);
        assert_eq!(code(r#"{"$serde_json::private::RawValue":"[1]"}"#), code::CONNECTION);
    }
}
