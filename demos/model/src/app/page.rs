//! An app in a page.

mod focus;
mod scroll;

use gloo_net::http::Request;
use js_sys::Date;
use syncline::storage::IndexedDb;
use web_sys::UrlSearchParams;
use web_sys::wasm_bindgen::JsValue;

use super::Params;

pub use focus::has_left;
pub use scroll::scroll_into_view;

/// What the page's address says behind `?`.
pub(super) fn parameter(name: &str) -> Option<String> {
    search()?.get(name)
}

/// Loads the page again with one of its parameters changed, and with the rest of its address as it is.
pub(super) fn reload_with(name: &str, value: &str) {
    let (Some(window), Some(search)) = (web_sys::window(), search()) else { return };
    search.set(name, value);
    // it is refused only to pages that have no address to change
    let _ = window.location().set_search(&String::from(search.to_string()));
}

fn search() -> Option<UrlSearchParams> {
    let search = web_sys::window()?.location().search().ok()?;
    UrlSearchParams::new_with_str(&search).ok()
}

/// A path at the server that the page is from.
pub(super) fn at_own_server(path: &str) -> String {
    path.to_owned()
}

/// Where a page keeps rows for its next visit. Guests who sit side by side in one browser keep theirs apart: a page begins
/// with the rows of whoever was there last, and that is to be the same one.
pub fn storage_of(params: &Params) -> IndexedDb {
    match &params.guest {
        Some(guest) => IndexedDb::new(format!("syncline-{guest}")),
        None => IndexedDb::default(),
    }
}

/// Nothing: the browser keeps the guest in a cookie.
pub(super) fn kept_token(_: &Params) -> Option<String> {
    None
}

/// Does nothing: the browser keeps the guest in a cookie.
pub(super) fn keep_token(_: &Params, _: &str) {}

/// Posts JSON, or nothing, to the demo server. What comes back is the status and the body; an error says why nothing did.
pub(super) async fn post(
    url: &str,
    token: Option<&str>,
    json: Option<String>,
) -> Result<(u16, String), String> {
    let mut request = Request::post(url);
    if let Some(token) = token {
        request = request.header("authorization", &format!("Bearer {token}"));
    }
    let request = match json {
        Some(json) => request.header("content-type", "application/json").body(json),
        None => request.build(),
    };
    let response =
        request.map_err(|error| error.to_string())?.send().await.map_err(|error| error.to_string())?;
    let body = response.text().await.map_err(|error| error.to_string())?;
    Ok((response.status(), body))
}

/// The characters of a query's value.
pub(super) fn escaped(value: &str) -> String {
    js_sys::encode_uri_component(value).into()
}

/// The time by this machine's clock, ms since 1970.
pub fn now_ms() -> u64 {
    Date::now() as u64
}

/// The time of day at this place, as `14:07`.
pub fn clock_time(ms: u64) -> String {
    let date = Date::new(&JsValue::from_f64(ms as f64));
    format!("{:02}:{:02}", date.get_hours(), date.get_minutes())
}
