//! Requests to a contrail service: an event stream, one answer, a socket.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{Stream, sink, stream};
use gloo_net::http::{Request, Response};
use syncline_core::client::contrail::{Answer, Call, is_event, refusal, socket_closed};

use web_sys::RequestCache;

use crate::sse_parser::SseItem;
use crate::transport::events::{Abort, EVENT_STREAM, Events, unreachable};
use crate::transport::{Link, address, ws};
use crate::{Error, FrameStream, code};

pub(crate) async fn call(base: &str, call: Call) -> Result<Link, Error> {
    let url = address::contrail(base, &call.address)?;
    let receiver: FrameStream = match call.answer {
        Answer::Socket => return ws::open(&address::over_websocket(&url), socket_closed).await,
        Answer::Events => {
            let (response, abort) = get(&url.href(), &call, EVENT_STREAM).await?;
            Box::pin(Receiver { events: Events::of(&response)?, ended: false, abort })
        }
        Answer::Json => {
            let (response, abort) = get(&url.href(), &call, "application/json").await?;
            let body = response.binary().await.map_err(unreachable)?;
            drop(abort);
            Box::pin(stream::iter([Ok(body)]))
        }
    };
    Ok(Link { sender: Box::pin(sink::unfold((), |(), _| async { Err(one_way()) })), receiver })
}

async fn get(url: &str, call: &Call, accept: &str) -> Result<(Response, Abort), Error> {
    let abort = Abort::new()?;
    let request = Request::get(url).header("accept", accept).abort_signal(Some(&abort.signal()));
    // without tickets all requests for a page have one address
    let mut request = request.cache(RequestCache::NoStore);
    if let Some(bearer) = &call.bearer.0 {
        request = request.header("authorization", &format!("Bearer {bearer}"));
    }
    let response = request.send().await.map_err(unreachable)?;
    if response.ok() {
        return Ok((response, abort));
    }
    let body = response.binary().await.unwrap_or_default();
    Err(refusal(response.status(), &body))
}

struct Receiver {
    events: Events,
    ended: bool,
    abort: Abort,
}

impl Stream for Receiver {
    type Item = Result<Vec<u8>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.events.poll_item(cx));
        self.ended = item.is_err();
        if self.ended {
            self.abort.now();
        }
        Poll::Ready(Some(item.map(frame)))
    }
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
