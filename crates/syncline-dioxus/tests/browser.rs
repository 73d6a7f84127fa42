//! Hooks on a real page.
#![cfg(all(target_family = "wasm", not(feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "../../syncline/tests/support/dom.rs"]
mod dom;
#[path = "../../syncline/tests/support/server.rs"]
mod server;
#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use std::cell::Cell;
use std::rc::Rc;

use dioxus::prelude::*;
use dioxus::web::Config;
use dioxus::web::launch::launch_virtual_dom;
use dom::{host, items, texts, until};
use server::Server;
use syncline::transport::memory::MemoryConnector;
use syncline::{Client, RowOp, RowOps};
use syncline_dioxus::{Row, use_syncline_provider, use_watch};
use todo::{Todo, live};
use wasm_bindgen_futures::spawn_local;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::HtmlElement;

wasm_bindgen_test_configure!(run_in_browser);

#[component]
fn List(list: String) -> Element {
    let todos = use_watch(Todo::all_in(&list));
    rsx! {
        ul {
            for row in todos.rows() {
                Item { key: "{row.key()}", row }
            }
        }
    }
}

#[component]
fn Item(row: Row<Todo>) -> Element {
    let mut runs = use_hook(|| CopyValue::new(0));
    *runs.write() += 1;
    rsx! {
        li { "{row.get().text} {runs}" }
    }
}

/// Two clients of one server: the page's, and somebody else's.
fn clients(server: Server, connector: MemoryConnector) -> (Client, Client) {
    spawn_local(server.serve());
    let other = Client::builder("memory").without_storage().connector(connector.clone()).build();
    other.register::<Todo>();
    (Client::builder("memory").without_storage().connector(connector).build(), other)
}

/// What a root component is given: the client, its first list, and where to leave the signal of the list.
#[derive(Clone)]
struct App {
    client: Client,
    first: &'static str,
    list: Rc<Cell<Option<Signal<String>>>>,
}

/// Shows a list; the signal says which.
async fn mount(client: Client, first: &'static str) -> (HtmlElement, Signal<String>) {
    let app = App { client, first, list: Rc::default() };
    let root = |app: App| {
        use_syncline_provider(|| app.client);
        let list = use_signal(|| app.first.to_owned());
        app.list.set(Some(list));
        rsx! { List { list: list() } }
    };
    let host = host();
    let dom = VirtualDom::new_with_props(root, app.clone());
    launch_virtual_dom(dom, Config::new().rootelement(host.clone().into()));
    until("it is mounted", || app.list.get().is_some()).await;
    (host, app.list.get().unwrap())
}

#[wasm_bindgen_test]
async fn an_update_of_one_row_of_500_replaces_no_node() {
    let (mut server, connector) = Server::new::<Todo>();
    server.store("home", (0..500).map(|position| Todo::at(position, "before")));
    let (client, other) = clients(server, connector);
    let (host, _) = mount(client, "home").await;
    until("all rows show", || items(&host).len() == 500).await;
    let before = items(&host);

    let watched = other.watch(Todo::all_in("home"));
    watched.loaded().await.unwrap();
    other.update::<Todo>("home", "77", |todo| todo.text = "after".into()).await.unwrap();
    until("the edit shows", || texts(&host)[77] == "after 2").await;
    let after = items(&host);
    assert!(after.iter().zip(&before).all(|(after, before)| after.is_same_node(Some(before))));
    assert_eq!(texts(&host).iter().filter(|text| *text == "before 1").count(), 499);

    // one that moves takes its node along
    other.update::<Todo>("home", "78", |todo| todo.position = 1000.0).await.unwrap();
    until("the move shows", || items(&host)[499].is_same_node(Some(&before[78]))).await;
}

#[wasm_bindgen_test]
async fn rows_of_equal_keys_show_what_their_own_list_says() {
    let (mut server, connector) = Server::new::<Todo>();
    for list in ["one", "two"] {
        server.store(list, (0..3).map(|position| Todo::at(position, list)));
    }
    let (client, other) = clients(server, connector);
    // both lists are in memory, so that the page goes from one to the other without a pause
    let watched = [&other, &client]
        .map(|client| [client.watch(Todo::all_in("one")), client.watch(Todo::all_in("two"))]);
    for watch in watched.iter().flatten() {
        watch.loaded().await.unwrap();
    }
    let (host, mut list) = mount(client, "one").await;
    let show = |name: &str| texts(&host).len() == 3 && texts(&host).iter().all(|text| text.starts_with(name));
    until("the first list shows", || show("one")).await;
    list.set("two".into());
    until("the second list shows", || show("two")).await;

    list.set("one".into());
    until("the first list shows again", || show("one")).await;
    other.delete::<Todo>("one", "1").await.unwrap();
    other.put("one", Todo::at(1, "one, again")).await.unwrap();
    until("the row that came back shows", || texts(&host).iter().any(|text| text.starts_with("one, again")))
        .await;
}

#[wasm_bindgen_test]
async fn ten_thousand_rows_come_and_go() {
    let (mut server, connector) = Server::new::<Todo>();
    server.store("home", [Todo::at(0, "stays")]);
    let (client, other) = clients(server, connector);
    let (host, _) = mount(client, "home").await;
    until("the list shows", || items(&host).len() == 1).await;
    let before = live();

    let batches = |op: fn(u32) -> RowOp| {
        (0..10).map(move |batch| RowOps { ops: (0..1000).map(|row| op(1 + batch * 1000 + row)).collect() })
    };
    for ops in batches(|row| RowOp::put(&Todo::at(row, "goes")).unwrap()) {
        other.write("home", ops).await.unwrap();
    }
    until("all rows show", || items(&host).len() == 10_001).await;
    for ops in batches(|row| RowOp::delete::<Todo>(&row.to_string())) {
        other.write("home", ops).await.unwrap();
    }
    until("all rows are gone", || items(&host).len() == 1).await;
    until("and nothing of them is left", || live() == before).await;
}
