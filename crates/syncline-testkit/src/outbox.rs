//! What waits on the server to leave for one client, bounded in bytes: the same rules as the real server's.

use std::collections::VecDeque;
use std::sync::Arc;

/// What a frame costs beside its bytes.
const FRAME_OVERHEAD: usize = 64;

/// See the [module](self).
pub(crate) struct Outbox {
    limit: usize,
    queue: VecDeque<Waiting>,
    leaving: Option<Waiting>,
    /// Lossy frames are thrown away until the engine has been told that there is room again.
    lagging: bool,
    /// The engine is being told so.
    announced: bool,
    /// Counts the times that frames were thrown away.
    epoch: u64,
    closing: bool,
}

pub(crate) struct Waiting {
    pub(crate) frame: Arc<[u8]>,
    lossy: bool,
    pub(crate) drained: bool,
}

/// What came of putting a frame in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Done,
    /// There was no room: all lossy frames were thrown away.
    Lagged,
    /// There was no room even without them.
    Stuck,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            queue: VecDeque::new(),
            leaving: None,
            lagging: false,
            announced: false,
            epoch: 0,
            closing: false,
        }
    }

    pub(crate) fn put(&mut self, frame: Arc<[u8]>, lossy: bool, drained: bool) -> Put {
        if self.closing || (self.lagging && lossy) {
            return Put::Done;
        }
        let cost = frame.len() + FRAME_OVERHEAD;
        let mut put = Put::Done;
        if self.load() + cost > self.limit {
            if !self.lagging {
                self.throw_away();
                put = Put::Lagged;
            }
            if lossy {
                return put;
            }
            if self.load() + cost > self.limit {
                return Put::Stuck;
            }
        }
        self.queue.push_back(Waiting { frame, lossy, drained });
        put
    }

    fn throw_away(&mut self) {
        self.queue.retain(|waiting| !waiting.lossy);
        // the lag makes up for what was to be told
        self.queue.iter_mut().chain(&mut self.leaving).for_each(|waiting| waiting.drained = false);
        self.lagging = true;
        self.announced = false;
        self.epoch += 1;
    }

    fn load(&self) -> usize {
        self.queue.iter().chain(&self.leaving).map(|waiting| waiting.frame.len() + FRAME_OVERHEAD).sum()
    }

    /// Takes the next frame out, unless one is leaving already; gives its size.
    pub(crate) fn begin(&mut self) -> Option<usize> {
        if self.leaving.is_some() {
            return None;
        }
        self.leaving = Some(self.queue.pop_front()?);
        self.leaving.as_ref().map(|waiting| waiting.frame.len())
    }

    /// The frame that was leaving has left.
    pub(crate) fn left(&mut self) -> Option<Waiting> {
        self.leaving.take()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leaving.is_none() && self.queue.is_empty()
    }

    /// Whether the engine is to be told that there is room again; once after each lag.
    pub(crate) fn has_room_again(&mut self) -> bool {
        let news = self.lagging && !self.announced && self.is_empty();
        self.announced |= news;
        news
    }

    /// The engine has been told that there is room again.
    pub(crate) fn resume(&mut self) {
        self.lagging = false;
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes nothing more.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Arc<[u8]> {
        vec![b' '; bytes].into()
    }

    #[test]
    fn over_the_bound_lossy_frames_go_and_the_others_stay() {
        let mut outbox = Outbox::new(1_000);
        assert_eq!(outbox.put(frame(400), true, true), Put::Done);
        assert_eq!(outbox.put(frame(100), false, false), Put::Done);
        assert_eq!(outbox.put(frame(600), true, false), Put::Lagged);
        assert_eq!(outbox.put(frame(10), true, false), Put::Done);
        assert_eq!(outbox.begin(), Some(100));
        assert!(outbox.left().is_some() && outbox.has_room_again() && !outbox.has_room_again());
        outbox.resume();
        assert_eq!(outbox.put(frame(10), true, false), Put::Done);
        assert_eq!(outbox.begin(), Some(10));
    }

    #[test]
    fn without_lossy_frames_to_throw_away_the_connection_is_stuck() {
        let mut outbox = Outbox::new(1_000);
        assert_eq!(outbox.put(frame(900), false, false), Put::Done);
        assert_eq!(outbox.put(frame(100), false, false), Put::Stuck);
    }
}
