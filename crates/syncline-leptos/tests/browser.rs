//! Hooks on a real page.
#![cfg(all(target_family = "wasm", not(feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "../../syncline/tests/support/dom.rs"]
mod dom;
#[path = "../../syncline/tests/support/server.rs"]
mod server;
#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use dom::{host, items, texts, until};
use leptos::mount::mount_to;
use leptos::prelude::*;
use server::Server;
use syncline::transport::memory::MemoryConnector;
use syncline::{Client, RowOp, RowOps};
use syncline_leptos::{Row, provide_syncline, use_watch};
use todo::{Todo, live};
use wasm_bindgen_futures::spawn_local;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[component]
fn List(client: Client, #[prop(into)] list: Signal<String>) -> impl IntoView {
    provide_syncline(client);
    let todos = use_watch(move || Some(Todo::all_in(&list.get())));
    view! {
        <ul>
            <For each=move || todos.rows() key=|row| row.key() let:row>
                <Item row />
            </For>
        </ul>
    }
}

#[component]
fn Item(row: Row<Todo>) -> impl IntoView {
    let runs = StoredValue::new(0);
    let text = move || {
        *runs.write_value() += 1;
        format!("{} {}", row.get().text, runs.get_value())
    };
    view! { <li>{text}</li> }
}

/// Two clients of one server: the page's, and somebody else's.
fn clients(server: Server, connector: MemoryConnector) -> (Client, Client) {
    spawn_local(server.serve());
    let other = Client::builder("memory").without_storage().connector(connector.clone()).build();
    other.register::<Todo>();
    (Client::builder("memory").without_storage().connector(connector).build(), other)
}

#[wasm_bindgen_test]
async fn an_update_of_one_row_of_500_replaces_no_node() {
    let (mut server, connector) = Server::new::<Todo>();
    server.store("home", (0..500).map(|position| Todo::at(position, "before")));
    let (client, other) = clients(server, connector);
    let host = host();
    let _page = mount_to(host.clone(), move || view! { <List client list="home".to_owned() /> });
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
    let list = RwSignal::new("one".to_owned());
    let host = host();
    let _page = mount_to(host.clone(), move || view! { <List client list /> });
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

#[component]
fn Suspended(client: Client, #[prop(into)] list: Signal<String>) -> impl IntoView {
    provide_syncline(client);
    let todos = use_watch(move || Some(Todo::all_in(&list.get())));
    let items = move || {
        Suspend::new(async move {
            todos.loaded().await;
            todos.rows().into_iter().map(|row| view! { <Item row /> }).collect_view()
        })
    };
    view! { <Suspense fallback=|| view! { <li>"Loading…"</li> }>{items}</Suspense> }
}

#[wasm_bindgen_test]
async fn a_suspense_waits_for_the_first_rows() {
    let (mut server, connector) = Server::new::<Todo>();
    server.store("one", [Todo::at(1, "Milk")]);
    server.store("two", [Todo::at(1, "Bread")]);
    let client = Client::builder("memory").without_storage().connector(connector).build();
    let list = RwSignal::new("one".to_owned());
    let host = host();
    let _page = mount_to(host.clone(), move || view! { <Suspended client list /> });
    until("it waits", || texts(&host) == ["Loading…"]).await;
    spawn_local(server.serve());
    until("the rows show", || texts(&host) == ["Milk 1"]).await;
    // until the new rows are there the old view lives on, its signals gone: nothing may reach it any more
    list.set("two".into());
    until("the other rows show", || texts(&host) == ["Bread 1"]).await;
}

#[wasm_bindgen_test]
async fn ten_thousand_rows_come_and_go() {
    let (mut server, connector) = Server::new::<Todo>();
    server.store("home", [Todo::at(0, "stays")]);
    let (client, other) = clients(server, connector);
    let host = host();
    let page = mount_to(host.clone(), move || view! { <List client list="home".to_owned() /> });
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
    drop(page);
    assert!(items(&host).is_empty());
}
