//! The tasks of a page.
//!
//! They get their turn where `wasm_bindgen_futures` gives it, after what runs now and before anything else of the page: as
//! a microtask. That one asks for it with `queueMicrotask`, a call into the browser that takes Chromium 2 µs each time. The
//! reaction of a promise is a microtask too, and stays within the engine: 0.04 µs. A frame on its way to a signal waits
//! for several turns, and they are taken in one: whoever comes to be due meanwhile follows at once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use wasm_bindgen::prelude::*;

use crate::BoxFuture;

/// Runs a task of this page until it ends: [`wasm_bindgen_futures::spawn_local`], where every turn costs less.
pub fn spawn_local(task: impl Future<Output = ()> + 'static) {
    TASKS.with(|tasks| {
        let id = tasks.last.get() + 1;
        tasks.last.set(id);
        let turn = Arc::new(Turn { task: id, is_due: AtomicBool::new(true) });
        let waker = Waker::from(Arc::clone(&turn));
        tasks.all.borrow_mut().insert(id, Some(Task { future: Box::pin(task), waker }));
        tasks.take_turn(turn);
    });
}

/// Turns taken before other microtasks of the page get theirs.
const TURNS_AT_ONCE: usize = 64;

thread_local! {
    static TASKS: Tasks = Tasks::new();
}

struct Tasks {
    last: Cell<u64>,
    /// The one that runs is taken out: what it does to others must not meet a lock, and if it never comes back, they go on.
    all: RefCell<BTreeMap<u64, Option<Task>>>,
    due: RefCell<VecDeque<Arc<Turn>>>,
    /// The engine has been asked to call back.
    is_asked: Cell<bool>,
    kept: Kept,
    callback: Closure<dyn FnMut()>,
}

struct Task {
    future: BoxFuture<()>,
    waker: Waker,
}

/// A task's place among those that are due, at most once.
struct Turn {
    task: u64,
    is_due: AtomicBool,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        if !self.is_due.swap(true, Ordering::Relaxed) {
            TASKS.with(|tasks| tasks.take_turn(self));
        }
    }
}

#[wasm_bindgen]
extern "C" {
    /// A promise that is kept already.
    type Kept;
    #[wasm_bindgen(js_namespace = Promise, js_name = resolve)]
    fn kept() -> Kept;
    #[wasm_bindgen(method)]
    fn then(this: &Kept, callback: &Closure<dyn FnMut()>);
}

impl Tasks {
    fn new() -> Self {
        Self {
            last: Cell::default(),
            all: RefCell::default(),
            due: RefCell::default(),
            is_asked: Cell::default(),
            kept: kept(),
            callback: Closure::new(|| TASKS.with(Self::run)),
        }
    }

    fn take_turn(&self, turn: Arc<Turn>) {
        self.due.borrow_mut().push_back(turn);
        self.ask();
    }

    fn ask(&self) {
        if !self.is_asked.replace(true) {
            self.kept.then(&self.callback);
        }
    }

    /// Whoever is due, one after the other. Those who come to be due meanwhile have asked for another call: should one that
    /// has its turn never come back, in a panic, they still get theirs.
    fn run(&self) {
        self.is_asked.set(false);
        for _ in 0..TURNS_AT_ONCE {
            let Some(turn) = self.due.borrow_mut().pop_front() else { return };
            if !self.due.borrow().is_empty() {
                self.ask();
            }
            turn.is_due.store(false, Ordering::Relaxed);
            let task = self.all.borrow_mut().get_mut(&turn.task).and_then(Option::take);
            let Some(Task { mut future, waker }) = task else { continue };
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.all.borrow_mut().remove(&turn.task);
            } else if let Some(place) = self.all.borrow_mut().get_mut(&turn.task) {
                *place = Some(Task { future, waker });
            }
        }
        if !self.due.borrow().is_empty() {
            self.ask();
        }
    }
}
