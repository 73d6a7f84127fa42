//! What waits to leave on one connection, bounded in bytes.

use std::collections::VecDeque;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use syncline_core::Error;
use syncline_core::wire::{ServerMessage, encode};
use tokio::sync::Notify;

/// What a frame costs beside its bytes, so that tiny ones cannot pile up either.
const FRAME_OVERHEAD: usize = 64;

/// The frames that wait for one connection. The hub puts them in, the connection's own task takes them out.
pub(crate) struct Outbox {
    limit: usize,
    state: Mutex<State>,
    closed: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Waiting>,
    /// The task that waits for something to do.
    waiting: Option<Waker>,
    /// The cost of everything in the queue.
    queued: usize,
    /// The cost of what was taken out last and is still leaving.
    leaving: usize,
    /// Somebody waits to hear that the leaving frame has left.
    tell_left: bool,
    /// Somebody waits to hear that everything has left.
    tell_empty: bool,
    /// Lossy frames are thrown away until the hub has heard about it.
    lagging: bool,
    /// Counts the times that frames were thrown away.
    epoch: u64,
    close: Option<Option<Error>>,
    /// When the credentials of whoever is at the other end grow old, for a route that hands on what they open. Unix ms.
    expires_at: Option<u64>,
}

struct Waiting {
    frame: Arc<[u8]>,
    lossy: bool,
    tell: bool,
}

impl Waiting {
    fn cost(&self) -> usize {
        self.frame.len() + FRAME_OVERHEAD
    }
}

/// What came of putting a frame in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Put {
    /// It waits, or the connection is closing and nobody needs it.
    Done,
    /// There was no room: all lossy frames were thrown away, and more will be until [`Outbox::resume`].
    Lagged,
    /// There was no room even without lossy frames: the reader takes nothing at all.
    Stuck,
}

/// What there is to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// To be sent.
    Frame(Arc<[u8]>),
    /// To be told to the hub: everything up to a frame that asked for it has left. Of no interest in another epoch.
    Drained {
        /// The epoch in which it was asked for.
        epoch: u64,
    },
    /// Nothing follows.
    Closed(Option<Error>),
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), closed: Notify::new() }
    }

    /// Puts a frame in. With `tell`, [`Next::Drained`] follows when it has left.
    pub(crate) fn put(&self, frame: Arc<[u8]>, lossy: bool, tell: bool) -> Put {
        let mut state = self.lock();
        if state.close.is_some() || (state.lagging && lossy) {
            return Put::Done;
        }
        let waiting = Waiting { frame, lossy, tell };
        let mut outcome = Put::Done;
        if state.load() + waiting.cost() > self.limit {
            state.throw_lossy_away();
            outcome = Put::Lagged;
        }
        if outcome == Put::Done || !lossy {
            if state.load() + waiting.cost() > self.limit {
                return Put::Stuck;
            }
            state.queued += waiting.cost();
            state.queue.push_back(waiting);
        }
        wake(state);
        outcome
    }

    /// Takes lossy frames again, after the hub has heard that some were thrown away.
    pub(crate) fn resume(&self) {
        self.lock().lagging = false;
    }

    /// Says when the credentials of whoever is at the other end grow old; before the frame that lets them in.
    pub(crate) fn expire_at(&self, at: Option<u64>) {
        self.lock().expires_at = at;
    }

    /// When they grow old, if ever. Unix ms.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.lock().expires_at
    }

    /// The number of times that frames were thrown away.
    pub(crate) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Ends the connection once everything that waits has left.
    pub(crate) fn close(&self, error: Option<Error>) {
        let mut state = self.lock();
        state.close.get_or_insert(error);
        wake(state);
        self.closed.notify_waiters();
    }

    /// Ends the connection with an error frame, whatever else waits.
    pub(crate) fn refuse(&self, error: Error) {
        let mut state = self.lock();
        if state.close.is_none() {
            let frame = encode(&ServerMessage::Error(error.clone()), []);
            state.queue.clear();
            state.queue.push_back(Waiting { frame: frame.into(), lossy: false, tell: false });
            state.close = Some(Some(error));
        }
        wake(state);
        self.closed.notify_waiters();
    }

    /// Whether the connection is ending.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().close.is_some()
    }

    /// Comes back when the connection is to end, which may be before everything has left.
    pub(crate) async fn closed(&self) {
        let mut notified = pin!(self.closed.notified());
        notified.as_mut().enable();
        if !self.is_closed() {
            notified.await;
        }
    }

    /// What to do next; asking says that everything before has left. For the one task that sends.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.lock();
        if let Some(next) = state.next() {
            return Poll::Ready(next);
        }
        if !state.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(cx.waker())) {
            state.waiting = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// One more frame of at most so many bytes, to leave together with the one before; `None` when what is next must leave
    /// alone.
    pub(crate) fn more(&self, room: usize) -> Option<Arc<[u8]>> {
        self.lock().more(room)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the task that sends look at it again.
fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waiting) = waiting {
        waiting.wake();
    }
}

impl State {
    fn load(&self) -> usize {
        self.queued + self.leaving
    }

    fn throw_lossy_away(&mut self) {
        self.queue.retain(|waiting| !waiting.lossy);
        for waiting in &mut self.queue {
            waiting.tell = false;
        }
        self.queued = self.queue.iter().map(Waiting::cost).sum();
        self.tell_left = false;
        self.tell_empty = true;
        self.lagging = true;
        self.epoch += 1;
    }

    fn next(&mut self) -> Option<Next> {
        self.leaving = 0;
        if mem::take(&mut self.tell_left) {
            return Some(Next::Drained { epoch: self.epoch });
        }
        if let Some(frame) = self.leave() {
            return Some(Next::Frame(frame));
        }
        // what a burst has made room for is not kept by every idle connection
        self.queue.shrink_to(8);
        if mem::take(&mut self.tell_empty) {
            return Some(Next::Drained { epoch: self.epoch });
        }
        self.close.clone().map(Next::Closed)
    }

    fn more(&mut self, room: usize) -> Option<Arc<[u8]>> {
        let fits = self.queue.front().is_some_and(|waiting| waiting.frame.len() <= room);
        (fits && !self.tell_left).then(|| self.leave()).flatten()
    }

    /// Takes the first frame out, beside what is leaving already.
    fn leave(&mut self) -> Option<Arc<[u8]>> {
        let waiting = self.queue.pop_front()?;
        self.leaving += waiting.cost();
        self.queued = self.queued.saturating_sub(waiting.cost());
        self.tell_left = waiting.tell;
        Some(waiting.frame)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt as _;
    use syncline_core::code;

    use super::*;

    const LIMIT: usize = 1_000;

    fn frame(bytes: usize) -> Arc<[u8]> {
        vec![b' '; bytes].into()
    }

    fn put_lossy(outbox: &Outbox, bytes: usize) -> Put {
        outbox.put(frame(bytes), true, false)
    }

    fn put_lasting(outbox: &Outbox, bytes: usize) -> Put {
        outbox.put(frame(bytes), false, false)
    }

    /// The next thing to do, when there is one.
    fn next(outbox: &Outbox) -> Option<Next> {
        poll_fn(|cx| outbox.poll_next(cx)).now_or_never()
    }

    #[track_caller]
    fn assert_frame(outbox: &Outbox, bytes: usize) {
        match next(outbox) {
            Some(Next::Frame(frame)) => assert_eq!(frame.len(), bytes),
            other => panic!("expected a frame, not {other:?}"),
        }
    }

    #[test]
    fn frames_leave_in_order_and_the_hub_hears_when_a_marked_one_has_left() {
        let outbox = Outbox::new(LIMIT);
        assert_eq!(outbox.put(frame(20), true, true), Put::Done);
        assert_eq!(put_lossy(&outbox, 30), Put::Done);
        assert_frame(&outbox, 20);
        assert!(matches!(next(&outbox), Some(Next::Drained { epoch: 0 })));
        assert_frame(&outbox, 30);
        assert!(next(&outbox).is_none());
    }

    #[test]
    fn small_frames_may_leave_together_but_not_past_what_the_hub_wants_to_hear() {
        let outbox = Outbox::new(LIMIT);
        assert_eq!(put_lossy(&outbox, 20), Put::Done);
        assert_eq!(outbox.put(frame(30), true, true), Put::Done);
        assert_eq!(put_lossy(&outbox, 40), Put::Done);
        assert_frame(&outbox, 20);
        assert!(outbox.more(29).is_none());
        assert_eq!(outbox.more(30).map(|frame| frame.len()), Some(30));
        assert!(outbox.more(40).is_none());
        assert_eq!(outbox.lock().leaving, 50 + 2 * FRAME_OVERHEAD);
        assert!(matches!(next(&outbox), Some(Next::Drained { epoch: 0 })));
        assert_frame(&outbox, 40);
    }

    #[test]
    fn over_the_bound_lossy_frames_are_thrown_away_and_lasting_ones_kept() {
        let outbox = Outbox::new(LIMIT);
        assert_eq!(put_lossy(&outbox, 400), Put::Done);
        assert_eq!(put_lasting(&outbox, 15), Put::Done);
        assert_eq!(put_lossy(&outbox, 600), Put::Lagged);
        assert_eq!(put_lossy(&outbox, 20), Put::Done);
        assert_frame(&outbox, 15);
        assert!(matches!(next(&outbox), Some(Next::Drained { epoch: 1 })));
        assert!(next(&outbox).is_none());
        outbox.resume();
        assert_eq!(put_lossy(&outbox, 20), Put::Done);
        assert_frame(&outbox, 20);
    }

    #[test]
    fn a_lasting_frame_takes_the_room_of_lossy_ones() {
        let outbox = Outbox::new(LIMIT);
        assert_eq!(put_lossy(&outbox, 800), Put::Done);
        assert_eq!(put_lasting(&outbox, 500), Put::Lagged);
        assert_frame(&outbox, 500);
    }

    #[test]
    fn the_frame_that_is_leaving_counts() {
        let outbox = Outbox::new(LIMIT);
        assert_eq!(outbox.put(frame(800), true, true), Put::Done);
        assert_frame(&outbox, 800);
        assert_eq!(put_lossy(&outbox, 200), Put::Lagged);
        // what was asked for before the reset is not told after it
        assert!(matches!(next(&outbox), Some(Next::Drained { epoch: 1 })));
        assert!(next(&outbox).is_none());
    }

    #[test]
    fn a_frame_that_can_never_be_sent_is_a_lag() {
        assert_eq!(put_lossy(&Outbox::new(LIMIT), 2_000), Put::Lagged);
    }

    #[test]
    fn a_reader_that_takes_nothing_at_all_is_stuck() {
        let outbox = Outbox::new(LIMIT);
        let fits = LIMIT / (10 + FRAME_OVERHEAD);
        assert!((0..fits).all(|_| put_lasting(&outbox, 10) == Put::Done));
        assert_eq!(put_lasting(&outbox, 10), Put::Stuck);
    }

    #[test]
    fn what_waits_leaves_before_the_connection_closes() {
        let outbox = Outbox::new(LIMIT);
        assert_eq!(put_lossy(&outbox, 20), Put::Done);
        outbox.close(None);
        assert_eq!(put_lossy(&outbox, 30), Put::Done);
        assert_frame(&outbox, 20);
        assert!(matches!(next(&outbox), Some(Next::Closed(None))));
    }

    #[test]
    fn a_refusal_goes_before_everything() {
        let outbox = Outbox::new(LIMIT);
        assert_eq!(put_lossy(&outbox, 20), Put::Done);
        outbox.refuse(Error::new(code::FRAME_TOO_LARGE, "too large"));
        let Some(Next::Frame(frame)) = next(&outbox) else { panic!("expected the refusal") };
        assert_eq!(&*frame, br#"{"error":{"code":"frame_too_large","message":"too large"}}"#);
        assert!(matches!(next(&outbox), Some(Next::Closed(Some(_)))));
        assert!(outbox.closed().now_or_never().is_some());
    }

    #[test]
    fn waiting_ends_when_something_comes() {
        let outbox = Outbox::new(LIMIT);
        let mut waiting = Box::pin(poll_fn(|cx| outbox.poll_next(cx)));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(put_lossy(&outbox, 20), Put::Done);
        assert!(matches!(waiting.now_or_never(), Some(Next::Frame(_))));
        let mut waiting = Box::pin(outbox.closed());
        assert!(waiting.as_mut().now_or_never().is_none());
        outbox.close(None);
        assert!(waiting.now_or_never().is_some());
    }
}
