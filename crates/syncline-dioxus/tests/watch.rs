//! `use_watch`, on a page without a screen.
#![cfg(not(any(target_family = "wasm", feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "support/page.rs"]
mod page;
#[path = "../../syncline/tests/support/server.rs"]
mod server;
#[path = "../../syncline/tests/support/todo.rs"]
mod todo;

use std::time::Duration;

use dioxus::prelude::*;
use page::{Page, Probe, run};
use server::Server;
use syncline::transport::memory::MemoryConnector;
use syncline::{Client, RowOp, RowOps, RowState, Status};
use syncline_dioxus::{IntoQuery, Row, UseWatch, use_connection, use_watch};
use todo::{OtherTodo, Todo, live};
use tokio::task::spawn_local;

fn texts(watch: UseWatch<Todo>) -> Vec<String> {
    watch.records().into_iter().map(|todo| todo.text).collect()
}

/// A client of a server that runs, and does not close the connection by itself.
fn connect(server: Server, connector: MemoryConnector) -> Client {
    spawn_local(server.serve());
    Client::builder("memory").connector(connector).linger(Duration::from_secs(3600)).build()
}

/// Mounts a component that is nothing but the hook.
fn mount(client: &Client, query: impl IntoQuery<Todo> + Clone + 'static) -> (Page, UseWatch<Todo>) {
    let probe = Probe::new(None);
    let component = {
        let probe = probe.clone();
        move || {
            let todos = use_watch(query.clone());
            probe.change(|probe| *probe = Some(todos));
            rsx! { "{todos.rows().len()}" }
        }
    };
    let page = Page::mount(client, component);
    let todos = probe.look(|probe| probe.unwrap());
    (page, todos)
}

#[test]
fn rows_come_from_the_server_and_go_to_it() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(2, "Bread"), Todo::at(1, "Milk")]);
        let client = connect(server, connector);
        let (mut page, todos) = mount(&client, Todo::all_in("home"));
        assert!(todos.is_loading() && todos.rows().is_empty());

        page.until("it has loaded", || !todos.is_loading()).await;
        assert_eq!(texts(todos), ["Milk", "Bread"]);
        assert_eq!((todos.status(), todos.error(), todos.is_loading()), (Status::Live, None, false));

        let write = todos.put(Todo::at(3, "Eggs"));
        page.until("the new row shows", || todos.rows().len() == 3).await;
        assert!(todos.rows()[2].is_pending());
        write.await.unwrap();
        page.until("the new row is confirmed", || todos.rows()[2].state() == RowState::Confirmed).await;

        todos.update("1", |todo| todo.text = "Oat milk".into()).await.unwrap();
        todos.delete("2").await.unwrap();
        page.until("both writes show", || texts(todos) == ["Oat milk", "Eggs"]).await;
    });
}

#[component]
fn Hooks(probe: Probe<Option<UseWatch<Todo>>>) -> Element {
    use_connection();
    let todos = use_watch(Todo::all_in("home"));
    probe.change(|probe| *probe = Some(todos));
    rsx! { "{todos.rows().len()}" }
}

#[test]
fn unmounting_ends_everything() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        let gauges = server.gauges();
        let client = connect(server, connector);
        let (probe, shown) = (Probe::new(None), Probe::new(None));
        let mut page = Page::mount(&client, {
            let (probe, shown) = (probe.clone(), shown.clone());
            move || {
                let there = use_signal(|| true);
                shown.change(|shown| *shown = Some(there));
                rsx! {
                    if there() {
                        Hooks { probe: probe.clone() }
                    }
                }
            }
        });
        let todos = probe.look(|probe| probe.unwrap());
        page.until("it has loaded", || !todos.is_loading()).await;
        assert_eq!(gauges().subscriptions, 1);

        shown.look(|shown| shown.unwrap()).set(false);
        page.until("the subscription ends", || gauges().subscriptions == 0).await;
        assert_eq!(gauges().connections, 1);

        assert_eq!((todos.rows().len(), todos.status(), todos.is_loading()), (0, Status::Idle, false));
        todos.loaded().await;
        assert_eq!(todos.put(Todo::at(1, "Milk")).await.unwrap_err().code(), syncline::code::CLOSED);
        todos.stop();

        // whatever a hook had left behind would keep the client, and the client its connection
        drop((page, client));
        let mut nothing = Page::mount(&Client::new("/nowhere"), || rsx! {});
        nothing.until("the connection ends", || gauges().connections == 0).await;
    });
}

type Runs = Probe<Vec<(String, Vec<String>)>>;

/// A title and a list: what the query is made of may be a signal, a memo of it, or a prop.
#[component]
fn Room(room: Signal<String>, runs: [Runs; 3]) -> Element {
    let name = use_memo(move || room.cloned());
    let todos = [
        use_watch(move || Some(Todo::all_in(&room()))),
        use_watch(move || Some(Todo::all_in(&name()))),
        use_watch(Todo::all_in(&room())),
    ];
    for (todos, runs) in todos.into_iter().zip(&runs) {
        runs.change(|runs| runs.push((room(), texts(todos))));
    }
    rsx! {}
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
        let runs: [Runs; 3] = std::array::from_fn(|_| Probe::new(Vec::new()));
        let probe = Probe::new(None);
        let mut page = Page::mount(&client, {
            let (runs, probe) = (runs.clone(), probe.clone());
            move || {
                let room = use_signal(|| "one".to_owned());
                // at once: the signal has changed, nothing else has run yet
                let todos = use_watch(move || Some(Todo::all_in(&room())));
                probe.change(|probe| *probe = Some((room, todos)));
                rsx! { Room { room, runs: runs.clone() } }
            }
        });
        let (mut room, todos) = probe.look(|probe| probe.unwrap());
        let shows = |name: &str| {
            let last = |runs: &Runs| runs.look(|runs| runs.last().cloned().unwrap());
            runs.iter().map(last).all(|(title, texts)| title == name && texts.len() == 3)
        };
        page.until("the first room shows", || shows("one")).await;

        room.set("two".into());
        assert_eq!((todos.rows().len(), todos.status(), todos.error()), (0, Status::Idle, None));
        assert!(todos.is_loading());
        page.until("the second room shows", || shows("two")).await;
        assert_eq!(gauges().subscriptions, 1);

        // there and back before anything ran: it was never another room
        room.set("one".into());
        room.set("two".into());
        assert_eq!(texts(todos), ["two"; 3]);
        for turn in 0..6 {
            room.set(if turn % 2 == 0 { "one".into() } else { "two".into() });
            for _ in 0..turn {
                page.turn().await;
            }
        }
        room.set("one".into());
        page.until("the last room shows", || shows("one")).await;
        page.until("one subscription is left", || gauges().subscriptions == 1).await;
        for runs in &runs {
            runs.look(|runs| {
                for (title, texts) in runs {
                    assert!(texts.iter().all(|text| text == title), "{title} shows {texts:?}");
                }
            });
        }
    });
}

/// A row as most people write it: what it shows is read once for all its runs.
#[component]
fn MemoItem(row: Row<Todo>, shows: Probe<Vec<String>>) -> Element {
    let text = use_memo(move || row.get().text);
    shows.change(|shows| shows.push(text()));
    rsx! {}
}

#[test]
fn a_row_that_stays_in_another_list_goes_on_being_shown() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        for space in ["home", "work"] {
            server.store(space, [Todo::at(1, space)]);
        }
        let client = connect(server, connector);
        let (probe, shows) = (Probe::new(None), Probe::new(Vec::new()));
        let mut page = Page::mount(&client, {
            let (probe, shows) = (probe.clone(), shows.clone());
            move || {
                let wanted = use_signal(|| ("home", false));
                let todos = use_watch(move || {
                    let (space, part) = wanted();
                    let all = Todo::all_in(space);
                    Some(if part { all.filter(Todo::position.lt(9.0)) } else { all })
                });
                probe.change(|probe| *probe = Some((wanted, todos)));
                rsx! {
                    for row in todos.rows() {
                        MemoItem { key: "{row.key()}", row, shows: shows.clone() }
                    }
                }
            }
        });
        let (mut wanted, todos) = probe.look(|probe| probe.unwrap());
        let shown = || shows.look(|shows| shows.last().cloned());
        page.until("the row shows", || shown().as_deref() == Some("home")).await;
        // a part of the same list, whose rows are there already; then another list with a row of the same key
        for next in [("home", true), ("work", true), ("home", false)] {
            wanted.set(next);
            page.until("it shows there", || shown().as_deref() == Some(next.0)).await;
            todos.update("1", |todo| todo.text = "edited".into()).await.unwrap();
            page.until("an edit shows", || shown().as_deref() == Some("edited")).await;
            todos.update("1", |todo| todo.text = next.0.into()).await.unwrap();
            page.until("it shows as before", || shown().as_deref() == Some(next.0)).await;
        }
    });
}

#[component]
fn Waiting(todos: UseWatch<Todo>, shows: Probe<Vec<bool>>) -> Element {
    shows.change(|shows| shows.push(todos.is_loading()));
    rsx! {}
}

#[component]
fn Chosen(list: Option<String>, shows: Probe<Vec<bool>>) -> Element {
    // a prop, and no signal
    let todos = use_watch(list.map(|list| Todo::all_in(&list)));
    rsx! { Waiting { todos, shows } }
}

#[test]
fn who_reads_only_that_it_loads_is_told_of_a_query_that_reads_no_signal() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        let client = connect(server, connector);
        let (probe, shows) = (Probe::new(None), Probe::new(Vec::new()));
        let mut page = Page::mount(&client, {
            let (probe, shows) = (probe.clone(), shows.clone());
            move || {
                let list = use_signal(|| None);
                probe.change(|probe| *probe = Some(list));
                rsx! { Chosen { list: list(), shows: shows.clone() } }
            }
        });
        let mut list = probe.look(|probe| probe.unwrap());
        page.settle().await;
        assert_eq!(shows.look(|shows| shows.last().copied()), Some(false));
        list.set(Some("home".to_owned()));
        page.until("it loads", || shows.look(|shows| shows.contains(&true))).await;
        page.until("it has loaded", || shows.look(|shows| shows.last() == Some(&false))).await;
    });
}

#[test]
fn no_query_yet_is_idle() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        let gauges = server.gauges();
        server.store("home", [Todo::at(1, "Milk")]);
        let client = connect(server, connector);
        let probe = Probe::new(None);
        let mut page = Page::mount(&client, {
            let probe = probe.clone();
            move || {
                let list = use_signal(|| None::<String>);
                let todos = use_watch(move || Some(Todo::all_in(&list()?)));
                probe.change(|probe| *probe = Some((list, todos)));
                rsx! {}
            }
        });
        let (mut list, todos) = probe.look(|probe| probe.unwrap());
        page.settle().await;
        assert_eq!((todos.status(), todos.is_loading(), todos.rows().len()), (Status::Idle, false, 0));
        assert!(todos.add_optimistic(Todo::at(2, "Bread")).is_err());

        list.set(Some("home".into()));
        page.until("it has loaded", || !todos.is_loading()).await;
        assert_eq!(texts(todos), ["Milk"]);
        list.set(None);
        assert_eq!((todos.status(), todos.rows().len()), (Status::Idle, 0));
        page.until("the subscription ends", || gauges().subscriptions == 0).await;
    });
}

#[component]
fn Item(row: Row<Todo>, runs: Probe<Vec<i32>>) -> Element {
    let index: usize = row.key().as_str().parse().unwrap();
    runs.change(|runs| runs[index] += 1);
    rsx! { {row.get().text} }
}

#[component]
fn List(todos: UseWatch<Todo>, items: Probe<Vec<i32>>, runs: Probe<i32>) -> Element {
    runs.change(|runs| *runs += 1);
    rsx! {
        for row in todos.rows() {
            Item { key: "{row.key()}", row, runs: items.clone() }
        }
    }
}

#[test]
fn an_update_runs_what_reads_that_row_and_nothing_else() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", (0..500).map(|position| Todo::at(position, "before")));
        let client = connect(server, connector.clone());
        let other = Client::builder("memory").connector(connector).build();
        let _watched = other.watch(Todo::all_in("home"));

        let (items, lists, probe) = (Probe::new(vec![0; 500]), Probe::new(0), Probe::new(None));
        let mut page = Page::mount(&client, {
            let (items, lists, probe) = (items.clone(), lists.clone(), probe.clone());
            move || {
                let todos = use_watch(Todo::all_in("home"));
                probe.change(|probe| *probe = Some(todos));
                rsx! { List { todos, items: items.clone(), runs: lists.clone() } }
            }
        });
        let todos = probe.look(|probe| probe.unwrap());
        let runs = |index: usize| items.look(|items| (items[index], items.iter().sum::<i32>()));
        page.until("every row has run", || items.look(|items| items.iter().all(|&count| count == 1))).await;
        let (rows, orders) = (todos.rows(), lists.look(|lists| *lists));

        // somebody else's edit
        other.update::<Todo>("home", "77", |todo| todo.text = "after".into()).await.unwrap();
        page.until("the edit shows", || rows[77].get().text == "after").await;
        page.settle().await;
        assert_eq!(runs(77), (2, 501));

        // our own: shown at once, and confirmed without another run
        todos.update("78", |todo| todo.text = "after".into()).await.unwrap();
        page.until("the edit is confirmed", || rows[78].state() == RowState::Confirmed).await;
        page.settle().await;
        assert_eq!(runs(78), (2, 502));
        assert_eq!(lists.look(|lists| *lists), orders);

        // a move and a deletion touch the order, and no row but the one that moves
        todos.update("79", |todo| todo.position = 1000.0).await.unwrap();
        todos.delete("80").await.unwrap();
        page.until("both show", || todos.rows().len() == 499).await;
        page.settle().await;
        assert_eq!(runs(79), (2, 503));
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

        let (items, lists, probe) = (Probe::new(vec![0; 10_001]), Probe::new(0), Probe::new(None));
        let mut page = Page::mount(&client, {
            let (items, lists, probe) = (items.clone(), lists.clone(), probe.clone());
            move || {
                let todos = use_watch(Todo::all_in("home"));
                probe.change(|probe| *probe = Some(todos));
                rsx! { List { todos, items: items.clone(), runs: lists.clone() } }
            }
        });
        let todos = probe.look(|probe| probe.unwrap());
        page.until("it has loaded", || !todos.is_loading()).await;
        page.settle().await;
        let before = live();

        let batches = |op: fn(u32) -> RowOp| {
            (0..10)
                .map(move |batch| RowOps { ops: (0..1000).map(|row| op(1 + batch * 1000 + row)).collect() })
        };
        for ops in batches(|row| RowOp::put(&Todo::at(row, "goes")).unwrap()) {
            other.write("home", ops).await.unwrap();
        }
        page.until("all rows show", || todos.rows().len() == 10_001).await;
        page.settle().await;
        assert!(live() > before + 10_000);
        for ops in batches(|row| RowOp::delete::<Todo>(&row.to_string())) {
            other.write("home", ops).await.unwrap();
        }
        page.until("all rows are gone", || todos.rows().len() == 1).await;
        page.until("and nothing of them is left", || live() == before).await;
    });
}

#[test]
fn a_row_that_comes_back_at_once_keeps_its_handle() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("home", [Todo::at(1, "Milk"), Todo::at(2, "Bread")]);
        let client = connect(server, connector);
        let (mut page, todos) = mount(&client, Todo::all_in("home"));
        page.until("it has loaded", || !todos.is_loading()).await;
        let rows = todos.rows();

        // no list has looked in between: it still shows what it made of the first handle
        drop(todos.delete("1"));
        drop(todos.put(Todo::at(1, "Oat milk")));
        page.until("the row is back", || rows[0].get().text == "Oat milk").await;
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
        let (mut page, todos) = mount(&client, Todo::all_in("home"));
        page.until("it has loaded", || !todos.is_loading()).await;
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
        let (mut page, todos) = mount(&client, Todo::all_in("home"));
        page.until("it has loaded", || !todos.is_loading()).await;

        todos.stop();
        page.until("it is stopped", || todos.status() == Status::Closed).await;
        page.until("the subscription ends", || gauges().subscriptions == 0).await;
        other.put("home", Todo::at(2, "Bread")).await.unwrap();
        page.settle().await;
        assert_eq!(texts(todos), ["Milk"]);

        todos.start();
        page.until("it has caught up", || texts(todos) == ["Milk", "Bread"]).await;
        assert_eq!((todos.status(), gauges().subscriptions), (Status::Live, 1));
    });
}

#[test]
fn stopped_it_can_be_asked_for_more_rows_and_goes_on_from_those_it_shows() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        let gauges = server.gauges();
        server.store("home", [Todo::at(1, "Milk"), Todo::at(2, "Bread"), Todo::at(3, "Eggs")]);
        let client = connect(server, connector);
        let (probe, shown) = (Probe::new(None), Probe::new(Vec::new()));
        let mut page = Page::mount(&client, {
            let (probe, shown) = (probe.clone(), shown.clone());
            move || {
                let limit = use_signal(|| 1);
                let todos = use_watch(move || Some(Todo::all_in("home").limit(limit())));
                probe.change(|probe| *probe = Some((limit, todos)));
                shown.change(|shown| shown.push(todos.rows().len()));
                rsx! {}
            }
        });
        let (mut limit, todos) = probe.look(|probe| probe.unwrap());
        page.until("it has loaded", || !todos.is_loading()).await;
        todos.stop();
        page.until("it is stopped", || todos.status() == Status::Closed).await;
        limit.set(2);
        page.settle().await;
        assert_eq!((texts(todos), gauges().subscriptions), (vec!["Milk".to_owned()], 0));

        todos.start();
        page.until("there are more", || texts(todos) == ["Milk", "Bread"]).await;
        page.settle().await;
        let shown = shown.look(|shown| shown.clone());
        let since_loaded: Vec<_> = shown.into_iter().skip_while(|rows| *rows == 0).collect();
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
        let (probe, seen) = (Probe::new(None), Probe::new(Vec::new()));
        let mut page = Page::mount(&client, {
            let (probe, seen) = (probe.clone(), seen.clone());
            move || {
                let limit = use_signal(|| 1);
                let todos = use_watch(move || Some(Todo::all_in("home").limit(limit())));
                probe.change(|probe| *probe = Some((limit, todos)));
                seen.change(|seen| seen.push((todos.rows().len(), todos.is_loading())));
                rsx! {}
            }
        });
        let (mut limit, todos) = probe.look(|probe| probe.unwrap());
        page.until("it has loaded", || !todos.is_loading()).await;
        limit.set(3);
        page.until("the longer list is there", || texts(todos).len() == 3).await;
        limit.set(2);
        page.until("the shorter list is there", || texts(todos).len() == 2).await;
        page.settle().await;
        let seen = seen.look(|seen| seen.clone());
        let seen: Vec<_> = seen.into_iter().skip_while(|(rows, _)| *rows == 0).collect();
        assert!(seen.len() >= 3 && seen.iter().all(|(rows, loading)| *rows > 0 && !loading), "{seen:?}");
    });
}

#[test]
fn optimistic_rows_are_the_applications_own() {
    run(async {
        let (server, connector) = Server::new::<Todo>();
        let client = connect(server, connector);
        let (mut page, todos) = mount(&client, Todo::all_in("home"));
        page.until("it has loaded", || !todos.is_loading()).await;

        todos.add_optimistic(Todo::at(1, "Milk")).unwrap();
        page.until("the row shows", || texts(todos) == ["Milk"]).await;
        let row = todos.rows().remove(0);
        assert!(row.is_pending());
        assert!(todos.mark_failed("1", "no luck"));
        page.until("it is marked", || row.error().is_some_and(|error| error.message() == "no luck")).await;
        assert!(todos.remove_optimistic("1"));
        page.until("it is gone", || todos.rows().is_empty()).await;
    });
}

#[component]
fn Suspended(list: Signal<String>) -> Element {
    let todos = use_watch(move || Some(Todo::all_in(&list())));
    todos.suspend()?;
    rsx! {
        for row in todos.rows() {
            p { key: "{row.key()}", {row.get().text} }
        }
    }
}

#[test]
fn a_suspense_boundary_waits_for_the_first_rows() {
    run(async {
        let (mut server, connector) = Server::new::<Todo>();
        server.store("one", [Todo::at(1, "Milk")]);
        server.store("two", [Todo::at(1, "Bread")]);
        let client = Client::builder("memory").connector(connector).build();
        let probe = Probe::new(None);
        let mut page = Page::mount(&client, {
            let probe = probe.clone();
            move || {
                let list = use_signal(|| "one".to_owned());
                probe.change(|probe| *probe = Some(list));
                rsx! {
                    SuspenseBoundary { fallback: |_| rsx! { "Loading…" },
                        Suspended { list }
                    }
                }
            }
        });
        page.settle().await;
        assert_eq!(page.html(), "Loading…");
        spawn_local(server.serve());
        page.until_html("<p>Milk</p>").await;
        probe.look(|probe| probe.unwrap()).set("two".into());
        page.until_html("<p>Bread</p>").await;
    });
}
