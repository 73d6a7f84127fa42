//! What a contrail service's event stream is as frames.

use std::future::poll_fn;

use futures::{Stream, sink, stream};
use syncline_core::client::contrail::is_event;

use crate::sse_parser::SseItem;
use crate::transport::Link;
use crate::transport::sse::Events;
use crate::{Error, FrameStream, code};

/// The answer to a request, whose body is one frame.
pub(super) fn answer(body: Vec<u8>) -> Link {
    of(Box::pin(stream::iter([Ok(body)])))
}

/// A stream of events, each a frame. An error ends it, and what it needs.
pub(super) fn events(events: impl Events) -> Link {
    of(Box::pin(frames(events)))
}

fn of(receiver: FrameStream) -> Link {
    Link { sender: Box::pin(sink::unfold((), |(), _| async { Err(one_way()) })), receiver }
}

fn frames(events: impl Events) -> impl Stream<Item = Result<Vec<u8>, Error>> {
    stream::unfold(Some(events), |open| async {
        let mut events = open?;
        match poll_fn(|cx| events.poll_item(cx)).await {
            Ok(item) => Some((Ok(frame(item)), Some(events))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// An event as a socket would carry it; what is of no interest as an empty frame, as a comment is.
fn frame(item: SseItem) -> Vec<u8> {
    let SseItem::Event { name, data } = item else { return Vec::new() };
    let name = String::from_utf8(name.unwrap_or_default()).unwrap_or_default();
    if !is_event(&name) {
        return Vec::new();
    }
    let mut frame = b"{\"kind\":".to_vec();
    // a text can always be written as JSON
    frame.extend(serde_json::to_vec(&name).unwrap_or_default());
    frame.extend(b",\"data\":");
    frame.extend(data);
    frame.push(b'}');
    frame
}

fn one_way() -> Error {
    Error::new(code::CONNECTION, "nothing is sent to a contrail service")
}
