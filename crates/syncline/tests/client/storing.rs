//! Rows that stay between visits, and storage that fails.

use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use syncline::storage::{Database as _, MemoryStorage, Table};
use syncline::{
    BoxFuture, CacheLimits, Client, ConnectionState, Error, Export, Query, Record as _, Status, Watch, code,
};
use syncline_core::wire::{Failed, Limits, ServerMessage, Subscribe};
use tokio::time::{Instant, sleep};

use crate::faulty::{Fault, Faulty};
use crate::server::{Peer, Server};
use crate::{Todo, contract, keys, rig_with, todo};

fn list() -> Query<Todo> {
    Todo::in_space("l")
}

/// A client that keeps its rows in a storage, on a visit of its own.
fn visit(storage: &Faulty) -> (Client, Server) {
    let (builder, server) = rig_with();
    (builder.storage(storage.clone()).build(), server)
}

/// Watches, and answers with these rows.
async fn live(
    client: &Client,
    server: &mut Server,
    query: Query<Todo>,
    rows: &[Todo],
) -> (Watch<Todo>, Peer) {
    let watch = client.watch(query);
    let mut peer = server.welcome().await;
    let Subscribe { sub, .. } = peer.subscribed().await;
    peer.snapshot(sub, 3, rows).await;
    until(&watch, |watch| watch.status() == Status::Live).await;
    (watch, peer)
}

async fn until(watch: &Watch<Todo>, is: impl Fn(&Watch<Todo>) -> bool) {
    let mut updates = watch.updates();
    while !is(watch) {
        updates.next().await.unwrap();
    }
}

/// The next state of the connection that is so.
async fn state(client: &Client, is: impl Fn(&ConnectionState) -> bool) -> ConnectionState {
    let mut changes = client.connection_changes();
    loop {
        let state = tokio::time::timeout(Duration::from_secs(3_600), changes.next()).await.unwrap().unwrap();
        if is(&state) {
            return state;
        }
    }
}

/// Why storage has failed, once it has.
async fn degraded(client: &Client) -> String {
    let state = state(client, |state| state.storage_degraded.is_some()).await;
    state.storage_degraded.unwrap().code().to_owned()
}

async fn holds_rows(storage: &Faulty) -> bool {
    !storage.memory.scan(Table::Lists, String::new()).await.unwrap().is_empty()
}

/// Waits until storage works again.
async fn mended(client: &Client) {
    state(client, |state| state.storage_degraded.is_none()).await;
}

/// A visit that leaves two rows behind.
async fn leave_two(storage: &Faulty) {
    let (client, mut server) = visit(storage);
    let (_watch, _peer) = live(&client, &mut server, list(), &[todo("a"), todo("b")]).await;
    sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_storage_does() {
    contract::holds_for(&MemoryStorage::new()).await;
    contract::holds_when_full(&MemoryStorage::new().max_bytes(1_000), 1_000).await;
    contract::room_is_given_back(&MemoryStorage::new().max_bytes(1_000), 90).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_visit_begins_where_the_last_one_ended() {
    let storage = Faulty::default();
    leave_two(&storage).await;
    let (client, mut server) = visit(&storage);
    let begun = Instant::now();
    let watch = client.watch(list());
    watch.loaded().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "before there is any connection");
    assert_eq!((keys(&watch.entries()), watch.state().cached), (vec!["a", "b"], true));
    assert_eq!(watch.status(), Status::Connecting);
    let mut peer = server.welcome().await;
    let subscribe = peer.subscribed().await;
    assert_eq!(subscribe.cursor.unwrap().version, 3);
    assert_eq!(client.connection().storage_degraded, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_to_be_stored_when_somebody_left_does_not_say_that_they_are_here() {
    let storage = Faulty::default();
    let (client, mut server) = visit(&storage);
    let (watch, _peer) = live(&client, &mut server, list(), &[todo("a")]).await;
    drop(watch);
    client.park_storage().await.unwrap();
    assert!(holds_rows(&storage).await);
    drop(client);
    let (client, _server) = visit(&storage);
    let watch = client.watch(list());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(keys(&watch.entries()), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_changed_last_is_stored_when_the_client_ends() {
    let storage = Faulty::default();
    let (client, mut server) = visit(&storage);
    let (watch, mut peer) = live(&client, &mut server, list(), &[todo("a")]).await;
    peer.change(1, 4, &[todo("last")]).await;
    until(&watch, |watch| watch.entries().len() == 2).await;
    drop((watch, client));
    peer.closed().await;
    let (client, _server) = visit(&storage);
    let watch = client.watch(list());
    watch.loaded().await.unwrap();
    assert_eq!(keys(&watch.entries()), ["a", "last"]);
}

#[tokio::test(start_paused = true)]
async fn without_storage_nothing_is_kept() {
    let storage = Faulty::default();
    let (builder, mut server) = rig_with();
    let client = builder.storage(storage.clone()).without_storage().build();
    let (_watch, _peer) = live(&client, &mut server, list(), &[todo("a")]).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!((storage.opened(), storage.memory.len()), (0, 0));
    client.wipe_storage().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn storage_that_cannot_be_opened_is_told_of_and_delays_nobody() {
    for (fault, why) in [(Fault::Closed, code::STORAGE_UNAVAILABLE), (Fault::Silent, code::STORAGE_LOST)] {
        let storage = Faulty::new(fault);
        let (client, mut server) = visit(&storage);
        let begun = Instant::now();
        let watch = client.watch(list());
        let mut peer = server.welcome().await;
        let Subscribe { sub, .. } = peer.subscribed().await;
        assert!(begun.elapsed() <= Duration::from_millis(300), "{fault:?}: {:?}", begun.elapsed());
        peer.snapshot(sub, 3, &[todo("a")]).await;
        until(&watch, |watch| watch.status() == Status::Live).await;
        assert_eq!(degraded(&client).await, why);
        // a list that comes back on this visit still begins with what it had
        sleep(Duration::from_secs(5)).await;
        drop(watch);
        peer.next().await;
        sleep(Duration::from_millis(500)).await;
        client.set_online(false);
        let again = client.watch(list());
        until(&again, |watch| !watch.entries().is_empty()).await;
        assert!(again.state().cached);
        assert!(storage.memory.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn storage_that_fails_once_is_opened_again() {
    let storage = Faulty::default();
    let (client, mut server) = visit(&storage);
    let (_watch, mut peer) = live(&client, &mut server, list(), &[todo("a")]).await;
    storage.set(Fault::Once);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((storage.opened(), client.connection().storage_degraded), (2, None));
    assert!(!storage.memory.is_empty());
    // and when it goes by itself
    storage.lose();
    sleep(Duration::from_secs(1)).await;
    assert_eq!((storage.opened(), client.connection().storage_degraded), (3, None));
    // but not for ever
    storage.set(Fault::Broken);
    peer.change(1, 4, &[todo("b")]).await;
    assert_eq!(degraded(&client).await, code::STORAGE_LOST);
    assert_eq!(storage.opened(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_never_completes_is_given_up() {
    let storage = Faulty::default();
    let (client, mut server) = visit(&storage);
    let (watch, mut peer) = live(&client, &mut server, list(), &[todo("a")]).await;
    storage.set(Fault::Silent);
    assert_eq!(degraded(&client).await, code::STORAGE_LOST);
    peer.change(1, 4, &[todo("b")]).await;
    until(&watch, |watch| watch.entries().len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_room_older_lists_go_first() {
    let storage = Faulty::default();
    let (client, mut server) = visit(&storage);
    let (_watch, mut peer) = live(&client, &mut server, list(), &[todo("a")]).await;
    for space in ["m", "n", "o"] {
        let other = client.watch(Todo::in_space(space));
        let Subscribe { sub, .. } = peer.subscribed().await;
        peer.snapshot(sub, 3, &[todo("x")]).await;
        until(&other, |watch| watch.status() == Status::Live).await;
        // SystemTime does not stand still: each is used a little later
        sleep(Duration::from_secs(1)).await;
        std::thread::sleep(Duration::from_millis(2));
        drop(other);
        peer.next().await;
    }
    storage.set(Fault::Room(3));
    peer.change(1, 4, &[todo("b")]).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(client.connection().storage_degraded, None);
    let (next, _server) = visit(&storage);
    let (first, middle) = (next.watch(list()), next.watch(Todo::in_space("m")));
    until(&first, |watch| !watch.entries().is_empty()).await;
    assert_eq!((keys(&first.entries()), middle.entries().len()), (vec!["a", "b"], 0));
    // nothing is left to go
    storage.set(Fault::Room(0));
    peer.change(1, 5, &[todo("c")]).await;
    assert_eq!(degraded(&client).await, code::STORAGE_FULL);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_may_be() {
    let storage = Faulty::default();
    let (builder, mut server) = rig_with();
    let limits = CacheLimits { rows: 1, queries: 1, ..CacheLimits::default() };
    let client = builder.storage(storage.clone()).cache(limits).build();
    let (_watch, mut peer) = live(&client, &mut server, list(), &[todo("a"), todo("b")]).await;
    sleep(Duration::from_secs(1)).await;
    std::thread::sleep(Duration::from_millis(2));
    let other = client.watch(Todo::in_space("other"));
    let Subscribe { sub, .. } = peer.subscribed().await;
    peer.snapshot(sub, 3, &[todo("c"), todo("d")]).await;
    until(&other, |watch| watch.status() == Status::Live).await;
    sleep(Duration::from_secs(1)).await;
    // who was here last, one list, and when it was used
    assert_eq!(storage.memory.len(), 3);
    let (next, _server) = visit(&storage);
    let other = next.watch(Todo::in_space("other"));
    until(&other, |watch| watch.state().cached).await;
    assert_eq!(keys(&other.entries()), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_may_leave_nothing_behind() {
    let storage = Faulty::default();
    leave_two(&storage).await;
    let (client, mut server) = visit(&storage);
    let (_watch, mut peer) = live(&client, &mut server, list(), &[todo("a"), todo("b")]).await;
    client.wipe_storage().await.unwrap();
    peer.change(1, 4, &[todo("c")]).await;
    sleep(Duration::from_secs(10)).await;
    assert!(storage.memory.is_empty(), "and nothing is stored again");
    drop(client);
    assert!(storage.memory.is_empty());
}

/// Who leaves while others are being told of a write.
struct Leaving {
    client: Mutex<Option<Client>>,
    wiping: Mutex<Option<BoxFuture<Result<(), Error>>>>,
}

impl Wake for Leaving {
    fn wake(self: Arc<Self>) {
        let Some(client) = self.client.lock().unwrap().take() else { return };
        let mut wiping: BoxFuture<_> = Box::pin(async move { client.wipe_storage().await });
        assert!(wiping.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
        *self.wiping.lock().unwrap() = Some(wiping);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_to_be_stored_before_somebody_left_is_not_stored_afterwards() {
    let storage = Faulty::default();
    leave_two(&storage).await;
    let (client, _server) = visit(&storage);
    let watch = client.watch(list());
    sleep(Duration::from_secs(1)).await;
    let leaving = Arc::new(Leaving { client: Mutex::default(), wiping: Mutex::default() });
    let waker = Waker::from(Arc::clone(&leaving));
    let mut updates = watch.updates();
    while updates.poll_next_unpin(&mut Context::from_waker(&waker)).is_ready() {}
    *leaving.client.lock().unwrap() = Some(client.clone());

    client.put("l", todo("c"));
    let wiping = leaving.wiping.lock().unwrap().take();
    wiping.unwrap().await.unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(storage.memory.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_that_nothing_is_left_where_that_is_not_known() {
    for fault in [Fault::Closed, Fault::Silent, Fault::Broken] {
        let storage = Faulty::default();
        leave_two(&storage).await;
        storage.set(fault);
        let (client, _server) = visit(&storage);
        assert!(client.wipe_storage().await.is_err(), "{fault:?}");
        assert!(client.park_storage().await.is_err(), "{fault:?}");
        assert!(!storage.memory.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_may_come_back() {
    let storage = Faulty::default();
    leave_two(&storage).await;
    let (client, _server) = visit(&storage);
    client.park_storage().await.unwrap();
    drop(client);
    let (client, mut server) = visit(&storage);
    let watch = client.watch(list());
    sleep(Duration::from_secs(5)).await;
    assert!(watch.entries().is_empty(), "nobody has said who is here");
    let mut peer = server.welcome().await;
    assert_eq!(peer.subscribed().await.cursor.unwrap().version, 3);
    assert_eq!(keys(&watch.entries()), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn storage_is_closed_with_the_client() {
    let storage = Faulty::default();
    for _ in 0..10 {
        leave_two(&storage).await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn rows_go_from_one_client_to_another() {
    let (builder, mut server) = rig_with();
    let (watch, _peer) = live(&builder.build(), &mut server, list(), &[todo("a")]).await;
    let text = serde_json::to_string(&watch.export().unwrap()).unwrap();
    let (builder, mut server) = rig_with();
    let client = builder.build();
    client.import(serde_json::from_str::<Export>(&text).unwrap());
    let watch = client.watch(list());
    assert_eq!(keys(&watch.entries()), ["a"]);
    let (mut peer, _) = server.hello().await;
    peer.welcome(Limits::default()).await;
    assert_eq!(peer.subscribed().await.cursor.unwrap().version, 3);
}

#[tokio::test(start_paused = true)]
async fn storage_that_works_again_is_used_again() {
    for fault in [Fault::Closed, Fault::Silent, Fault::Broken, Fault::Room(0)] {
        let storage = Faulty::new(fault);
        let (client, mut server) = visit(&storage);
        let (watch, mut peer) = live(&client, &mut server, list(), &[todo("a")]).await;
        degraded(&client).await;
        // what is written meanwhile is in memory
        peer.change(1, 4, &[todo("b")]).await;
        until(&watch, |watch| watch.entries().len() == 2).await;
        sleep(Duration::from_secs(1)).await;
        assert!(!holds_rows(&storage).await, "{fault:?}");
        storage.set(Fault::None);
        mended(&client).await;
        assert!(holds_rows(&storage).await, "{fault:?}: what memory had is there");
        // and goes on as if nothing had been
        peer.change(1, 5, &[todo("c")]).await;
        until(&watch, |watch| watch.entries().len() == 3).await;
        sleep(Duration::from_secs(1)).await;
        let (next, _server) = visit(&storage);
        let again = next.watch(list());
        until(&again, |watch| watch.entries().len() == 3).await;
        assert!(again.state().cached && client.connection().storage_degraded.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn storage_that_stays_broken_is_left_alone_for_longer_each_time() {
    for fault in [Fault::Closed, Fault::Silent, Fault::Broken, Fault::Full] {
        let storage = Faulty::new(fault);
        let (client, mut server) = visit(&storage);
        let (_watch, _peer) = live(&client, &mut server, list(), &[todo("a")]).await;
        degraded(&client).await;
        let mut changes = client.connection_changes();
        changes.next().await;
        let mut opened = storage.opened();
        for (minutes, at_most) in [(1, 5), (59, 16), (600, 140)] {
            sleep(Duration::from_secs(60 * minutes)).await;
            let tried = storage.opened() - std::mem::replace(&mut opened, storage.opened());
            assert!((1..=at_most).contains(&tried), "{fault:?}: {tried} times in {minutes} min");
        }
        assert!(client.connection().storage_degraded.is_some());
        // nobody is told that it works before it does
        while let Some(state) = changes.next().now_or_never() {
            assert!(state.unwrap().storage_degraded.is_some(), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_to_be_removed_meanwhile_is_removed_when_storage_works_again() {
    let storage = Faulty::default();
    leave_two(&storage).await;
    let (client, mut server) = visit(&storage);
    let (_watch, mut peer) = live(&client, &mut server, list(), &[todo("a")]).await;
    sleep(Duration::from_secs(1)).await;
    storage.set(Fault::Broken);
    // the right to it is gone
    let failed = Failed { sub: 1, error: Error::new(code::FORBIDDEN, "no member any more") };
    peer.say(&ServerMessage::Failed(failed), &[]).await;
    degraded(&client).await;
    assert!(holds_rows(&storage).await);
    storage.set(Fault::None);
    mended(&client).await;
    assert!(!holds_rows(&storage).await);
    drop(client);

    let storage = Faulty::default();
    leave_two(&storage).await;
    storage.set(Fault::Silent);
    let (client, _server) = visit(&storage);
    assert!(client.wipe_storage().await.is_err());
    assert!(holds_rows(&storage).await);
    storage.set(Fault::None);
    mended(&client).await;
    assert!(storage.memory.is_empty(), "the person who left wanted nothing to stay");
}

/// A client that ends while its storage is away leaves no task behind that tries it for ever.
#[tokio::test(start_paused = true)]
async fn a_client_that_has_ended_does_not_try_its_storage_again() {
    let storage = Faulty::new(Fault::Closed);
    let (client, mut server) = visit(&storage);
    let (watch, peer) = live(&client, &mut server, list(), &[todo("a")]).await;
    degraded(&client).await;
    drop((watch, client, peer, server));
    let opened = storage.opened();
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(storage.opened(), opened);
}
