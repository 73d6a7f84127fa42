//! The subscriber: a row is a cell, and whoever is told of a change counts it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};

use syncline::hook::{FollowsRelation, Relations, RowHandle, WatchSignals};
use syncline::{Entry, Error, Query, RowState, Status};
use syncline_benches::Item;

/// One row on the screen: a cell with what it shows, which is taken out only to be looked at.
#[derive(Clone)]
pub(crate) struct Row(Rc<Cell<Option<Entry<Item>>>>);

thread_local! {
    /// How often rows have been told of a change.
    static TOLD: Cell<u64> = const { Cell::new(0) };
}

impl Row {
    fn edit(&self, edit: impl FnOnce(&mut Entry<Item>)) {
        let mut entry = self.0.take();
        if let Some(entry) = &mut entry {
            edit(entry);
        }
        self.0.set(entry);
        TOLD.set(TOLD.get() + 1);
    }
}

impl RowHandle<Item> for Row {
    type Weak = Weak<Cell<Option<Entry<Item>>>>;

    fn new(entry: Entry<Item>) -> Self {
        Self(Rc::new(Cell::new(Some(entry))))
    }

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
    orders: Cell<u64>,
    batches: Cell<u64>,
    status: Cell<Status>,
    waiting: Cell<Option<Waker>>,
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
        self.0.orders.set(self.0.orders.get() + 1);
        Some(edit(&mut self.0.rows.borrow_mut()))
    }

    fn set_state(&self, status: Status, _: Option<Error>, _: bool) {
        self.0.status.set(status);
        self.0.batches.set(self.0.batches.get() + 1);
        if let Some(waker) = self.0.waiting.take() {
            waker.wake();
        }
    }
}

impl Signals {
    /// How many batches have been shown.
    pub(crate) fn batches(&self) -> u64 {
        self.0.batches.get()
    }

    pub(crate) async fn more_than(&self, batches: u64) {
        self.until(|state| state.batches.get() > batches).await;
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
            self.0.waiting.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.0.rows.borrow().clone()
    }

    pub(crate) fn told(&self) -> u64 {
        self.0.orders.get() + TOLD.get()
    }
}
