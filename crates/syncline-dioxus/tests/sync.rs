//! `use_sync`, on a page without a screen.
#![cfg(not(any(target_family = "wasm", feature = "ssr")))]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "../../syncline/tests/support/channel.rs"]
mod channel;
#[path = "support/page.rs"]
mod page;

use std::time::Duration;

use channel::{NotWanted, Todo, TodoAction, Todos, create, server};
use dioxus::prelude::*;
use page::{Page, Probe, run};
use syncline::hook::IntoChannel;
use syncline::{ActionError, ActionHandle, Channel as _, Client, RowState, Status, code};
use syncline_dioxus::{UseConnection, UseWatch, use_connection, use_sync};
use syncline_testkit::LocalServer;

type SendAction = Callback<TodoAction, ActionHandle<Todos>>;

/// What a component's hooks gave it.
#[derive(Clone, Copy, PartialEq)]
struct Hooks {
    todos: UseWatch<Todo>,
    send: SendAction,
    connection: UseConnection,
}

fn use_hooks(channel: impl IntoChannel<Todos> + 'static) -> Hooks {
    let connection = use_connection();
    let (todos, send) = use_sync(channel);
    Hooks { todos, send: use_callback(send), connection }
}

fn texts(todos: UseWatch<Todo>) -> Vec<String> {
    todos.records().into_iter().map(|todo| todo.text).collect()
}

/// A client that does not close the connection by itself.
fn connect(server: &LocalServer) -> Client {
    Client::builder("local").connector(server.connector()).linger(Duration::from_secs(3600)).build()
}

/// Mounts a component that is nothing but the hooks.
fn mount(client: &Client, channel: impl IntoChannel<Todos> + Clone + 'static) -> (Page, Hooks) {
    let probe = Probe::new(None);
    let component = {
        let probe = probe.clone();
        move || {
            let hooks = use_hooks(channel.clone());
            probe.change(|probe| *probe = Some(hooks));
            rsx! { "{hooks.todos.rows().len()}" }
        }
    };
    let page = Page::mount(client, component);
    let hooks = probe.look(|probe| probe.unwrap());
    (page, hooks)
}

#[test]
fn an_action_shows_at_once_and_settles() {
    run(async {
        let server = server();
        let client = connect(&server);
        let (mut page, Hooks { todos, send, .. }) = mount(&client, Todos::in_space("home"));
        page.until("it has loaded", || !todos.is_loading()).await;
        server.hold_commits();

        let milk = send(create("1", "Milk"));
        page.until("it shows", || texts(todos) == ["Milk"]).await;
        assert!(todos.rows()[0].is_pending());
        page.settle().await;
        assert!(todos.rows()[0].is_pending(), "as long as the server has not stored it");
        server.release_commits();
        assert_eq!(milk.await.unwrap(), 1);
        page.until("it is confirmed", || todos.rows()[0].state() == RowState::Confirmed).await;

        let bread = send(create("2", "Bread"));
        drop(send(TodoAction::Delete { id: "1".into() }));
        assert_eq!(bread.await.unwrap(), 2);
        page.until("all is done", || server.rows(Todos::in_space("home").query()).len() == 1).await;
        page.until("it is seen", || texts(todos) == ["Bread"]).await;
    });
}

#[test]
fn a_refused_action_disappears_alone_and_says_why() {
    run(async {
        let server = server();
        let client = connect(&server);
        let (mut page, Hooks { todos, send, connection }) = mount(&client, Todos::in_space("home"));
        page.until("it has loaded", || !todos.is_loading()).await;
        server.hold_commits();
        drop(send(create("1", "Milk")));
        let wine = send(create("2", "Wine"));
        drop(send(create("3", "Bread")));
        page.until("all of it shows", || texts(todos) == ["Milk", "Wine", "Bread"]).await;

        server.release_commits();
        match wine.await {
            Err(ActionError::Refused(refusal, error)) => {
                assert_eq!((refusal, error.code()), (NotWanted { text: "Wine".into() }, "not_wanted"));
            }
            other => panic!("{other:?}"),
        }
        page.until("it alone is gone", || texts(todos) == ["Milk", "Bread"]).await;
        page.until("all is settled", || connection.pending() == 0).await;
        assert!(connection.refusals().is_empty(), "somebody has waited for it");

        drop(send(create("4", "Wine")));
        page.until("the page is told", || !connection.refusals().is_empty()).await;
        assert_eq!(connection.refusals()[0].message(), "Nobody wants Wine.");
        connection.dismiss_refusals();
        page.until("it has been seen", || connection.refusals().is_empty()).await;
        assert_eq!(texts(todos), ["Milk", "Bread"]);
    });
}

#[test]
fn it_moves_along_with_its_closure() {
    run(async {
        let server = server();
        let client = connect(&server);
        let (probe, names) = (Probe::new(None), Probe::new(None));
        let mut page = Page::mount(&client, {
            let (probe, names) = (probe.clone(), names.clone());
            move || {
                let list = use_signal(|| None::<String>);
                names.change(|names| *names = Some(list));
                let hooks = use_hooks(move || list().map(Todos::in_space));
                probe.change(|probe| *probe = Some(hooks));
                rsx! { "{hooks.todos.rows().len()}" }
            }
        });
        let Hooks { todos, send, .. } = probe.look(|probe| probe.unwrap());
        let mut list = names.look(|names| names.unwrap());
        page.settle().await;
        assert_eq!(todos.status(), Status::Idle);
        let nowhere = send(create("0", "Nothing")).await.unwrap_err();
        assert_eq!(nowhere.error().code(), code::CLOSED);

        for name in ["one", "two"] {
            list.set(Some(name.into()));
            page.until("it has loaded", || todos.status() == Status::Live).await;
            assert_eq!(send(create(name, name)).await.unwrap(), 1);
            page.until("the list shows its own", || texts(todos) == [name]).await;
        }
        list.set(Some("one".into()));
        assert_eq!(todos.rows().len(), 0, "the other list's rows are gone at once");
        page.until("the first list shows", || texts(todos) == ["one"]).await;
        page.until("one subscription is left", || server.gauges().subscriptions == 1).await;
        for name in ["one", "two"] {
            assert_eq!(server.rows(Todos::in_space(name).query()).len(), 1);
        }
    });
}

#[component]
fn List(probe: Probe<Option<Hooks>>) -> Element {
    let hooks = use_hooks(Todos::in_space("home"));
    probe.change(|probe| *probe = Some(hooks));
    rsx! { "{hooks.todos.rows().len()}" }
}

/// Two lists that can be taken away, and what they tell.
struct Lists {
    page: Page,
    hooks: [Hooks; 2],
    there: [Signal<bool>; 2],
}

fn mount_two(client: &Client) -> Lists {
    let (probes, shown) = ([Probe::new(None), Probe::new(None)], Probe::new(None));
    let page = Page::mount(client, {
        let (probes, shown) = (probes.clone(), shown.clone());
        move || {
            let there = [use_signal(|| true), use_signal(|| true)];
            shown.change(|shown| *shown = Some(there));
            rsx! {
                if there[0]() {
                    List { probe: probes[0].clone() }
                }
                if there[1]() {
                    List { probe: probes[1].clone() }
                }
            }
        }
    });
    let hooks = probes.map(|probe| probe.look(|probe| probe.unwrap()));
    Lists { page, hooks, there: shown.look(|shown| shown.unwrap()) }
}

#[test]
fn two_of_the_same_are_one_subscription_and_the_last_one_ends_it() {
    run(async {
        let server = server();
        let client = connect(&server);
        let Lists { mut page, hooks: [Hooks { todos, send, .. }, others], mut there } = mount_two(&client);
        let others = others.todos;
        page.until("both have loaded", || !todos.is_loading() && !others.is_loading()).await;
        drop(send(create("1", "Milk")));
        page.until("both show it", || texts(todos) == ["Milk"] && texts(others) == ["Milk"]).await;
        page.until("it is confirmed", || others.rows()[0].state() == RowState::Confirmed).await;
        assert_eq!(server.gauges().subscriptions, 1);

        there[0].set(false);
        page.settle().await;
        assert_eq!((texts(others), server.gauges().subscriptions), (vec!["Milk".to_owned()], 1));
        there[1].set(false);
        page.until("the subscription ends", || server.gauges().subscriptions == 0).await;
        assert_eq!(server.gauges().connections, 1);
        assert_eq!((todos.rows().len(), todos.status()), (0, Status::Idle));
    });
}

#[test]
fn what_is_on_its_way_arrives_though_its_component_has_gone() {
    run(async {
        let server = server();
        let client = connect(&server);
        let Lists { mut page, hooks: [Hooks { todos, send, .. }, _], mut there } = mount_two(&client);
        page.until("it has loaded", || !todos.is_loading()).await;
        server.hold_commits();
        let milk = send(create("1", "Milk"));
        for there in &mut there {
            there.set(false);
        }
        page.settle().await;
        server.release_commits();
        assert_eq!(milk.await.unwrap(), 1);
    });
}
