//! The children of a watch's rows, on a page without a screen.
#![cfg(not(any(target_family = "wasm", feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "support/page.rs"]
mod page;
#[path = "../../syncline/tests/support/server.rs"]
mod server;
#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use std::collections::BTreeMap;
use std::time::Duration;

use dioxus::prelude::*;
use page::{Page, Probe, run};
use server::Server;
use syncline::{Client, Query, RowState};
use syncline_dioxus::{Row, UseRelated, UseWatch, use_watch};
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
    (keys(&related.of(parent)), related.count(parent))
}

type Runs = Probe<BTreeMap<String, Vec<Vec<String>>>>;

#[component]
fn Parts(todos: UseWatch<Todo>, parent: String, runs: Runs) -> Element {
    let parts = keys(&todos.related(Todo::text).of(&parent));
    runs.change(|runs| runs.entry(parent.clone()).or_default().push(parts.clone()));
    rsx! { "{parts.len()}" }
}

#[component]
fn Part(row: Row<Todo>, shows: Probe<Vec<f64>>) -> Element {
    let position = use_memo(move || row.get().position);
    shows.change(|shows| shows.push(position()));
    rsx! {}
}

#[component]
fn PartsOf(todos: UseWatch<Todo>, row: Row<Todo>, shows: Probe<Vec<f64>>) -> Element {
    let parts = use_memo(move || todos.related(Todo::text).of(row.key()));
    rsx! {
        for row in parts() {
            Part { key: "{row.key()}", row, shows: shows.clone() }
        }
    }
}

#[test]
fn children_of_a_row_that_stays_in_another_list_go_on_being_shown() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(1, ""), Todo::at(10, "1")]);
        let client = connect(server, connector);
        let (shows, probe) = (Probe::new(Vec::new()), Probe::new(None));
        let mut page = Page::mount(&client, {
            let (shows, probe) = (shows.clone(), probe.clone());
            move || {
                let below = use_signal(|| 100.0);
                let todos = use_watch(move || Some(whole(50).filter(Todo::position.lt(below()))));
                probe.change(|probe| *probe = Some((below, todos)));
                rsx! {
                    for row in todos.rows() {
                        PartsOf { key: "{row.key()}", todos, row, shows: shows.clone() }
                    }
                }
            }
        });
        let (mut below, todos) = probe.look(|probe| probe.unwrap());
        let shown = || shows.look(|shows| shows.last().copied());
        page.until("the part shows", || shown() == Some(10.0)).await;
        for (step, position) in [(50.0, 11.0), (100.0, 12.0)] {
            below.set(step);
            page.until("it has gone over", || !todos.is_loading() && todos.rows().len() == 1).await;
            page.settle().await;
            todos.related(Todo::text).update("10", |part| part.position = position).await.unwrap();
            page.until("an edit shows", || shown() == Some(position)).await;
        }
    });
}

#[test]
fn what_reads_one_parents_children_runs_when_these_change() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(1, ""), Todo::at(2, ""), Todo::at(10, "1")]);
        let client = connect(server, connector);
        let (runs, probe) = (Runs::new(BTreeMap::new()), Probe::new(None));
        let mut page = Page::mount(&client, {
            let (runs, probe) = (runs.clone(), probe.clone());
            move || {
                let todos = use_watch(whole(50));
                probe.change(|probe| *probe = Some(todos));
                rsx! {
                    for parent in ["1", "2"] {
                        Parts { key: "{parent}", todos, parent, runs: runs.clone() }
                    }
                }
            }
        });
        let todos: UseWatch<Todo> = probe.look(|probe| probe.unwrap());
        let related = todos.related(Todo::text);
        page.until("the part shows", || parts(related, "1") == (vec!["10".into()], 1)).await;
        assert_eq!(parts(related, "2"), (vec![], 0));
        page.settle().await;
        let before = runs.look(|runs| runs["1"].len());

        let write = related.put(Todo::at(20, "2"));
        page.until("the own part shows", || parts(related, "2") == (vec!["20".into()], 1)).await;
        assert!(related.of("2")[0].is_pending());
        write.await.unwrap();
        page.until("it is confirmed", || related.of("2")[0].state() == RowState::Confirmed).await;
        related.delete("20").await.unwrap();
        page.until("it is gone", || parts(related, "2") == (vec![], 0)).await;
        page.settle().await;
        assert_eq!(runs.look(|runs| runs["1"].len()), before, "the other parent's part is another matter");
        assert_eq!(runs.look(|runs| runs["2"].last().cloned()), Some(vec![]));
    });
}

#[test]
fn a_longer_list_keeps_the_children_it_has_and_another_list_has_none_of_them() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(1, ""), Todo::at(2, ""), Todo::at(10, "1"), Todo::at(20, "2")]);
        let client = connect(server, connector);
        let probe = Probe::new(None);
        let mut page = Page::mount(&client, {
            let probe = probe.clone();
            move || {
                let limit = use_signal(|| 1);
                let todos = use_watch(move || match limit() {
                    0 => Todo::all_in("elsewhere"),
                    limit => whole(limit),
                });
                probe.change(|probe| *probe = Some((todos, limit)));
                rsx! { "{todos.rows().len()}" }
            }
        });
        let (todos, mut limit): (UseWatch<Todo>, Signal<u32>) = probe.look(|probe| probe.unwrap());
        let related = todos.related(Todo::text);
        page.until("the part shows", || parts(related, "1") == (vec!["10".into()], 1)).await;
        assert_eq!(parts(related, "2"), (vec![], 0), "its parent is not in the list");
        let row = related.of("1")[0].clone();
        limit.set(2);
        let all_there = || {
            assert_eq!(parts(related, "1"), (vec!["10".into()], 1), "never without it");
            parts(related, "2") == (vec!["20".into()], 1)
        };
        page.until("the other part shows too", all_there).await;
        assert!(related.of("1")[0] == row, "with the handle it had");
        limit.set(0);
        assert_eq!(parts(related, "1"), (vec![], 0), "at once");
        page.until("the other list is there", || todos.rows().is_empty() && !todos.is_loading()).await;
        assert_eq!(parts(related, "1"), (vec![], 0));
    });
}

#[component]
fn Whole(todos: UseWatch<Todo>, row: Row<Todo>) -> Element {
    rsx! { "{todos.related(Todo::text).of(row.key()).len()}" }
}

#[test]
fn children_of_rows_that_left_are_let_go_of() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        let client = connect(server, connector);
        let probe = Probe::new(None);
        let mut page = Page::mount(&client, {
            let probe = probe.clone();
            move || {
                let todos = use_watch(whole(50));
                probe.change(|probe| *probe = Some(todos));
                rsx! {
                    for row in todos.rows() {
                        Whole { key: "{row.key()}", todos, row }
                    }
                }
            }
        });
        let todos: UseWatch<Todo> = probe.look(|probe| probe.unwrap());
        page.until("it has loaded", || !todos.is_loading()).await;
        let related = todos.related(Todo::text);
        let (before, mut most) = (live(), 0);
        for n in 0..200 {
            todos.put(Todo::at(n, ""));
            related.put(Todo::at(1000 + n, &n.to_string()));
            page.until("both show", || parts(related, &n.to_string()).0.len() == 1).await;
            todos.delete(n.to_string());
            related.delete((1000 + n).to_string()).await.unwrap();
            page.until("both are gone", || todos.rows().is_empty()).await;
            most = most.max(live());
        }
        page.settle().await;
        assert!(most <= before + 40, "{most} to-dos at a time");
    });
}
