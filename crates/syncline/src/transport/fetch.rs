//! Requests of a browser: a stream and POSTs to a Syncline server, whatever a contrail service is asked.
//!
//! Not `EventSource`: that hides the status of a refusal, takes neither a body nor headers, and retries on its own.

use std::rc::Rc;

use gloo_net::http::{Request, RequestBuilder, Response};
use syncline_core::client::contrail::{Answer, Call, refusal, socket_closed};
use web_sys::{RequestCache, RequestCredentials, RequestRedirect, ResponseType};

use crate::transport::events::{Abort, Events, unreachable};
use crate::transport::sse::{EVENT_STREAM, LINK_HEADER, Post, link, lost, refused};
use crate::transport::{Link, address, contrail, ws};
use crate::{BoxFuture, Error};

pub(crate) async fn connect(base: &str, hello: Vec<u8>) -> Result<Link, Error> {
    let (stream, send) = (address::http(base, "stream")?, address::http(base, "send")?);
    let abort = Rc::new(Abort::new()?);
    let response = post(&stream, &abort).header("accept", EVENT_STREAM);
    let response =
        checked(response.body(text(hello)).map_err(unreachable)?.send().await.map_err(unreachable)?).await?;
    Ok(link(Events::of(&response, Rc::clone(&abort))?, Upload { url: send, abort }))
}

pub(crate) async fn call(base: &str, call: Call) -> Result<Link, Error> {
    let url = address::contrail(base, &call.address)?;
    match call.answer {
        Answer::Socket => ws::open(&address::over_websocket(&url), socket_closed).await,
        Answer::Events => {
            let (response, abort) = get(&url.href(), &call, EVENT_STREAM).await?;
            Ok(contrail::events(Events::of(&response, Rc::new(abort))?))
        }
        Answer::Json => {
            let (response, abort) = get(&url.href(), &call, "application/json").await?;
            let body = response.binary().await.map_err(unreachable)?;
            drop(abort);
            Ok(contrail::answer(body))
        }
    }
}

async fn get(url: &str, call: &Call, accept: &str) -> Result<(Response, Abort), Error> {
    let abort = Abort::new()?;
    let request = Request::get(url).header("accept", accept).abort_signal(Some(&abort.signal()));
    // without tickets all requests for a page have one address
    let mut request = request.cache(RequestCache::NoStore).redirect(RequestRedirect::Manual);
    if let Some(bearer) = &call.bearer.0 {
        // a browser takes one text for a character each, up to U+00FF
        if bearer.chars().any(|one| (one.is_control() && one != '\t') || one > '\u{ff}') {
            return Err(lost("the token is no header's value"));
        }
        request = request.header("authorization", &format!("Bearer {bearer}"));
    }
    let response = request.send().await.map_err(unreachable)?;
    if response.ok() {
        return Ok((response, abort));
    }
    not_elsewhere(&response)?;
    let body = response.binary().await.unwrap_or_default();
    Err(refusal(response.status(), &body))
}

/// Where frames are sent.
struct Upload {
    url: String,
    abort: Rc<Abort>,
}

impl Post for Upload {
    fn post(&mut self, link: &str, body: Vec<u8>) -> BoxFuture<Result<(), Error>> {
        let request = post(&self.url, &self.abort).header(LINK_HEADER, link).body(text(body));
        Box::pin(async move {
            let response = checked(request.map_err(unreachable)?.send().await.map_err(unreachable)?).await?;
            // whoever answers with a page has not read what was sent
            match response.status() {
                204 => Ok(()),
                other => Err(lost(format!("the answer to what was sent is {other}"))),
            }
        })
    }
}

fn post(url: &str, abort: &Abort) -> RequestBuilder {
    Request::post(url)
        .header("content-type", "application/json")
        // cookies go along to a server of another origin too, as they do with a WebSocket
        .credentials(RequestCredentials::Include)
        // what is sent is for this server, and a page to sign in is no answer
        .redirect(RequestRedirect::Manual)
        .abort_signal(Some(&abort.signal()))
}

/// The response, or what the server refused it with.
async fn checked(response: Response) -> Result<Response, Error> {
    if response.ok() {
        return Ok(response);
    }
    not_elsewhere(&response)?;
    let body = response.binary().await.unwrap_or_default();
    Err(refused(response.status(), &response.status_text(), &body))
}

/// Nobody is followed to another place, as natively: credentials are for the server that was named.
fn not_elsewhere(response: &Response) -> Result<(), Error> {
    match response.type_() {
        ResponseType::Opaqueredirect => Err(lost("the server answered with a redirect")),
        _ => Ok(()),
    }
}

fn text(frame: Vec<u8>) -> String {
    String::from_utf8(frame).unwrap_or_default()
}
