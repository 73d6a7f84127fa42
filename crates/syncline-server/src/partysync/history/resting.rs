//! Histories that nobody asks just now: a lone client that goes and comes back is not to have all rows read anew each time.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use crate::partysync::history::History;

/// How long one is kept for whoever comes back.
const REST: Duration = Duration::from_secs(60);
/// How many are.
const MOST: usize = 32;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Resting(Mutex<Rest>);

#[derive(Default)]
struct Rest {
    /// Each with the time until which it is kept, which is the later the further back it stands.
    histories: VecDeque<(Instant, Arc<History>)>,
    /// There is a task that lets go of them.
    is_seen_to: bool,
}

/// A history that somebody asks.
pub(in crate::partysync) struct InUse {
    history: Arc<History>,
    resting: Arc<Resting>,
}

impl InUse {
    pub(super) fn new(history: Arc<History>, resting: &Arc<Resting>) -> Self {
        Self { history, resting: Arc::clone(resting) }
    }
}

impl Deref for InUse {
    type Target = History;

    fn deref(&self) -> &History {
        &self.history
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.resting.keep(&self.history);
    }
}

impl Resting {
    fn keep(self: &Arc<Self>, history: &Arc<History>) {
        // where no runtime is any more, nobody comes back
        let Ok(runtime) = Handle::try_current() else { return };
        let mut rest = self.lock();
        rest.histories.retain(|(_, other)| !Arc::ptr_eq(other, history));
        rest.histories.push_back((Instant::now() + REST, Arc::clone(history)));
        let one_too_many = if rest.histories.len() > MOST { rest.histories.pop_front() } else { None };
        let is_seen_to = std::mem::replace(&mut rest.is_seen_to, true);
        drop(rest);
        // with all that it knows
        drop(one_too_many);
        if !is_seen_to {
            let resting = Arc::downgrade(self);
            runtime.spawn(async move {
                while let Some(next) = resting.upgrade().and_then(|resting| resting.let_go()) {
                    sleep_until(next).await;
                }
            });
        }
    }

    /// Lets go of what has been kept long enough; when to look again.
    fn let_go(&self) -> Option<Instant> {
        let (mut rest, now) = (self.lock(), Instant::now());
        let over = rest.histories.partition_point(|(until, _)| *until <= now);
        let over: Vec<_> = rest.histories.drain(..over).collect();
        let next = rest.histories.front().map(|(until, _)| *until);
        rest.is_seen_to = next.is_some();
        drop(rest);
        drop(over);
        next
    }

    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partysync::history::Bounds;

    fn history() -> Arc<History> {
        Arc::new(History::new(["todos"].into(), Bounds { versions: 10, keys: 10 }))
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_nobody_asks_is_kept_for_a_minute() {
        let (resting, history) = (Arc::new(Resting::default()), history());
        let weak = Arc::downgrade(&history);
        drop(InUse::new(history, &resting));
        tokio::time::sleep(REST / 2).await;
        // somebody has come back and gone
        drop(InUse::new(weak.upgrade().unwrap(), &resting));
        tokio::time::sleep(REST - Duration::from_secs(1)).await;
        assert_eq!(weak.strong_count(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(weak.strong_count(), 0);
        // and again
        let history = self::history();
        let weak = Arc::downgrade(&history);
        drop(InUse::new(history, &resting));
        assert_eq!(weak.strong_count(), 1);
        tokio::time::sleep(REST + Duration::from_secs(1)).await;
        assert_eq!(weak.strong_count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_kept() {
        let resting = Arc::new(Resting::default());
        let all: Vec<_> = (0..MOST + 5).map(|_| history()).collect();
        let weak: Vec<_> = all.iter().map(Arc::downgrade).collect();
        all.into_iter().for_each(|history| drop(InUse::new(history, &resting)));
        let kept: Vec<_> = weak.iter().map(|weak| weak.strong_count()).collect();
        assert_eq!(kept, [[0; 5].as_slice(), &[1; MOST]].concat());
    }
}
