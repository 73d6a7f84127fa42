//! The subscriber: a row is a cell, and whoever is told of a change counts it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use syncline::hook::{FollowsRelation, Relations, RowHandle, WatchSignals};
use syncline::{Entry, Error, Query, RowState, Status};
use syncline_benches::Item;

/// One row on the screen: a cell with what it shows, which is taken out only to be looked at.
#[derive(Clone)]
pub(crate) struct Row(Rc<Cell<Option<Entry<Item>>>>);

thread_local! {
    /// How often anybody has been told of a change: of a row, or of the order.
    static TOLD: Cell<u64> = const { Cell::new(0) };
    /// Who waits for something to be shown.
    static WAITING: Cell<Option<Waker>> = const { Cell::new(None) };
}

/// How often anybody has been told of a change.
pub(crate) fn told() -> u64 {
    TOLD.get()
}

/// Waits for the next time.
pub(crate) fn wait(cx: &Context<'_>) {
    WAITING.set(Some(cx.waker().clone()));
}

fn tell() {
    TOLD.set(TOLD.get() + 1);
    wake();
}

fn wake() {
    if let Some(waker) = WAITING.take() {
        waker.wake();
    }
}

impl Row {
    fn edit(&self, edit: impl FnOnce(&mut Entry<Item>)) {
        let mut entry = self.0.take();
        if let Some(entry) = &mut entry {
            edit(entry);
        }
        self.0.set(entry);
        tell();
    }
}

impl RowHandle<Item> for Row {
    type Weak = Weak<Cell<Option<Entry<Item>>>>;

    fn new(entry: Entry<Item>) -> Self {
        Self(Rc::new(Cell::new(Some(entry))))
    }

    #[expect(clippy::expect_used, reason = "nothing else runs between taking it out and putting it back")]
    fn entry(&self) -> Entry<Item> {
        let entry = self.0.take().expect("it is put back at once");
        self.0.set(Some(entry.clone()));
        entry
    }

    fn set_record(&self, record: Arc<Item>) {
        self.edit(|entry| entry.record = record);
    }

    fn set_state(&self, state: RowState) {
        self.edit(|entry| entry.state = state);
    }

    fn downgrade(&self) -> Self::Weak {
        Rc::downgrade(&self.0)
    }

    fn upgrade(weak: &Self::Weak) -> Option<Self> {
        weak.upgrade().map(Self)
    }
}

/// What the hook's signals are here.
#[derive(Clone, Default)]
pub(crate) struct Signals(Rc<State>);

#[derive(Default)]
struct State {
    rows: RefCell<Vec<Row>>,
    status: Cell<Status>,
}

impl WatchSignals<Item> for Signals {
    type Row = Row;
    type Relation = dyn FollowsRelation;

    fn relations(&self) -> Option<Relations<dyn FollowsRelation>> {
        None
    }

    fn set_query(&self, _: Option<Query<Item>>) {}

    fn with_rows<T>(&self, look: impl FnOnce(&[Row]) -> T) -> Option<T> {
        Some(look(&self.0.rows.borrow()))
    }

    fn edit_rows<T>(&self, edit: impl FnOnce(&mut Vec<Row>) -> T) -> Option<T> {
        let edited = edit(&mut self.0.rows.borrow_mut());
        tell();
        Some(edited)
    }

    fn set_state(&self, status: Status, _: Option<Error>, _: bool) {
        self.0.status.set(status);
        wake();
    }
}

impl Signals {
    /// Waits until somebody has been told of more changes than so many. Whoever has been told of one change of a batch has
    /// been told of all of them before others get their turn.
    pub(crate) async fn more_than(&self, told: u64) {
        self.until(|_| TOLD.get() > told).await;
    }

    pub(crate) async fn rows_are(&self, count: usize) {
        self.until(|state| state.rows.borrow().len() == count).await;
    }

    pub(crate) async fn live(&self) {
        self.until(|state| state.status.get() == Status::Live).await;
    }

    async fn until(&self, is: impl Fn(&State) -> bool) {
        poll_fn(|cx| {
            if is(&self.0) {
                return Poll::Ready(());
            }
            wait(cx);
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.0.rows.borrow().clone()
    }
}
