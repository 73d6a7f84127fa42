//! A list on a real page.

#![allow(dead_code, reason = "no test program uses all of it")]

use gloo_timers::future::TimeoutFuture;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement};

/// An empty place on the page.
pub(crate) fn host() -> HtmlElement {
    let document = web_sys::window().unwrap().document().unwrap();
    let host: HtmlElement = document.create_element("div").unwrap().unchecked_into();
    document.body().unwrap().append_child(&host).unwrap();
    host
}

/// The `li` elements in it.
pub(crate) fn items(host: &HtmlElement) -> Vec<Element> {
    let list = host.query_selector_all("li").unwrap();
    (0..list.length()).filter_map(|index| list.get(index)).map(|node| node.unchecked_into()).collect()
}

/// What they say.
pub(crate) fn texts(host: &HtmlElement) -> Vec<String> {
    items(host).iter().filter_map(|item| item.text_content()).collect()
}

/// Lets the page go on until it is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if so() {
            return;
        }
        TimeoutFuture::new(0).await;
    }
    panic!("never: {what}");
}
