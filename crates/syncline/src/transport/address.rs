//! The addresses of a server's routes.

use syncline_core::client::contrail::Address;
use syncline_core::client::partysync;
use wasm_bindgen::JsValue;
use web_sys::{Url, window};

use crate::{Error, code};

/// The address of `route` under the place where Syncline is mounted, `base`: absolute, or relative to the page.
pub(crate) fn http(base: &str, route: &str) -> Result<String, Error> {
    resolve(base, route).map(|url| url.href())
}

/// The same for a WebSocket: `http` becomes `ws`, `https` becomes `wss`.
pub(crate) fn websocket(base: &str, route: &str) -> Result<String, Error> {
    let url = resolve(base, route)?;
    Ok(over_websocket(&url))
}

/// The same address for a WebSocket: `http` becomes `ws`, `https` becomes `wss`.
pub(crate) fn over_websocket(url: &Url) -> String {
    match url.protocol().as_str() {
        "http:" => url.set_protocol("ws:"),
        "https:" => url.set_protocol("wss:"),
        _ => {}
    }
    url.href()
}

/// Where a request to a contrail service at `base` goes.
pub(crate) fn contrail(base: &str, address: &Address) -> Result<Url, Error> {
    let (path, params) = address.as_str().split_once('?').unwrap_or((address.as_str(), ""));
    let url = resolve(base, path)?;
    if address.is_at_origin() {
        // the service has said all of it
        url.set_pathname(path);
        url.set_search(params);
    } else {
        ask(&url, params);
    }
    Ok(url)
}

/// The origin of a server's address.
pub(crate) fn origin(base: &str) -> Option<String> {
    resolve(base, "").ok().map(|url| url.origin())
}

/// The socket of a room of the partysync server at `base`.
pub(crate) fn room(base: &str, room: &partysync::Address) -> Result<String, Error> {
    let url = resolve(base, &room.segment())?;
    ask(&url, &room.params());
    Ok(over_websocket(&url))
}

/// Puts parameters behind those that an address has of its own.
fn ask(url: &Url, params: &str) {
    let own = url.search();
    let between = if own.is_empty() { "" } else { "&" };
    url.set_search(&format!("{own}{between}{params}"));
}

fn resolve(base: &str, route: &str) -> Result<Url, Error> {
    let url = match window().and_then(|window| window.location().href().ok()) {
        Some(page) => Url::new_with_base(base, &page),
        None => Url::new(base),
    };
    let url = url.map_err(|_: JsValue| Error::new(code::CONNECTION, "the server's address is none"))?;
    // it would be kept and shown where addresses are
    if !url.username().is_empty() || !url.password().is_empty() {
        return Err(Error::new(code::CONNECTION, "a name or a password does not belong in an address"));
    }
    url.set_pathname(&format!("{}/{route}", url.pathname().trim_end_matches('/')));
    Ok(url)
}
