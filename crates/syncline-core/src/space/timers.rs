//! When to look after what.

use std::collections::BTreeSet;

use crate::id::SpaceId;
use crate::space::io::ConnId;

/// What may need looking after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ward {
    Connection(ConnId),
    Space(SpaceId),
}

/// A ward's own note of when it is called; never later than needed. That it may be called too early saves moving the
/// timer at every frame.
#[derive(Default)]
pub(super) struct Alarm(Option<u64>);

/// All alarms, in the order of their times (Unix ms).
#[derive(Default)]
pub(super) struct Timers {
    queue: BTreeSet<(u64, Ward)>,
}

impl Timers {
    /// Calls the ward at `due` or before.
    pub(super) fn set(&mut self, ward: Ward, alarm: &mut Alarm, due: u64) {
        if let Some(earlier) = alarm.0 {
            if earlier <= due {
                return;
            }
            self.queue.remove(&(earlier, ward.clone()));
        }
        alarm.0 = Some(due);
        self.queue.insert((due, ward));
    }

    /// Does not call the ward any more.
    pub(super) fn clear(&mut self, ward: Ward, alarm: &mut Alarm) {
        if let Some(due) = alarm.0.take() {
            self.queue.remove(&(due, ward));
        }
    }

    /// The next ward whose time has come. Its alarm is to be [`reset`](Alarm::reset).
    pub(super) fn pop(&mut self, now: u64) -> Option<Ward> {
        self.queue.first().filter(|(due, _)| *due <= now)?;
        self.queue.pop_first().map(|(_, ward)| ward)
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
