//! The children of a watch's rows, on a page without a screen.
#![cfg(not(any(target_family = "wasm", feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "support/page.rs"]
mod page;
#[path = "../../syncline/tests/support/server.rs"]
mod server;
#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use leptos::prelude::*;
use page::{mount, run, settle, until};
use server::Server;
use syncline::{Client, Query, RowState};
use syncline_leptos::{Row, UseRelated, UseWatch, use_watch};
use todo::{Todo, live};
use tokio::task::spawn_local;

/// To-dos that are parts of no other, each with its parts: those whose text is its key.
fn whole(limit: u32) -> Query<Todo> {
    let parts = Todo::text.children().order_by(Todo::position).counted();
    Todo::all_in("home").filter(Todo::text.eq("")).limit(limit).include(parts)
}

fn connect(server: Server, connector: syncline::transport::memory::MemoryConnector) -> Client {
    spawn_local(server.serve());
    Client::builder("memory").connector(connector).linger(Duration::from_secs(3600)).build()
}

fn keys(rows: &[Row<Todo>]) -> Vec<String> {
    rows.iter().map(|row| row.key().to_string()).collect()
}

fn parts(related: UseRelated<Todo, Todo>, parent: &str) -> (Vec<String>, u64) {
    untrack(|| (keys(&related.of(parent)), related.count(parent)))
}

#[test]
fn hooks_can_go_to_other_threads() {
    fn check<T: Copy + Send + Sync>() {}
    check::<UseRelated<Todo, Todo>>();
}

#[test]
fn what_reads_one_parents_children_runs_when_these_change() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(1, ""), Todo::at(2, ""), Todo::at(10, "1")]);
        let client = connect(server, connector);
        let runs = Rc::new(RefCell::new(BTreeMap::<&str, Vec<Vec<String>>>::new()));
        let (_page, todos) = mount(&client, || {
            let todos = use_watch(whole(50));
            for parent in ["1", "2"] {
                let runs = Rc::clone(&runs);
                Effect::new(move || {
                    let parts = keys(&todos.related(Todo::text).of(parent));
                    runs.borrow_mut().entry(parent).or_default().push(parts);
                });
            }
            todos
        });
        todos.loaded().await;
        let related = todos.related(Todo::text);
        until("the part shows", || parts(related, "1") == (vec!["10".into()], 1)).await;
        assert_eq!(parts(related, "2"), (vec![], 0));
        settle().await;
        let before = runs.borrow()["1"].len();

        let write = related.put(Todo::at(20, "2"));
        until("the own part shows", || parts(related, "2") == (vec!["20".into()], 1)).await;
        assert!(untrack(|| related.of("2")[0].is_pending()));
        write.await.unwrap();
        until("it is confirmed", || untrack(|| related.of("2")[0].state()) == RowState::Confirmed).await;
        related.delete("20").await.unwrap();
        until("it is gone", || parts(related, "2") == (vec![], 0)).await;
        settle().await;
        assert_eq!(runs.borrow()["1"].len(), before, "the other parent's part is another matter");
        assert_eq!(runs.borrow()["2"].last(), Some(&vec![]));
    });
}

#[test]
fn a_longer_list_keeps_the_children_it_has_and_another_list_has_none_of_them() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(1, ""), Todo::at(2, ""), Todo::at(10, "1"), Todo::at(20, "2")]);
        let client = connect(server, connector);
        let limit = RwSignal::new(1);
        let (_page, todos) = mount(&client, || {
            use_watch(move || match limit.get() {
                0 => Todo::all_in("elsewhere"),
                limit => whole(limit),
            })
        });
        let related = todos.related(Todo::text);
        until("the part shows", || parts(related, "1") == (vec!["10".into()], 1)).await;
        assert_eq!(parts(related, "2"), (vec![], 0), "its parent is not in the list");
        let row = untrack(|| related.of("1")[0].clone());
        limit.set(2);
        let all_there = || {
            assert_eq!(parts(related, "1"), (vec!["10".into()], 1), "never without it");
            parts(related, "2") == (vec!["20".into()], 1)
        };
        until("the other part shows too", all_there).await;
        assert!(untrack(|| related.of("1")[0] == row), "with the handle it had");
        limit.set(0);
        assert_eq!(parts(related, "1"), (vec![], 0), "at once");
        until("the other list is there", || todos.rows().is_empty() && !todos.is_loading()).await;
        assert_eq!(parts(related, "1"), (vec![], 0));
    });
}

#[test]
fn children_of_rows_that_left_are_let_go_of() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        let client = connect(server, connector);
        let (page, todos): (_, UseWatch<Todo>) = mount(&client, || {
            let todos = use_watch(whole(50));
            // what a component shows: the parts of each row
            Effect::new(move || {
                let related = todos.related(Todo::text);
                todos.rows().iter().for_each(|row| drop(related.of(row.key())));
            });
            todos
        });
        todos.loaded().await;
        let related = todos.related(Todo::text);
        let (before, mut most) = (live(), 0);
        for n in 0..200 {
            todos.put(Todo::at(n, ""));
            related.put(Todo::at(1000 + n, &n.to_string()));
            until("both show", || parts(related, &n.to_string()).0.len() == 1).await;
            todos.delete(n.to_string());
            related.delete((1000 + n).to_string()).await.unwrap();
            until("both are gone", || todos.rows().is_empty()).await;
            most = most.max(live());
        }
        settle().await;
        assert!(most <= before + 40, "{most} to-dos at a time");
        drop((page, client));
    });
}
