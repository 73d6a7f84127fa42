//! Rendering on a server: nothing is started, nothing panics.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]
#![cfg(all(not(target_family = "wasm"), feature = "ssr"))]

#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use hydration_context::SsrSharedContext;
use leptos::prelude::*;
use syncline::Client;
use syncline::transport::memory::{self, MemoryListener};
use syncline_leptos::{provide_syncline, use_connection, use_watch};
use todo::Todo;

#[component]
fn Todos() -> impl IntoView {
    let connection = use_connection();
    let todos = use_watch(|| Some(Todo::all_in("home")));
    view! {
        <p>{move || connection.status().as_str()}" "{move || todos.status().as_str()}" "{move || todos.is_loading()}</p>
        <ul>
            <For each=move || todos.rows() key=|row| row.key() let:row>
                <li>{move || row.get().text}</li>
            </For>
        </ul>
        <Suspense fallback=|| "Loading…">
            {move || Suspend::new(async move {
                todos.loaded().await;
                todos.rows().len()
            })}
        </Suspense>
    }
}

fn client() -> (Client, MemoryListener) {
    let (connector, listener) = memory::pair();
    (Client::builder("memory").connector(connector).build(), listener)
}

#[test]
fn hooks_are_idle_and_have_no_rows() {
    // there is no executor: whatever tried to start a task would panic
    let (client, mut listener) = client();
    let html = Owner::new().with(|| {
        provide_syncline(client.clone());
        view! { <Todos /> }.to_html()
    });
    assert!(html.contains("idle"), "{html}");
    assert!(html.contains("true") && html.contains("Loading…") && !html.contains("<li>"), "{html}");
    assert!(listener.accept().now_or_never().is_none(), "nobody has tried to connect");
}

#[tokio::test]
async fn a_suspense_shows_its_fallback_and_does_not_wait() {
    let _ = any_spawner::Executor::init_tokio();
    let (client, mut listener) = client();
    // what a server gives its pages; the page is done when the stream ends
    let owner = Owner::new_root(Some(Arc::new(SsrSharedContext::new())));
    let html = owner.with(|| {
        provide_syncline(client.clone());
        view! { <Todos /> }.to_html_stream_in_order()
    });
    let html: String = html.collect().await;
    assert!(html.contains("Loading…"), "{html}");
    assert!(listener.accept().now_or_never().is_none(), "nobody has tried to connect");
}

#[test]
fn elsewhere_nobody_waits() {
    let (client, _listener) = client();
    Owner::new().with(|| {
        provide_syncline(client);
        assert_eq!(use_watch(Todo::all_in("home")).loaded().now_or_never(), Some(()));
    });
}
