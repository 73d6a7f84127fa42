//! A future beside others in one task, polled only when it was woken itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// A task is woken as a whole: what it does most often would pay for asking all else whether it can go on. This asks only a
/// future that has said so.
pub(super) struct Apart<F> {
    future: F,
    woken: Arc<Woken>,
    waker: Waker,
}

struct Woken {
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future + Unpin> Apart<F> {
    pub(super) fn new(future: F) -> Self {
        let woken = Arc::new(Woken { is_woken: AtomicBool::new(true), task: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&woken));
        Self { future, woken, waker }
    }
}

impl<F: Future + Unpin> Future for Apart<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // first the task, then the mark: a wake in between is not lost
        self.woken.task.register(cx.waker());
        if !self.woken.is_woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let Self { future, waker, .. } = &mut *self;
        Pin::new(future).poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt as _;
    use futures::channel::oneshot;
    use futures::task::noop_waker;

    use super::*;

    #[test]
    fn it_is_polled_first_and_then_only_when_it_was_woken() {
        let mut polls = 0;
        let (sender, mut receiver) = oneshot::channel();
        let future = poll_fn(|cx| {
            polls += 1;
            receiver.poll_unpin(cx)
        });
        let mut apart = Apart::new(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(apart.poll_unpin(&mut context).is_pending());
        }
        assert_eq!(sender.send(7), Ok(()));
        assert_eq!(apart.poll_unpin(&mut context), Poll::Ready(Ok(7)));
        drop(apart);
        assert_eq!(polls, 2);
    }

    #[test]
    fn its_wake_wakes_the_task() {
        let (sender, receiver) = oneshot::channel::<()>();
        let mut apart = Apart::new(receiver);
        let task = Arc::new(Woken { is_woken: AtomicBool::new(false), task: AtomicWaker::new() });
        task.task.register(&noop_waker());
        assert!(apart.poll_unpin(&mut Context::from_waker(&Waker::from(Arc::clone(&task)))).is_pending());
        drop(sender);
        assert!(task.is_woken.load(Ordering::Acquire));
    }
}
