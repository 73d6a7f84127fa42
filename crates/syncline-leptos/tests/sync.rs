//! `use_sync`, on a page without a screen.
#![cfg(not(any(target_family = "wasm", feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "../../syncline/tests/support/channel.rs"]
mod channel;
#[path = "support/page.rs"]
mod page;

use std::time::Duration;

use channel::{NotWanted, Todo, TodoAction, Todos, create, server};
use leptos::prelude::*;
use page::{mount, run, settle, until};
use syncline::{ActionError, Channel as _, Client, RowState, Status, code};
use syncline_leptos::{UseWatch, use_connection, use_sync};
use syncline_testkit::LocalServer;

fn texts(todos: UseWatch<Todo>) -> Vec<String> {
    untrack(|| todos.records().into_iter().map(|todo| todo.text).collect())
}

/// A client that does not close the connection by itself.
fn connect(server: &LocalServer) -> Client {
    Client::builder("local").connector(server.connector()).linger(Duration::from_secs(3600)).build()
}

#[test]
fn an_action_shows_at_once_and_settles() {
    run(async {
        let server = server();
        let client = connect(&server);
        let (_page, (todos, send)) = mount(&client, || use_sync(Todos::in_space("home")));
        todos.loaded().await;
        server.hold_commits();

        let milk = send(create("1", "Milk"));
        until("it shows", || texts(todos) == ["Milk"]).await;
        assert!(todos.rows()[0].is_pending());
        settle().await;
        assert!(todos.rows()[0].is_pending(), "as long as the server has not stored it");
        server.release_commits();
        assert_eq!(milk.await.unwrap(), 1);
        until("it is confirmed", || todos.rows()[0].state() == RowState::Confirmed).await;

        let bread = send(create("2", "Bread"));
        drop(send(TodoAction::Delete { id: "1".into() }));
        assert_eq!(bread.await.unwrap(), 2);
        until("all is done", || server.rows(Todos::in_space("home").query()).len() == 1).await;
        until("it is seen", || texts(todos) == ["Bread"]).await;
    });
}

#[test]
fn a_refused_action_disappears_alone_and_says_why() {
    run(async {
        let server = server();
        let client = connect(&server);
        let (_page, (connection, (todos, send))) =
            mount(&client, || (use_connection(), use_sync(Todos::in_space("home"))));
        todos.loaded().await;
        server.hold_commits();
        drop(send(create("1", "Milk")));
        let wine = send(create("2", "Wine"));
        drop(send(create("3", "Bread")));
        until("all of it shows", || texts(todos) == ["Milk", "Wine", "Bread"]).await;

        server.release_commits();
        match wine.await {
            Err(ActionError::Refused(refusal, error)) => {
                assert_eq!((refusal, error.code()), (NotWanted { text: "Wine".into() }, "not_wanted"));
            }
            other => panic!("{other:?}"),
        }
        until("it alone is gone", || texts(todos) == ["Milk", "Bread"]).await;
        until("all is settled", || connection.pending() == 0).await;
        assert!(connection.refusals().is_empty(), "somebody has waited for it");

        drop(send(create("4", "Wine")));
        until("the page is told", || !connection.refusals().is_empty()).await;
        assert_eq!(connection.refusals()[0].message(), "Nobody wants Wine.");
        connection.dismiss_refusals();
        until("it has been seen", || connection.refusals().is_empty()).await;
        assert_eq!(texts(todos), ["Milk", "Bread"]);
    });
}

#[test]
fn it_moves_along_with_its_closure() {
    run(async {
        let server = server();
        let client = connect(&server);
        let list = RwSignal::new(None::<String>);
        let (_page, (todos, send)) = mount(&client, || use_sync(move || list.get().map(Todos::in_space)));
        settle().await;
        assert_eq!(todos.status(), Status::Idle);
        let nowhere = send(create("0", "Nothing")).await.unwrap_err();
        assert_eq!(nowhere.error().code(), code::CLOSED);

        for name in ["one", "two"] {
            list.set(Some(name.into()));
            todos.loaded().await;
            assert_eq!(send(create(name, name)).await.unwrap(), 1);
            until("the list shows its own", || texts(todos) == [name]).await;
        }
        list.set(Some("one".into()));
        assert_eq!(todos.rows().len(), 0, "the other list's rows are gone at once");
        until("the first list shows", || texts(todos) == ["one"]).await;
        until("one subscription is left", || server.gauges().subscriptions == 1).await;
        for name in ["one", "two"] {
            assert_eq!(server.rows(Todos::in_space(name).query()).len(), 1);
        }
    });
}

#[test]
fn two_of_the_same_are_one_subscription_and_the_last_one_ends_it() {
    run(async {
        let server = server();
        let client = connect(&server);
        let (first, (todos, send)) = mount(&client, || use_sync(Todos::in_space("home")));
        let (second, (others, _)) = mount(&client, || use_sync(move || Todos::in_space("home")));
        todos.loaded().await;
        others.loaded().await;
        drop(send(create("1", "Milk")));
        until("both show it", || texts(todos) == ["Milk"] && texts(others) == ["Milk"]).await;
        until("it is confirmed", || others.rows()[0].state() == RowState::Confirmed).await;
        assert_eq!(server.gauges().subscriptions, 1);

        drop(first);
        settle().await;
        assert_eq!((texts(others), server.gauges().subscriptions), (vec!["Milk".to_owned()], 1));
        drop(second);
        until("the subscription ends", || server.gauges().subscriptions == 0).await;
        assert_eq!(server.gauges().connections, 1);
        let gone = send(create("2", "Bread")).await.unwrap_err();
        assert_eq!(gone.error().code(), code::CLOSED);
        assert_eq!((todos.rows().len(), todos.status()), (0, Status::Idle));
    });
}

#[test]
fn what_is_on_its_way_arrives_though_its_component_has_gone() {
    run(async {
        let server = server();
        let client = connect(&server);
        let (page, (todos, send)) = mount(&client, || use_sync(Todos::in_space("home")));
        todos.loaded().await;
        server.hold_commits();
        let milk = send(create("1", "Milk"));
        drop(page);
        settle().await;
        server.release_commits();
        assert_eq!(milk.await.unwrap(), 1);
    });
}
