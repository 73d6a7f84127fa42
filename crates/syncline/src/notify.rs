//! Tells any number of listeners that something changed. What changed they look up themselves, so a listener that was
//! away for many changes hears of them once.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The side that changes things.
#[derive(Default)]
pub(crate) struct Notifier {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    changes: u64,
    closed: bool,
    next_listener: u64,
    /// A few at most: the tasks that look at one watch.
    waiting: Vec<(u64, Waker)>,
}

impl Notifier {
    /// Something changed. Not to be called under a lock: wakers are other people's code.
    pub(crate) fn notify(&self) {
        self.wake(|state| state.changes += 1);
    }

    /// Nothing will change any more.
    pub(crate) fn close(&self) {
        self.wake(|state| state.closed = true);
    }

    /// Nothing will change any more, and what changed before is nobody's business now.
    pub(crate) fn abandon(&self) {
        self.wake(|state| (state.changes, state.closed) = (0, true));
    }

    fn wake(&self, change: impl FnOnce(&mut State)) {
        let (one, others) = {
            let mut state = self.lock();
            change(&mut state);
            let one = state.waiting.pop();
            // most often there are no others, and the one comes back to where it stood
            let others =
                if state.waiting.is_empty() { Vec::new() } else { std::mem::take(&mut state.waiting) };
            (one, others)
        };
        others.into_iter().chain(one).for_each(|(_, waker)| waker.wake());
    }

    /// A listener that hears of every change after the first `seen` ones.
    pub(crate) fn listen_from(self: &Arc<Self>, seen: u64) -> Listener {
        let mut state = self.lock();
        state.next_listener += 1;
        let id = state.next_listener;
        drop(state);
        Listener { notifier: Arc::clone(self), id, seen }
    }

    /// A listener that hears of every change from now on.
    pub(crate) fn listen(self: &Arc<Self>) -> Listener {
        let changes = self.lock().changes;
        self.listen_from(changes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side that hears of it.
pub(crate) struct Listener {
    notifier: Arc<Notifier>,
    id: u64,
    seen: u64,
}

impl Listener {
    /// Ready with `true` after a change, with `false` when there will be none any more.
    pub(crate) fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.notifier.lock();
        if state.changes > self.seen {
            self.seen = state.changes;
            return Poll::Ready(true);
        }
        if state.closed {
            return Poll::Ready(false);
        }
        match state.waiting.iter_mut().find(|(listener, _)| *listener == self.id) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.waiting.push((self.id, cx.waker().clone())),
        }
        Poll::Pending
    }

    /// How many changes it has heard of, those included that came before it.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// [`poll_changed`](Self::poll_changed), to be awaited.
    pub(crate) async fn changed(&mut self) -> bool {
        poll_fn(|cx| self.poll_changed(cx)).await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // dropped outside the lock: a waker may own whatever it likes
        let waker = {
            let waiting = &mut self.notifier.lock().waiting;
            let place = waiting.iter().position(|(listener, _)| *listener == self.id);
            place.map(|place| waiting.swap_remove(place))
        };
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn many_changes_are_heard_once() {
        let notifier = Arc::new(Notifier::default());
        let mut listener = notifier.listen();
        assert_eq!(listener.changed().now_or_never(), None);
        notifier.notify();
        notifier.notify();
        assert_eq!(listener.changed().now_or_never(), Some(true));
        assert_eq!(listener.changed().now_or_never(), None);
    }

    #[test]
    fn the_last_change_is_heard_before_the_end() {
        let notifier = Arc::new(Notifier::default());
        let mut listener = notifier.listen();
        notifier.notify();
        notifier.close();
        assert_eq!(listener.changed().now_or_never(), Some(true));
        assert_eq!(listener.changed().now_or_never(), Some(false));
    }

    #[test]
    fn what_was_abandoned_is_not_heard_of() {
        let notifier = Arc::new(Notifier::default());
        let mut listener = notifier.listen();
        notifier.notify();
        notifier.abandon();
        assert_eq!(listener.changed().now_or_never(), Some(false));
    }

    #[test]
    fn a_listener_that_leaves_leaves_nothing_behind() {
        let notifier = Arc::new(Notifier::default());
        for _ in 0..3 {
            let mut listener = notifier.listen();
            assert_eq!(listener.changed().now_or_never(), None);
        }
        assert!(notifier.lock().waiting.is_empty());
    }
}
