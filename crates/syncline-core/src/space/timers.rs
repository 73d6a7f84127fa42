//! When to look after what.

use std::collections::BTreeSet;

use crate::space::io::ConnId;

/// A connection's own note of when it is looked after; never later than needed. That it may be too early saves moving
/// the timer at every frame.
#[derive(Default)]
pub(super) struct Alarm(Option<u64>);

/// All alarms, in the order of their times (Unix ms).
#[derive(Default)]
pub(super) struct Timers {
    queue: BTreeSet<(u64, ConnId)>,
}

impl Timers {
    /// Calls for the connection at `due` or before.
    pub(super) fn set(&mut self, conn: ConnId, alarm: &mut Alarm, due: u64) {
        if let Some(earlier) = alarm.0 {
            if earlier <= due {
                return;
            }
            self.queue.remove(&(earlier, conn));
        }
        alarm.0 = Some(due);
        self.queue.insert((due, conn));
    }

    /// Does not call for the connection any more.
    pub(super) fn clear(&mut self, conn: ConnId, alarm: &mut Alarm) {
        if let Some(due) = alarm.0.take() {
            self.queue.remove(&(due, conn));
        }
    }

    /// The next connection whose time has come. Its alarm is to be [`reset`](Alarm::reset).
    pub(super) fn pop(&mut self, now: u64) -> Option<ConnId> {
        self.queue.first().filter(|(due, _)| *due <= now)?;
        self.queue.pop_first().map(|(_, conn)| conn)
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.queue.first().map(|(due, _)| *due)
    }
}

impl Alarm {
    /// The alarm has gone off.
    pub(super) fn reset(&mut self) {
        self.0 = None;
    }
}
