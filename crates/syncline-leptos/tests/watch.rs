//! `use_watch`, on a page without a screen.
#![cfg(not(any(target_family = "wasm", feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "support/page.rs"]
mod page;
#[path = "../../syncline/tests/support/server.rs"]
mod server;
#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::env;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use leptos::prelude::*;
use page::{mount, run, settle, until};
use server::Server;
use syncline::{Client, Key, RowOp, RowOps, RowState, Status};
use syncline_leptos::{Row, UseWatch, use_watch};
use todo::{OtherTodo, Todo, live};
use tokio::task::spawn_local;

fn texts(watch: UseWatch<Todo>) -> Vec<String> {
    untrack(|| watch.records().into_iter().map(|todo| todo.text).collect())
}

/// A client of a server that runs, and does not close the connection by itself.
fn connect(server: Server, connector: syncline::transport::memory::MemoryConnector) -> Client {
    spawn_local(server.serve());
    Client::builder("memory").connector(connector).linger(Duration::from_secs(3600)).build()
}

#[test]
fn hooks_can_go_to_other_threads() {
    fn check<T: Copy + Send + Sync>() {}
    check::<UseWatch<Todo>>();
    check::<syncline_leptos::UseConnection>();
}

#[test]
fn rows_come_from_the_server_and_go_to_it() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(2, "Bread"), Todo::at(1, "Milk")]);
        let client = connect(server, connector);
        let (_page, todos) = mount(&client, || use_watch(Todo::all_in("home")));
        assert!(todos.is_loading() && todos.rows().is_empty());

        todos.loaded().await;
        assert_eq!(texts(todos), ["Milk", "Bread"]);
        assert_eq!((todos.status(), todos.error(), todos.is_loading()), (Status::Live, None, false));

        let write = todos.put(Todo::at(3, "Eggs"));
        until("the new row shows", || todos.rows().len() == 3).await;
        assert!(todos.rows()[2].is_pending());
        write.await.unwrap();
        until("the new row is confirmed", || todos.rows()[2].state() == RowState::Confirmed).await;

        todos.update("1", |todo| todo.text = "Oat milk".into()).await.unwrap();
        todos.delete("2").await.unwrap();
        until("both writes show", || texts(todos) == ["Oat milk", "Eggs"]).await;
    });
}

#[test]
fn unmounting_ends_everything() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        let gauges = server.gauges();
        let client = connect(server, connector);
        let (page, todos) = mount(&client, || {
            syncline_leptos::use_connection();
            use_watch(Todo::all_in("home"))
        });
        todos.loaded().await;
        assert_eq!(gauges().subscriptions, 1);

        drop(page);
        until("the subscription ends", || gauges().subscriptions == 0).await;
        assert_eq!(gauges().connections, 1);
        // whatever a hook had left behind would keep the client, and the client its connection
        drop(client);
        until("the connection ends", || gauges().connections == 0).await;

        assert_eq!((todos.rows().len(), todos.status(), todos.is_loading()), (0, Status::Idle, false));
        todos.loaded().await;
        assert_eq!(todos.put(Todo::at(1, "Milk")).await.unwrap_err().code(), syncline::code::CLOSED);
        todos.stop();
    });
}

#[test]
fn another_query_never_shows_the_old_rows() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        let gauges = server.gauges();
        for room in ["one", "two"] {
            server.store(room, (0..3).map(|position| Todo::at(position, room)));
        }
        let client = connect(server, connector);
        let room = RwSignal::new("one".to_owned());
        let runs = Rc::new(RefCell::new(Vec::new()));
        let (_page, todos) = mount(&client, || {
            let todos = use_watch(move || Some(Todo::all_in(&room.get())));
            // what a component shows: a title, and a keyed list that makes an item when a key is new to it
            let items = RefCell::new(HashMap::<Key, Row<Todo>>::new());
            let runs = Rc::clone(&runs);
            Effect::new(move || {
                let (title, rows) = (room.get(), todos.rows());
                let mut items = items.borrow_mut();
                items.retain(|key, _| rows.iter().any(|row| row.key() == *key));
                for row in rows {
                    items.entry(row.key()).or_insert(row);
                }
                let texts: Vec<String> = items.values().map(|row| row.get().text).collect();
                runs.borrow_mut().push((title, texts));
            });
            todos
        });
        let shows =
            |name: &str| runs.borrow().last().is_some_and(|(title, texts)| title == name && texts.len() == 3);
        until("the first room shows", || shows("one")).await;

        // at once: the signal has changed, nothing else has run yet
        room.set("two".into());
        assert_eq!((todos.rows().len(), todos.status(), todos.error()), (0, Status::Idle, None));
        assert!(todos.is_loading());
        until("the second room shows", || shows("two")).await;
        assert_eq!(gauges().subscriptions, 1);

        // there and back before anything ran: it was never another room
        room.set("one".into());
        room.set("two".into());
        assert_eq!(texts(todos), ["two"; 3]);
        for turn in 0..6 {
            room.set(if turn % 2 == 0 { "one".into() } else { "two".into() });
            for _ in 0..turn {
                tokio::task::yield_now().await;
            }
        }
        room.set("one".into());
        until("the last room shows", || shows("one")).await;
        until("one subscription is left", || gauges().subscriptions == 1).await;
        for (title, texts) in runs.borrow().iter() {
            assert!(texts.iter().all(|text| text == title), "{title} shows {texts:?}");
        }
    });
}

#[test]
fn no_query_yet_is_idle() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        let gauges = server.gauges();
        server.store("home", [Todo::at(1, "Milk")]);
        let client = connect(server, connector);
        let list = RwSignal::new(None::<String>);
        let (_page, todos) = mount(&client, || use_watch(move || Some(Todo::all_in(&list.get()?))));
        todos.loaded().await;
        settle().await;
        assert_eq!((todos.status(), todos.is_loading(), todos.rows().len()), (Status::Idle, false, 0));
        assert!(todos.add_optimistic(Todo::at(2, "Bread")).is_err());

        list.set(Some("home".into()));
        todos.loaded().await;
        assert_eq!(texts(todos), ["Milk"]);
        list.set(None);
        assert_eq!((todos.status(), todos.rows().len()), (Status::Idle, 0));
        until("the subscription ends", || gauges().subscriptions == 0).await;
    });
}

#[test]
fn an_update_runs_what_reads_that_row_and_nothing_else() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", (0..500).map(|position| Todo::at(position, "before")));
        let client = connect(server, connector.clone());
        let other = Client::builder("memory").connector(connector).build();
        let _watched = other.watch(Todo::all_in("home"));

        let runs = Rc::new(RefCell::new(vec![0; 500]));
        let orders = Rc::new(Cell::new(0));
        let (_page, todos) = mount(&client, || use_watch(Todo::all_in("home")));
        todos.loaded().await;
        let rows = todos.rows();
        let (_items, ()) = mount(&client, || {
            for (index, row) in rows.iter().cloned().enumerate() {
                let runs = Rc::clone(&runs);
                Effect::new(move || {
                    row.with(|_| runs.borrow_mut()[index] += 1);
                });
            }
            let orders = Rc::clone(&orders);
            Effect::new(move || {
                todos.rows();
                orders.set(orders.get() + 1);
            });
        });
        until("every row has run", || runs.borrow().iter().all(|&count| count == 1)).await;

        // somebody else's edit
        other.update::<Todo>("home", "77", |todo| todo.text = "after".into()).await.unwrap();
        until("the edit shows", || rows[77].get().text == "after").await;
        settle().await;
        assert_eq!((runs.borrow()[77], runs.borrow().iter().sum::<i32>()), (2, 501));

        // our own: shown at once, and confirmed without another run
        todos.update("78", |todo| todo.text = "after".into()).await.unwrap();
        until("the edit is confirmed", || rows[78].state() == RowState::Confirmed).await;
        settle().await;
        assert_eq!((runs.borrow()[78], runs.borrow().iter().sum::<i32>()), (2, 502));
        assert_eq!(orders.get(), 1);

        // a move and a deletion touch the order, and no row but the one that moves
        todos.update("79", |todo| todo.position = 1000.0).await.unwrap();
        todos.delete("80").await.unwrap();
        until("both show", || todos.rows().len() == 499).await;
        settle().await;
        assert_eq!((runs.borrow()[79], runs.borrow().iter().sum::<i32>()), (2, 503));
        assert_eq!(todos.rows()[498], rows[79], "a handle outlives a move");
    });
}

#[test]
fn ten_thousand_rows_come_and_go() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(0, "stays")]);
        let client = connect(server, connector.clone());
        let other = Client::builder("memory").connector(connector).build();
        other.register::<Todo>();

        let (_page, todos) = mount(&client, || use_watch(Todo::all_in("home")));
        // a keyed list: an item of its own for each key, gone when the key is
        let (_list, ()) = mount(&client, || {
            let items = RefCell::new(HashMap::<Key, Owner>::new());
            Effect::new(move || {
                let rows = todos.rows();
                let mut items = items.borrow_mut();
                let there: std::collections::HashSet<Key> = rows.iter().map(Row::key).collect();
                items.retain(|key, _| there.contains(key));
                for row in rows {
                    items.entry(row.key()).or_insert_with(|| {
                        let item = Owner::new();
                        item.with(|| Effect::new(move || row.with(|todo| assert!(!todo.text.is_empty()))));
                        item
                    });
                }
            });
        });
        todos.loaded().await;
        settle().await;
        let before = live();

        let batches = |op: fn(u32) -> RowOp| {
            (0..10)
                .map(move |batch| RowOps { ops: (0..1000).map(|row| op(1 + batch * 1000 + row)).collect() })
        };
        for ops in batches(|row| RowOp::put(&Todo::at(row, "goes")).unwrap()) {
            other.write("home", ops).await.unwrap();
        }
        until("all rows show", || todos.rows().len() == 10_001).await;
        settle().await;
        assert!(live() > before + 10_000);
        for ops in batches(|row| RowOp::delete::<Todo>(&row.to_string())) {
            other.write("home", ops).await.unwrap();
        }
        until("all rows are gone", || todos.rows().len() == 1).await;
        until("and nothing of them is left", || live() == before).await;
    });
}

#[test]
fn a_row_that_comes_back_at_once_keeps_its_handle() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(1, "Milk"), Todo::at(2, "Bread")]);
        let client = connect(server, connector);
        let (_page, todos) = mount(&client, || use_watch(Todo::all_in("home")));
        todos.loaded().await;
        let rows = todos.rows();

        // no list has looked in between: it still shows what it made of the first handle
        drop(todos.delete("1"));
        drop(todos.put(Todo::at(1, "Oat milk")));
        until("the row is back", || rows[0].get().text == "Oat milk").await;
        assert_eq!(todos.rows(), rows);
    });
}

#[test]
fn a_row_that_cannot_be_read_is_named_and_skipped() {
    run(async {
        let (mut server, connector) = Server::new::<OtherTodo>();
        let other = |id: &str, text: Option<&str>| OtherTodo {
            id: id.into(),
            text: text.map(Into::into),
            position: 1.0,
        };
        server.store("home", [other("good", Some("Milk")), other("bad", None)]);
        let client = connect(server, connector);
        let (_page, todos) = mount(&client, || use_watch(Todo::all_in("home")));
        todos.loaded().await;
        assert_eq!(texts(todos), ["Milk"]);
        let error = todos.error().unwrap();
        assert_eq!((error.code(), error.field()), (syncline::code::BAD_ROW, Some("todos/bad")));
    });
}

#[test]
fn stopped_it_keeps_its_rows_and_starts_again() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        let gauges = server.gauges();
        server.store("home", [Todo::at(1, "Milk")]);
        let client = connect(server, connector.clone());
        let other = Client::builder("memory").connector(connector).build();
        let (_page, (todos, shown)) = mount(&client, || {
            let (todos, shown) = (use_watch(Todo::all_in("home")), StoredValue::new(Vec::new()));
            Effect::new(move || shown.update_value(|shown| shown.push(todos.rows().len())));
            (todos, shown)
        });
        todos.loaded().await;
        settle().await;
        todos.stop();
        until("it is stopped", || todos.status() == Status::Closed).await;
        until("the subscription ends", || gauges().subscriptions == 0).await;
        other.put("home", Todo::at(2, "Bread")).await.unwrap();
        settle().await;
        assert_eq!(texts(todos), ["Milk"]);

        todos.start();
        until("it has caught up", || texts(todos) == ["Milk", "Bread"]).await;
        assert_eq!((todos.status(), gauges().subscriptions), (Status::Live, 1));
        settle().await;
        let since_loaded: Vec<_> = shown.get_value().into_iter().skip_while(|rows| *rows == 0).collect();
        assert_eq!(since_loaded, [1, 2], "it was not empty in between");
    });
}

#[test]
fn stopped_it_can_be_asked_for_more_rows_and_goes_on_from_those_it_shows() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        let gauges = server.gauges();
        server.store("home", [Todo::at(1, "Milk"), Todo::at(2, "Bread"), Todo::at(3, "Eggs")]);
        let client = connect(server, connector);
        let limit = RwSignal::new(1);
        let (_page, (todos, shown)) = mount(&client, || {
            let todos = use_watch(move || Some(Todo::all_in("home").limit(limit.get())));
            let shown = StoredValue::new(Vec::new());
            Effect::new(move || shown.update_value(|shown| shown.push(todos.rows().len())));
            (todos, shown)
        });
        todos.loaded().await;
        settle().await;
        todos.stop();
        until("it is stopped", || todos.status() == Status::Closed).await;
        limit.set(2);
        settle().await;
        assert_eq!((texts(todos), gauges().subscriptions), (vec!["Milk".to_owned()], 0));

        todos.start();
        until("there are more", || texts(todos) == ["Milk", "Bread"]).await;
        settle().await;
        let since_loaded: Vec<_> = shown.get_value().into_iter().skip_while(|rows| *rows == 0).collect();
        assert!(since_loaded.iter().all(|rows| *rows > 0), "{since_loaded:?}");
        assert_eq!((todos.status(), gauges().subscriptions), (Status::Live, 1));
    });
}

#[test]
fn a_longer_window_keeps_what_the_shorter_one_showed() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(1, "Milk"), Todo::at(2, "Bread"), Todo::at(3, "Eggs")]);
        let client = connect(server, connector);
        let (_page, (limit, todos, seen)) = mount(&client, || {
            let (limit, seen) = (RwSignal::new(1), StoredValue::new(Vec::new()));
            let todos = use_watch(move || Some(Todo::all_in("home").limit(limit.get())));
            Effect::new(move || {
                seen.update_value(|seen| seen.push((todos.rows().len(), todos.is_loading())));
            });
            (limit, todos, seen)
        });
        todos.loaded().await;
        limit.set(3);
        until("the longer list is there", || texts(todos).len() == 3).await;
        limit.set(2);
        until("the shorter list is there", || texts(todos).len() == 2).await;
        settle().await;
        let seen = seen.get_value().into_iter().skip_while(|(rows, _)| *rows == 0).collect::<Vec<_>>();
        assert!(seen.iter().all(|(rows, loading)| *rows > 0 && !loading), "{seen:?}");
    });
}

#[test]
fn optimistic_rows_are_the_applications_own() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        let client = connect(server, connector);
        let (_page, todos) = mount(&client, || use_watch(Todo::all_in("home")));
        todos.loaded().await;

        todos.add_optimistic(Todo::at(1, "Milk")).unwrap();
        until("the row shows", || texts(todos) == ["Milk"]).await;
        let row = todos.rows().remove(0);
        assert!(row.is_pending());
        assert!(todos.mark_failed("1", "no luck"));
        until("it is marked", || row.error().is_some_and(|error| error.message() == "no luck")).await;
        assert!(todos.remove_optimistic("1"));
        until("it is gone", || todos.rows().is_empty()).await;
    });
}

/// In the environment of a test's other process.
const CHILD: &str = "SYNCLINE_TEST_CHILD";

#[test]
fn waiting_for_rows_outside_of_a_suspend_is_nothing_to_warn_of() {
    if env::var_os(CHILD).is_some() {
        return run(async {
            let (server, connector) = Server::new::<Todo>();
            let client = connect(server, connector);
            let (_page, todos) = mount(&client, || use_watch(Todo::all_in("home")));
            spawn_local(todos.loaded()).await.unwrap();
        });
    }
    // what leptos warns of it says to the console, natively to whoever reads the errors
    let test = "waiting_for_rows_outside_of_a_suspend_is_nothing_to_warn_of";
    let mut child = Command::new(env::current_exe().unwrap());
    let said = child.args([test, "--exact", "--nocapture"]).env(CHILD, "").output().unwrap();
    assert!(said.status.success());
    let told = String::from_utf8_lossy(&said.stdout);
    assert!(told.contains("1 passed"), "{told}");
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(!said.contains("outside a reactive tracking context"), "{said}");
}
