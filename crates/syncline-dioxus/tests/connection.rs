//! `use_connection`, on a page without a screen.
#![cfg(not(any(target_family = "wasm", feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "support/page.rs"]
mod page;
#[path = "../../syncline/tests/support/server.rs"]
mod server;
#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use dioxus::prelude::*;
use page::{Page, Probe, run};
use server::Server;
use syncline::{Client, Status, Transport};
use syncline_dioxus::{UseConnection, use_connection, use_watch};
use todo::Todo;
use tokio::task::spawn_local;

#[component]
fn Name(connection: UseConnection, runs: Probe<i32>) -> Element {
    runs.change(|runs| *runs += 1);
    rsx! { {connection.user().map(|user| user.id.to_string())} }
}

#[test]
fn the_connection_of_all_hooks_shows() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        spawn_local(server.serve());
        let client = Client::builder("memory").connector(connector).build();
        let (names, probe) = (Probe::new(0), Probe::new(None));
        let mut page = Page::mount(&client, {
            let (names, probe) = (names.clone(), probe.clone());
            move || {
                let hooks = (use_connection(), use_watch(Todo::all_in("home")));
                probe.change(|probe| *probe = Some(hooks));
                rsx! { Name { connection: hooks.0, runs: names.clone() } }
            }
        });
        let (connection, todos) = probe.look(|probe| probe.unwrap());
        assert_eq!((connection.status(), connection.transport()), (Status::Idle, None));
        page.until("it is live", || connection.status() == Status::Live).await;
        assert_eq!(connection.transport(), Some(Transport::WebSocket));
        assert_eq!(connection.user().unwrap().id, "somebody");
        assert_eq!((connection.pending(), connection.last_error()), (0, None));
        page.settle().await;
        let before = names.look(|names| *names);

        connection.set_online(false);
        page.until("it is cut", || connection.status() != Status::Live).await;
        drop(todos.put(Todo::at(1, "Milk")));
        page.until("the write waits", || connection.pending() == 1).await;
        page.settle().await;
        assert_eq!(names.look(|names| *names), before, "who reads the user does not run for a write");

        connection.set_online(true);
        connection.retry_now();
        let settled = || (connection.status(), connection.pending()) == (Status::Live, 0);
        page.until("the write has arrived", settled).await;
    });
}

#[component]
fn Listener(probe: Probe<Option<UseConnection>>) -> Element {
    let connection = use_connection();
    probe.change(|probe| *probe = Some(connection));
    rsx! {}
}

#[test]
fn unmounting_ends_the_listening() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        spawn_local(server.serve());
        let client = Client::builder("memory").connector(connector).build();
        let (probe, shown) = (Probe::new(None), Probe::new(None));
        let mut page = Page::mount(&client, {
            let (probe, shown) = (probe.clone(), shown.clone());
            move || {
                let there = use_signal(|| true);
                shown.change(|shown| *shown = Some(there));
                rsx! {
                    if there() {
                        Listener { probe: probe.clone() }
                    }
                }
            }
        });
        let connection = probe.look(|probe| probe.unwrap());
        let _watch = client.watch(Todo::all_in("home"));
        page.until("it is live", || connection.status() == Status::Live).await;
        shown.look(|shown| shown.unwrap()).set(false);
        page.settle().await;
        assert_eq!((connection.status(), connection.user()), (Status::Idle, None));
        connection.retry_now();
        connection.set_online(false);
        page.settle().await;
        assert_eq!(client.connection().status, Status::Live, "a hook that is gone does nothing");
    });
}

#[test]
fn without_a_client_it_says_what_to_do() {
    let says = Probe::new(String::new());
    let app = |says: Probe<String>| {
        let panic = std::panic::catch_unwind(use_connection).unwrap_err();
        says.change(|says| *says = panic.downcast_ref::<&str>().unwrap().to_string());
        rsx! {}
    };
    VirtualDom::new_with_props(app, says.clone()).rebuild_in_place();
    assert!(says.look(|says| says.contains("use_syncline_provider")));
}
