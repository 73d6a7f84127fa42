//! What a hook is told of how its list stands.

use std::cell::Cell;
use std::sync::{Arc, Mutex, Weak};

use syncline::hook::{
    FollowsRelation, Relations, RowHandle, Setter, Waiters, Wanted, WatchSignals, follow, latest,
};
use syncline::{Client, Entry, Error, Query, Record as _, RowState, Status, User};
use syncline_core::wire::Limits;

use crate::server::{Peer, Server};
use crate::{Todo, rig, todo};

/// One row on the screen.
#[derive(Clone)]
struct Row(Arc<Mutex<Entry<Todo>>>);

thread_local! {
    /// Rows that this test's hooks know of, on the screen or not.
    static KNOWN: Cell<usize> = const { Cell::new(0) };
}

struct WeakRow(Weak<Mutex<Entry<Todo>>>);

impl Drop for WeakRow {
    fn drop(&mut self) {
        KNOWN.set(KNOWN.get() - 1);
    }
}

impl RowHandle<Todo> for Row {
    type Weak = WeakRow;
    const STAYS: bool = true;

    fn new(entry: Entry<Todo>) -> Self {
        Self(Arc::new(Mutex::new(entry)))
    }

    fn entry(&self) -> Entry<Todo> {
        self.0.lock().unwrap().clone()
    }

    fn set_record(&self, record: Arc<Todo>) {
        self.0.lock().unwrap().record = record;
    }

    fn set_state(&self, state: RowState) {
        self.0.lock().unwrap().state = state;
    }

    fn downgrade(&self) -> Self::Weak {
        KNOWN.set(KNOWN.get() + 1);
        WeakRow(Arc::downgrade(&self.0))
    }

    fn upgrade(weak: &Self::Weak) -> Option<Self> {
        weak.0.upgrade().map(Self)
    }
}

/// A hook's signals.
#[derive(Clone, Default)]
struct Screen(Arc<Shown>);

#[derive(Default)]
struct Shown {
    rows: Mutex<Vec<Row>>,
    standing: Mutex<(Status, bool)>,
    query: Mutex<Option<Query<Todo>>>,
    waiters: Waiters,
}

impl WatchSignals<Todo> for Screen {
    type Row = Row;
    type Relation = dyn FollowsRelation;

    fn relations(&self) -> Option<Relations<dyn FollowsRelation>> {
        None
    }

    fn set_query(&self, query: Option<Query<Todo>>) {
        *self.0.query.lock().unwrap() = query;
        self.0.waiters.notify();
    }

    fn with_rows<T>(&self, look: impl FnOnce(&[Row]) -> T) -> Option<T> {
        Some(look(&self.0.rows.lock().unwrap()))
    }

    fn edit_rows<T>(&self, edit: impl FnOnce(&mut Vec<Row>) -> T) -> Option<T> {
        let edited = edit(&mut self.0.rows.lock().unwrap());
        self.0.waiters.notify();
        Some(edited)
    }

    fn set_state(&self, status: Status, _: Option<Error>, loading: bool) {
        *self.0.standing.lock().unwrap() = (status, loading);
        self.0.waiters.notify();
    }
}

impl Screen {
    /// A hook that shows a list, and what tells it to show another one.
    fn of(client: &Client, list: &str) -> (Self, Setter<Wanted<Todo>>) {
        let (setter, wanted) = latest();
        setter.set(showing(list));
        let screen = Self::default();
        tokio::spawn(follow(client.clone(), wanted, screen.clone()));
        (screen, setter)
    }

    async fn until(&self, is: impl Fn(&Shown) -> bool) {
        self.0.waiters.clone().wait(|| is(&self.0)).await;
    }

    async fn stands(&self, status: Status) -> (usize, bool) {
        self.until(|shown| shown.standing.lock().unwrap().0 == status).await;
        (self.0.rows.lock().unwrap().len(), self.0.standing.lock().unwrap().1)
    }
}

fn showing(list: &str) -> Wanted<Todo> {
    Wanted { query: Some(Todo::in_space(list)), running: true }
}

async fn welcome(server: &mut Server, name: &str) -> Peer {
    let (mut peer, _) = server.hello().await;
    peer.welcome_as(User { id: name.into(), name: None }, Limits::default()).await;
    peer
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_to_another_person_is_loading_until_it_has_come() {
    let (client, mut server) = rig();
    let (screen, _wanted) = Screen::of(&client, "l");
    let mut peer = welcome(&mut server, "ada").await;
    let sub = peer.subscribed().await.sub;
    peer.snapshot(sub, 1, &[todo("a")]).await;
    assert_eq!(screen.stands(Status::Live).await, (1, false));
    drop(peer);
    assert_eq!(screen.stands(Status::Reconnecting).await, (1, false), "what is there is shown");
    // who comes back as somebody else connects anew, as another client
    let _ended = welcome(&mut server, "ben").await;
    let mut peer = welcome(&mut server, "ben").await;
    let sub = peer.subscribed().await.sub;
    screen.until(|shown| shown.rows.lock().unwrap().is_empty()).await;
    assert!(screen.0.standing.lock().unwrap().1, "nothing of this person's is there yet");
    peer.snapshot(sub, 1, &[]).await;
    assert_eq!(screen.stands(Status::Live).await, (0, false));
}

#[tokio::test(start_paused = true)]
async fn of_a_list_that_was_left_no_row_is_known_any_more() {
    let (client, mut server) = rig();
    let (screen, wanted) = Screen::of(&client, "l");
    let mut peer = server.welcome().await;
    let sub = peer.subscribed().await.sub;
    let rows: Vec<_> = (0..100).map(|row| todo(&row.to_string())).collect();
    peer.snapshot(sub, 1, &rows).await;
    assert_eq!((screen.stands(Status::Live).await, KNOWN.get()), ((100, false), 100));
    wanted.set(Wanted { query: None, running: true });
    assert_eq!((screen.stands(Status::Idle).await, KNOWN.get()), ((0, false), 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_that_the_list_is_the_one_before() {
    let (client, mut server) = rig();
    let (screen, wanted) = Screen::of(&client, "l");
    let mut peer = server.welcome().await;
    let sub = peer.subscribed().await.sub;
    peer.snapshot(sub, 1, &[todo("a")]).await;
    screen.stands(Status::Live).await;
    // there and back, as seen by somebody who waits for what was there in between
    let mut looks = 0;
    let back = Cell::new(false);
    let waits = screen.0.waiters.clone().wait(|| back.get());
    let mut waits = std::pin::pin!(waits);
    assert!(futures::poll!(&mut waits).is_pending());
    back.set(true);
    wanted.set(showing("l"));
    while futures::poll!(&mut waits).is_pending() {
        looks += 1;
        assert!(looks < 1_000, "nobody says that it is as before");
        tokio::task::yield_now().await;
    }
}
