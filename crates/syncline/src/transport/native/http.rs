//! Requests over HTTP/1.1: a stream and POSTs to a Syncline server, whatever a contrail service is asked.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use syncline_core::client::contrail::{Answer, Call, refusal};
use tokio::task::JoinHandle;

use crate::sse_parser::{SseItem, SseParser};
use crate::transport::native::address::Address;
use crate::transport::native::dial::dial;
use crate::transport::native::tls::Tls;
use crate::transport::native::{self, MAX_FRAME_BYTES};
use crate::transport::sse::{self, EVENT_STREAM, LINK_HEADER, Post, check_kind, link, lost, refused};
use crate::transport::{Link, contrail};
use crate::{BoxFuture, Error};

/// The most of a refusal that is read.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

type Asked = Request<Full<Bytes>>;

pub(super) async fn connect(base: &str, tls: Tls, hello: Vec<u8>) -> Result<Link, Error> {
    let (stream, send) = (Address::of_route(base, "stream")?, Address::of_route(base, "send")?);
    let request = request(Method::POST, &stream)
        .header(ACCEPT, EVENT_STREAM)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(hello))
        .map_err(cannot_ask)?;
    let mut line = Line::open(&stream, &tls).await?;
    let response = line.ask(request).await.map_err(|failed| unreachable(&failed.error))?;
    let response = checked(response, refused).await?;
    Ok(link(Events::of(response, line)?, Upload { address: Arc::new(send), tls, idle: Arc::default() }))
}

/// What a contrail service answers.
pub(super) async fn call(address: &Address, tls: &Tls, call: &Call) -> Result<Link, Error> {
    let accept = if call.answer == Answer::Events { EVENT_STREAM } else { "application/json" };
    let mut request = request(Method::GET, address).header(ACCEPT, accept);
    if let Some(bearer) = &call.bearer.0 {
        let mut value = HeaderValue::try_from(format!("Bearer {bearer}"))
            .map_err(|_| lost("the token is no header's value"))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let mut line = Line::open(address, tls).await?;
    let request = request.body(Full::default()).map_err(cannot_ask)?;
    let response = line.ask(request).await.map_err(|failed| unreachable(&failed.error))?;
    let response = checked(response, |status, _, body| refusal(status, body)).await?;
    if call.answer == Answer::Events {
        return Ok(contrail::events(Events::of(response, line)?));
    }
    let body = read(response, MAX_FRAME_BYTES).await.ok_or_else(|| lost("the answer broke off"))?;
    Ok(contrail::answer(body))
}

fn request(method: Method, address: &Address) -> Builder {
    Request::builder()
        .method(method)
        .uri(&*address.target)
        .header(HOST, &*address.authority)
        .header(USER_AGENT, native::USER_AGENT)
}

/// One connection, and the task that moves it. Both end when it is dropped.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    moving: JoinHandle<()>,
}

/// A request that was not answered.
struct Failed {
    error: hyper::Error,
    /// The request, when nothing of it has left.
    unsent: Option<Asked>,
}

impl Line {
    async fn open(address: &Address, tls: &Tls) -> Result<Self, Error> {
        let wire = dial(address, tls).await?;
        let (sender, connection) =
            handshake(TokioIo::new(wire)).await.map_err(|error| unreachable(&error))?;
        let moving = tokio::spawn(async move {
            // whoever waits for an answer is told why there is none
            let _ = connection.await;
        });
        Ok(Self { sender, moving })
    }

    async fn ask(&mut self, request: Asked) -> Result<Response<Incoming>, Failed> {
        if let Err(error) = self.sender.ready().await {
            return Err(Failed { error, unsent: Some(request) });
        }
        let answer = self.sender.try_send_request(request).await;
        answer.map_err(|mut failed| Failed { unsent: failed.take_message(), error: failed.into_error() })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.moving.abort();
    }
}

/// The response, or what the server refused it with.
async fn checked(
    response: Response<Incoming>,
    refused: impl FnOnce(u16, &str, &[u8]) -> Error,
) -> Result<Response<Incoming>, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = read(response, MAX_REFUSAL_BYTES).await.unwrap_or_default();
    Err(refused(status.as_u16(), status.canonical_reason().unwrap_or_default(), &body))
}

/// The whole body; `None` when it breaks off or is larger than may be.
async fn read(response: Response<Incoming>, most: usize) -> Option<Vec<u8>> {
    let body = Limited::new(response.into_body(), most).collect().await.ok()?;
    Some(body.to_bytes().into())
}

/// The events of one response.
struct Events {
    body: Incoming,
    parser: SseParser,
    _line: Line,
}

impl Events {
    fn of(response: Response<Incoming>, line: Line) -> Result<Self, Error> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        check_kind(kind.unwrap_or_default())?;
        Ok(Self { body: response.into_body(), parser: SseParser::default(), _line: line })
    }
}

impl sse::Events for Events {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<SseItem, Error>> {
        loop {
            if let Some(item) = self.parser.next_item() {
                return Poll::Ready(Ok(item));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(piece)) => {
                    // trailers say nothing here
                    if let Some(bytes) = piece.data_ref() {
                        self.parser.push(bytes)?;
                    }
                }
                Some(Err(_)) => return Poll::Ready(Err(lost("the stream broke off"))),
                None => return Poll::Ready(Err(lost("the server ended the stream"))),
            }
        }
    }
}

/// Where frames are sent, over one connection as long as the server keeps it open.
struct Upload {
    address: Arc<Address>,
    tls: Tls,
    idle: Arc<Mutex<Option<Line>>>,
}

impl Post for Upload {
    fn post(&mut self, link: &str, body: Vec<u8>) -> BoxFuture<Result<(), Error>> {
        let request = request(Method::POST, &self.address)
            .header(CONTENT_TYPE, "application/json")
            .header(LINK_HEADER, link)
            .body(Full::from(body));
        let (address, tls, idle) = (Arc::clone(&self.address), self.tls.clone(), Arc::clone(&self.idle));
        Box::pin(async move {
            let mut request = request.map_err(cannot_ask)?;
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut line = kept.filter(|line| line.sender.is_ready());
            let (response, line) = loop {
                let reused = line.is_some();
                let mut open = match line.take() {
                    Some(line) => line,
                    None => Line::open(&address, &tls).await?,
                };
                match open.ask(request).await {
                    Ok(response) => break (response, open),
                    // the server has closed it since the last time, and has seen nothing of this
                    Err(Failed { unsent: Some(unsent), .. }) if reused => request = unsent,
                    Err(failed) => return Err(unreachable(&failed.error)),
                }
            };
            let response = checked(response, refused).await?;
            if response.status() != StatusCode::NO_CONTENT {
                // whoever answers with a page has not read what was sent
                return Err(lost(format!("the answer to what was sent is {}", response.status().as_u16())));
            }
            // a line can be used again once its answer has been read
            if read(response, MAX_REFUSAL_BYTES).await.is_some() {
                *idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
            }
            Ok(())
        })
    }
}

fn unreachable(error: &hyper::Error) -> Error {
    lost(match error.source() {
        Some(cause) => format!("the server cannot be reached: {error}: {cause}"),
        None => format!("the server cannot be reached: {error}"),
    })
}

fn cannot_ask(error: hyper::http::Error) -> Error {
    lost(format!("this cannot be asked: {error}"))
}
