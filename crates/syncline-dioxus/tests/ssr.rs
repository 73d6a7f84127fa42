//! Rendering on a server: nothing is started, nothing panics. Without the feature `ssr` it holds as well, but for
//! `suspend`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]
#![cfg(not(target_family = "wasm"))]

#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use dioxus::prelude::*;
use futures::FutureExt as _;
use syncline::Client;
use syncline::transport::memory;
use syncline_dioxus::{use_connection, use_syncline_provider, use_watch};
use todo::Todo;

#[component]
fn Todos() -> Element {
    let connection = use_connection();
    let todos = use_watch(|| Some(Todo::all_in("home")));
    if cfg!(feature = "ssr") {
        todos.suspend()?;
    }
    rsx! {
        p { {connection.status().as_str()} " " {todos.status().as_str()} " " {todos.is_loading().to_string()} }
        ul {
            for row in todos.rows() {
                li { key: "{row.key()}", {row.get().text} }
            }
        }
    }
}

#[tokio::test]
async fn hooks_are_idle_and_have_no_rows() {
    let (connector, mut listener) = memory::pair();
    let client = Client::builder("memory").connector(connector).build();
    let app = |client: Client| {
        use_syncline_provider(|| client);
        rsx! {
            SuspenseBoundary { fallback: |_| rsx! { "Loading…" },
                Todos {}
            }
        }
    };
    let mut dom = VirtualDom::new_with_props(app, client.clone());
    dom.rebuild_in_place();
    dom.wait_for_suspense().await;
    assert_eq!(dioxus::ssr::render(&dom), "<p>idle idle true</p><ul></ul>");
    assert!(listener.accept().now_or_never().is_none(), "nobody has tried to connect");
}

#[cfg(feature = "ssr")]
#[tokio::test]
async fn nobody_waits() {
    let (connector, _listener) = memory::pair();
    let client = Client::builder("memory").connector(connector).build();
    #[component]
    fn Waiting() -> Element {
        let todos = use_watch(|| Some(Todo::all_in("home")));
        let waited = todos.loaded().now_or_never().is_some();
        rsx! { {waited.to_string()} }
    }
    let app = |client: Client| {
        use_syncline_provider(|| client);
        rsx! { Waiting {} }
    };
    let mut dom = VirtualDom::new_with_props(app, client);
    dom.rebuild_in_place();
    assert_eq!(dioxus::ssr::render(&dom), "true");
}
