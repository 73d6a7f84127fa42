//! How many event streams may be open at once, for all cores that share one browser's connections to a host.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// A browser opens six connections to a host over HTTP/1.1: four streams and a page leave one for everything else.
const MAX_STREAMS: usize = 4;
const MAX_PAGES: usize = 1;

/// Event streams that may be open at once, and one page of a snapshot beside them. Clones share them: the driver gives one
/// to all cores of a page that speak with the same origin.
///
/// ```
/// use syncline_core::client::contrail::{Allowance, Service};
///
/// let of_the_page = Allowance::default(); // four
/// let first = Service { namespace: "app.example".into(), allowance: of_the_page.clone(), ..Service::default() };
/// let second = Service { namespace: "app.other".into(), allowance: of_the_page, ..Service::default() };
/// # let _ = (first, second);
/// ```
#[derive(Clone)]
pub struct Allowance {
    free: Arc<Mutex<Free>>,
}

struct Free {
    streams: usize,
    pages: usize,
    /// Who wants to know that there is more.
    waiting: Vec<Waker>,
}

/// What something is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Stream,
    Page,
}

/// One of them; given back when it is dropped.
pub(super) struct Permit {
    of: Allowance,
    what: Use,
}

impl Allowance {
    /// So many streams; with none, everything goes over WebSockets where it may.
    pub fn new(streams: usize) -> Self {
        let free = Free { streams, pages: MAX_PAGES, waiting: Vec::new() };
        Self { free: Arc::new(Mutex::new(free)) }
    }

    /// Whether there are other clones of it.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.free) > 1
    }

    pub(super) fn take(&self, what: Use) -> Option<Permit> {
        let mut free = self.lock();
        let free = free.of(what);
        *free = free.checked_sub(1)?;
        Some(Permit { of: self.clone(), what })
    }

    pub(super) fn has(&self, what: Use) -> bool {
        *self.lock().of(what) > 0
    }

    /// Whether one of these can be had; if not, wakes when that may be so.
    pub(super) fn has_or_wakes(&self, wanted: &[Use], waker: &Waker) -> bool {
        let mut free = self.lock();
        let has = wanted.iter().any(|&what| *free.of(what) > 0);
        if !has && !wanted.is_empty() && !free.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            free.waiting.push(waker.clone());
        }
        has
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Free {
    fn of(&mut self, what: Use) -> &mut usize {
        match what {
            Use::Stream => &mut self.streams,
            Use::Page => &mut self.pages,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let waiting = {
            let mut free = self.of.lock();
            *free.of(self.what) += 1;
            std::mem::take(&mut free.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Default for Allowance {
    /// Four streams.
    fn default() -> Self {
        Self::new(MAX_STREAMS)
    }
}

impl fmt::Debug for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.lock();
        f.debug_struct("Allowance").field("streams", &free.streams).field("pages", &free.pages).finish()
    }
}
