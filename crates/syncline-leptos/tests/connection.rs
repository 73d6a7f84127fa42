//! `use_connection`, on a page without a screen.
#![cfg(not(any(target_family = "wasm", feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "support/page.rs"]
mod page;
#[path = "../../syncline/tests/support/server.rs"]
mod server;
#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use std::cell::Cell;
use std::rc::Rc;

use leptos::prelude::*;
use page::{mount, run, settle, until};
use server::Server;
use syncline::{Client, Status, Transport};
use syncline_leptos::{use_connection, use_watch};
use todo::Todo;
use tokio::task::spawn_local;

#[test]
fn the_connection_of_all_hooks_shows() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        spawn_local(server.serve());
        let client = Client::builder("memory").connector(connector).build();
        let names = Rc::new(Cell::new(0));
        let (_page, (connection, todos)) = mount(&client, || {
            let connection = use_connection();
            let names = Rc::clone(&names);
            Effect::new(move || {
                connection.user();
                names.set(names.get() + 1);
            });
            (connection, use_watch(Todo::all_in("home")))
        });
        assert_eq!((connection.status(), connection.transport()), (Status::Idle, None));
        until("it is live", || connection.status() == Status::Live).await;
        assert_eq!(connection.transport(), Some(Transport::WebSocket));
        assert_eq!(connection.user().unwrap().id, "somebody");
        assert_eq!((connection.pending(), connection.last_error()), (0, None));
        settle().await;
        let before = names.get();

        connection.set_online(false);
        until("it is cut", || connection.status() != Status::Live).await;
        drop(todos.put(Todo::at(1, "Milk")));
        until("the write waits", || connection.pending() == 1).await;
        settle().await;
        assert_eq!(names.get(), before, "who reads the user does not run for a write");

        connection.set_online(true);
        connection.retry_now();
        until("the write has arrived", || (connection.status(), connection.pending()) == (Status::Live, 0))
            .await;
    });
}

#[test]
fn unmounting_ends_the_listening() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        spawn_local(server.serve());
        let client = Client::builder("memory").connector(connector).build();
        let (page, connection) = mount(&client, use_connection);
        let _watch = client.watch(Todo::all_in("home"));
        until("it is live", || connection.status() == Status::Live).await;
        drop(page);
        settle().await;
        assert_eq!((connection.status(), connection.user()), (Status::Idle, None));
        connection.retry_now();
        connection.set_online(false);
        settle().await;
        assert_eq!(client.connection().status, Status::Live, "a hook that is gone does nothing");
    });
}

#[test]
#[should_panic(expected = "provide_syncline")]
fn without_a_client_it_says_what_to_do() {
    Owner::new().with(use_connection);
}
