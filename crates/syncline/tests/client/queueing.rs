//! Writes that outlive their client, and whoever brings them to the server then.

use std::time::Duration;

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use syncline::storage::{Database as _, MemoryStorage, Table};
use syncline::{Channel, Client, ConnectionState, Draft, Error, Record as _, code};
use syncline_core::wire::{Limits, ServerMessage, User, Welcome, Write};
use tokio::time::{sleep, timeout};

use crate::faulty::{Fault, Faulty};
use crate::server::{Peer, Server};
use crate::{Todo, keys, rig_with, todo};

/// A page of its own on one storage.
fn page(storage: &Faulty, client: &str) -> (Client, Server) {
    let (builder, server) = rig_with();
    (builder.storage(storage.clone()).exact_client_id(client.into()).build(), server)
}

/// A visit that has told storage who is here.
async fn somebody_was_here(storage: &Faulty) {
    let (client, mut server) = page(storage, "client-before");
    let watch = client.watch(Todo::in_space("l"));
    let mut peer = server.welcome().await;
    let sub = peer.subscribed().await.sub;
    peer.snapshot(sub, 1, &[]).await;
    watch.loaded().await.unwrap();
    sleep(Duration::from_secs(5)).await;
}

async fn state(client: &Client, is: impl Fn(&ConnectionState) -> bool) -> ConnectionState {
    let mut changes = client.connection_changes();
    loop {
        let state = timeout(Duration::from_secs(3_600), changes.next()).await.unwrap().unwrap();
        if is(&state) {
            return state;
        }
    }
}

async fn kept(storage: &MemoryStorage) -> usize {
    storage.scan(Table::Writes, String::new()).await.unwrap().len()
}

/// The next write, whatever is subscribed to before it.
async fn written(peer: &mut Peer) -> Write {
    loop {
        if let syncline_core::wire::ClientMessage::Write(write) = peer.next().await {
            return write;
        }
    }
}

fn name(write: &Write) -> (String, u64) {
    (write.client.to_string(), write.id)
}

#[tokio::test(start_paused = true)]
async fn what_was_written_offline_is_brought_up_by_the_next_page_under_its_own_numbers() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    let (client, _server) = page(&storage, "client-gone");
    let _watch = client.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(1)).await;
    client.put("l", todo("a"));
    client.put("l", todo("b"));
    state(&client, |state| (state.pending, state.unsaved) == (2, 0)).await;
    client.close();
    drop((client, _watch, _server));
    assert_eq!(kept(&storage.memory).await, 2);

    let (client, mut server) = page(&storage, "client-next");
    let watch = client.watch(Todo::in_space("l"));
    state(&client, |state| state.pending == 2).await;
    assert_eq!(keys(&watch.entries()), ["a", "b"], "before there is any connection");
    client.put("l", todo("c"));
    let mut peer = server.welcome().await;
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(name(&written(&mut peer).await));
    }
    let expected = [("client-gone", 1), ("client-gone", 2), ("client-next", 1)];
    assert_eq!(sent, expected.map(|(client, id)| (client.to_owned(), id)));
}

#[tokio::test(start_paused = true)]
async fn what_has_its_verdict_is_not_kept() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    let (client, mut server) = page(&storage, "client-1");
    let _watch = client.watch(Todo::in_space("l"));
    let mut peer = server.welcome().await;
    let sub = peer.subscribed().await.sub;
    peer.snapshot(sub, 1, &[]).await;
    let write = client.put("l", todo("a"));
    let sent = written(&mut peer).await;
    peer.ack(sub, 2, &sent, todo("a")).await;
    write.await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(kept(&storage.memory).await, 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_the_writes_of_a_page_that_is_there() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    let (first, _first_server) = page(&storage, "client-first");
    let first_watch = first.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(1)).await;
    first.put("l", todo("a"));
    state(&first, |state| state.unsaved == 0 && state.pending == 1).await;

    let (second, _second_server) = page(&storage, "client-second");
    let second_watch = second.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(second.connection().pending, 0);
    // it dies, and within a while the other one looks after what it has left
    drop((first, first_watch, _first_server));
    state(&second, |state| state.pending == 1).await;
    assert_eq!(keys(&second_watch.entries()), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_else_gets_somebodys_writes() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    let (client, _server) = page(&storage, "client-gone");
    let watch = client.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(1)).await;
    client.put("l", todo("a"));
    state(&client, |state| state.unsaved == 0 && state.pending == 1).await;
    drop((client, watch, _server));

    let (client, mut server) = page(&storage, "client-next");
    let watch = client.watch(Todo::in_space("l"));
    let (mut peer, _) = server.hello().await;
    let user = User { id: "eve".into(), name: None };
    let (encoding, limits) = ("json".into(), Limits::default());
    let welcome = Welcome { protocol: 1, user, encoding, heartbeat_ms: 30_000, limits, link: None };
    peer.say(&ServerMessage::Welcome(welcome), &[]).await;
    state(&client, |state| state.user.is_some()).await;
    sleep(Duration::from_secs(60)).await;
    assert!(watch.entries().is_empty());
    assert_eq!((client.connection().pending, kept(&storage.memory).await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn lists_make_room_for_writes_and_what_cannot_be_kept_is_announced() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    assert_ne!(storage.memory.scan(Table::Lists, String::new()).await.unwrap().len(), 0);
    let (client, _server) = page(&storage, "client-1");
    let _watch = client.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(1)).await;
    storage.set(Fault::Full);
    client.put("l", todo("a"));
    let state = state(&client, |state| state.storage_degraded.is_some()).await;
    assert_eq!(state.storage_degraded.unwrap().code(), code::STORAGE_FULL);
    assert_eq!((client.connection().pending, client.connection().unsaved), (1, 1));
    assert_eq!(kept(&storage.memory).await, 0);
    storage.set(Fault::None);
    self::state(&client, |state| state.unsaved == 0).await;
    assert_eq!(kept(&storage.memory).await, 1);
}

#[tokio::test(start_paused = true)]
async fn writes_are_parked_or_wiped_by_choice() {
    for wipe in [false, true] {
        let storage = Faulty::default();
        somebody_was_here(&storage).await;
        let (client, _server) = page(&storage, "client-1");
        let _watch = client.watch(Todo::in_space("l"));
        sleep(Duration::from_secs(1)).await;
        client.put("l", todo("a"));
        state(&client, |state| state.unsaved == 0 && state.pending == 1).await;
        // the one waits for storage to be done with the other
        client.put("l", todo("b"));
        client.put("l", todo("c"));
        match wipe {
            true => client.wipe_storage().await.unwrap(),
            false => client.park_storage().await.unwrap(),
        }
        assert_eq!(kept(&storage.memory).await, if wipe { 0 } else { 3 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_nobody_waits_for_is_announced_and_can_be_dismissed() {
    let (client, _server, mut peer, _watch) = crate::watching(&[]).await;
    let why = Error::new("too_rude", "Be kind.").with_field("todo-channel/shout");
    for awaited in [true, false] {
        let handle = client.send::<Shouting>("l", Shout::Shout);
        let sent = peer.written().await;
        if awaited {
            peer.refuse(1, &sent, why.clone()).await;
            assert_eq!(handle.await.unwrap_err().error(), &why);
            assert!(client.refusals().is_empty());
        } else {
            drop(handle);
            peer.refuse(1, &sent, why.clone()).await;
            state(&client, |state| state.pending == 0).await;
        }
    }
    assert_eq!(client.refusals(), [why]);
    client.dismiss_refusals();
    assert!(client.refusals().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_came_and_was_not_looked_at_is_announced() {
    let (client, _server, mut peer, _watch) = crate::watching(&[]).await;
    let handles = [(); 2].map(|()| client.send::<Shouting>("l", Shout::Shout));
    let why = ["one", "two"].map(|field| Error::new("too_rude", "Be kind.").with_field(field));
    for why in &why {
        let sent = peer.written().await;
        peer.refuse(1, &sent, why.clone()).await;
    }
    state(&client, |state| state.pending == 0).await;
    assert_eq!(client.refusals(), [], "somebody may still look");
    let [first, second] = handles;
    let mut changes = client.connection_changes();
    changes.next().await.unwrap();
    // as where an early return takes the others along
    drop(first);
    assert_eq!(second.await.unwrap_err().error(), &why[1]);
    timeout(Duration::from_secs(60), changes.next()).await.unwrap().unwrap();
    assert_eq!(client.refusals(), why[..1]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_even_be_sent_is_announced_where_nobody_waits() {
    let (client, _server, _peer, _watch) = crate::watching(&[]).await;
    let mut changes = client.connection_changes();
    changes.next().await.unwrap();
    // heard, it is no news
    assert_eq!(client.put("no such space", todo("a")).await.unwrap_err().code(), code::UNKNOWN_SPACE);
    let refused = client.send::<Shouting>("no such space", Shout::Shout).await;
    assert_eq!(refused.unwrap_err().error().code(), code::UNKNOWN_SPACE);
    assert_eq!(client.refusals(), []);
    drop(client.update::<Todo>("l", "gone", |todo| todo.done = true));
    drop(client.send::<Shouting>("no such space", Shout::Shout));
    timeout(Duration::from_secs(60), changes.next()).await.unwrap().unwrap();
    let codes: Vec<_> = client.refusals().iter().map(|error| error.code().to_owned()).collect();
    assert_eq!(codes, [code::UNKNOWN_ROW, code::UNKNOWN_SPACE]);
    // a client that is closed has nobody to tell
    client.close();
    client.dismiss_refusals();
    drop(client.put("l", todo("a")));
    assert_eq!(client.refusals(), []);
}

#[tokio::test(start_paused = true)]
async fn an_action_ends_with_what_its_handler_gave() {
    let (client, _server, mut peer, _watch) = crate::watching(&[]).await;
    let handle = client.send::<Shouting>("l", Shout::Count);
    let sent = peer.written().await;
    assert_eq!(sent.payload.get(), r#"{"channel":"todo-channel","action":"count"}"#);
    peer.acked(&sent, "17").await;
    assert_eq!(handle.await.unwrap(), 17);
    // done, and what it gave back is not known any more
    let handle = client.send::<Shouting>("l", Shout::Count);
    let sent = peer.written().await;
    peer.acked(&sent, "null").await;
    assert_eq!(handle.await.unwrap_err().error().code(), code::OUTPUT_LOST);
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shout {
    Shout,
    Count,
}

struct Shouting;

impl Channel for Shouting {
    const NAME: &'static str = "todo-channel";
    type Record = Todo;
    type Action = Shout;
    type Output = u64;
    type Error = Error;

    fn reduce(_: &mut Draft<'_, Todo>, _: &Shout) {}
}

#[tokio::test(start_paused = true)]
async fn what_was_in_a_database_that_is_deleted_is_kept_in_the_next() {
    for fails in [false, true] {
        let storage = Faulty::default();
        somebody_was_here(&storage).await;
        let (client, _server) = page(&storage, "client-1");
        let _watch = client.watch(Todo::in_space("l"));
        sleep(Duration::from_secs(1)).await;
        client.put("l", todo("a"));
        state(&client, |state| (state.pending, state.unsaved) == (1, 0)).await;
        if fails {
            storage.set(Fault::Closed);
        }
        storage.delete().await;
        if fails {
            state(&client, |state| state.storage_degraded.is_some()).await;
            assert_eq!(client.connection().unsaved, 1);
            storage.set(Fault::None);
        } else {
            sleep(Duration::from_secs(1)).await;
        }
        state(&client, |state| (state.pending, state.unsaved) == (1, 0)).await;
        assert_eq!(kept(&storage.memory).await, 1, "{fails}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_was_written_is_kept_when_the_client_ends() {
    for close in [false, true] {
        let storage = Faulty::default();
        somebody_was_here(&storage).await;
        let (client, _server) = page(&storage, "client-1");
        let watch = client.watch(Todo::in_space("l"));
        sleep(Duration::from_secs(1)).await;
        let opened = storage.opened();
        for key in ["a", "b", "c"] {
            client.put("l", todo(key));
        }
        let clone = close.then(|| client.clone());
        if let Some(clone) = &clone {
            clone.close();
        }
        drop((client, watch));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(kept(&storage.memory).await, 3, "{close}");
        assert_eq!(storage.opened(), opened, "nobody starts anew who has ended");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_left_can_have_their_writes_brought_up_elsewhere() {
    for parks in [true, false] {
        let storage = Faulty::default();
        somebody_was_here(&storage).await;
        let (first, mut first_server) = page(&storage, "client-first");
        let _first_watch = first.watch(Todo::in_space("l"));
        sleep(Duration::from_secs(1)).await;
        first.put("l", todo("a"));
        state(&first, |state| (state.pending, state.unsaved) == (1, 0)).await;
        let _peer = if parks {
            first.park_storage().await.unwrap();
            None
        } else {
            let (mut peer, _) = first_server.hello().await;
            let user = User { id: "eve".into(), name: None };
            let (encoding, limits) = ("json".into(), Limits::default());
            let welcome = Welcome { protocol: 1, user, encoding, heartbeat_ms: 30_000, limits, link: None };
            peer.say(&ServerMessage::Welcome(welcome), &[]).await;
            state(&first, |state| state.user.is_some()).await;
            Some(peer)
        };
        let (second, mut second_server) = page(&storage, "client-second");
        let _second_watch = second.watch(Todo::in_space("l"));
        let mut peer = second_server.welcome().await;
        let sent = timeout(Duration::from_secs(60), written(&mut peer)).await.unwrap();
        assert_eq!(name(&sent), ("client-first".into(), 1), "{parks}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_is_kept_and_storage_wiped_however_many_lists_are_asked_for() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    let (client, _server) = page(&storage, "client-1");
    let _watch = client.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(1)).await;
    let many = |of: &str| -> Vec<_> {
        (0..300).map(|space| client.watch(Todo::in_space(format!("{of}{space}").as_str()))).collect()
    };
    let _first = many("a");
    client.put("l", todo("a"));
    sleep(Duration::from_secs(5)).await;
    assert_eq!((client.connection().unsaved, kept(&storage.memory).await), (0, 1));
    let _second = many("b");
    client.wipe_storage().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_never_answered_holds_nobody_up() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    storage.set(Fault::Unclaimed);
    let (client, _server) = page(&storage, "client-gone");
    let _watch = client.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(1)).await;
    for key in 0..100 {
        client.put("l", todo(&key.to_string()));
    }
    timeout(Duration::from_secs(60), state(&client, |state| state.unsaved == 0)).await.unwrap();
    assert_eq!(kept(&storage.memory).await, 100, "as where nobody can tell whose they are");
    client.close();

    // nor is what others have left adopted then
    let (client, _server) = page(&storage, "client-next");
    let _watch = client.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(1)).await;
    timeout(Duration::from_secs(60), client.wipe_storage()).await.unwrap().unwrap();
    assert_eq!((client.connection().pending, kept(&storage.memory).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_not_answered_is_waited_for_once() {
    let storage = Faulty::default();
    let (before, mut server) = page(&storage, "client-before");
    let watch = before.watch(Todo::in_space("k"));
    let mut peer = server.welcome().await;
    let sub = peer.subscribed().await.sub;
    peer.snapshot(sub, 1, &[todo("x")]).await;
    watch.loaded().await.unwrap();
    sleep(Duration::from_secs(5)).await;
    drop((watch, before));

    storage.set(Fault::Unclaimed);
    let (client, _server) = page(&storage, "client-1");
    client.put("l", todo("a"));
    timeout(Duration::from_secs(60), state(&client, |state| state.unsaved == 0)).await.unwrap();
    client.put("l", todo("b"));
    let watch = client.watch(Todo::in_space("k"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(keys(&watch.entries()), ["x"]);
    state(&client, |state| state.unsaved == 0).await;
    // its answer counts whenever it comes
    storage.set(Fault::None);
    client.put("l", todo("c"));
    sleep(Duration::from_secs(1)).await;
    let (beside, _server) = page(&storage, "client-2");
    let _watch = beside.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((beside.connection().pending, client.connection().pending), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_storage_took_with_it_is_asked_for_again() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    storage.set(Fault::Unclaimed);
    let (client, _server) = page(&storage, "client-1");
    let _watch = client.watch(Todo::in_space("l"));
    client.put("l", todo("a"));
    timeout(Duration::from_secs(60), state(&client, |state| state.unsaved == 0)).await.unwrap();
    storage.set(Fault::None);
    storage.lose();
    sleep(Duration::from_secs(1)).await;
    client.put("l", todo("b"));
    state(&client, |state| state.unsaved == 0).await;
    let (beside, _server) = page(&storage, "client-2");
    let _watch = beside.watch(Todo::in_space("l"));
    sleep(Duration::from_secs(30)).await;
    assert_eq!((beside.connection().pending, client.connection().pending), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_names_its_client_begins_a_sequence_of_its_own_each_time() {
    let mut authors = Vec::new();
    for _ in 0..2 {
        let (builder, mut server) = rig_with();
        let client = builder.client_id("kitchen-display".into()).build();
        let _watch = client.watch(Todo::in_space("l"));
        let mut peer = server.welcome().await;
        client.put("l", todo("a"));
        authors.push(written(&mut peer).await.client);
    }
    assert!(authors.iter().all(|author| author.as_str().starts_with("kitchen-display")));
    assert_ne!(authors[0], authors[1], "the server would take its writes for those of before");
}

#[tokio::test(start_paused = true)]
async fn writes_are_kept_where_there_is_no_room_for_lists() {
    let storage = Faulty::default();
    somebody_was_here(&storage).await;
    let (client, mut server) = page(&storage, "client-1");
    let _watch = client.watch(Todo::in_space("l"));
    let mut peer = server.welcome().await;
    let sub = peer.subscribed().await.sub;
    storage.set(Fault::Room(0));
    peer.snapshot(sub, 2, &[todo("x")]).await;
    state(&client, |state| state.storage_degraded.is_some()).await;
    client.put("l", todo("a"));
    state(&client, |state| state.unsaved == 0).await;
    assert_eq!((client.connection().pending, kept(&storage.memory).await), (1, 1));
}
