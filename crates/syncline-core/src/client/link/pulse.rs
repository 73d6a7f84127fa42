//! Whether the server at the other end of an open connection is still there: what it owes an answer, and when it is asked
//! for a sign of life.

use std::time::Duration;

/// A connection is slower than this only when it is none: so many bytes of what is sent leave it in a second.
const SLOWEST: u64 = 16 * 1024;

/// See the [module](self).
pub(super) struct Pulse {
    answer_within: Duration,
    heartbeat: Duration,
    /// When the server was heard last.
    heard: Duration,
    /// When what was sent on this connection has left, at the slowest.
    leaving: Duration,
    /// Something was asked, and nothing heard since.
    asked: Option<Asked>,
    pings: u64,
}

/// What the server owes an answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The server is gone if nothing was heard until then.
    overdue: Duration,
    /// A ping is on its way too: that is answered at once, however long the rest takes.
    pinged: bool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// A ping.
    Ping,
    /// The answer that has not come: the connection is none any more.
    Answer,
}

impl Pulse {
    pub(super) fn new(answer_within: Duration) -> Self {
        Self {
            answer_within,
            heartbeat: Duration::from_secs(30),
            heard: Duration::ZERO,
            leaving: Duration::ZERO,
            asked: None,
            pings: 0,
        }
    }

    /// Another connection begins: nothing was asked on it.
    pub(super) fn reset(&mut self) {
        (self.asked, self.leaving) = (None, Duration::ZERO);
    }

    /// After so long a silence the server is asked whether it is there: at least a second, whatever a server says.
    pub(super) fn set_heartbeat(&mut self, millis: u64) {
        self.heartbeat = Duration::from_millis(millis.max(1_000));
    }

    /// Any frame shows that the server is there.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard = now;
        self.asked = None;
    }

    /// A frame of so many bytes is sent, which the server answers. It may take its time to leave.
    pub(super) fn asks(&mut self, now: Duration, bytes: usize) {
        let overdue = now + self.answer_within;
        let leaves = self.leaves_at(now, bytes);
        let asked = self.asked.get_or_insert(Asked { overdue, pinged: false });
        if leaves > now {
            asked.overdue = asked.overdue.max(leaves + self.answer_within);
        }
    }

    /// A ping is sent. Gives its number.
    pub(super) fn pings(&mut self, now: Duration) -> u64 {
        let overdue = match self.asked {
            None => now + self.answer_within,
            Some(Asked { overdue, pinged: true }) => overdue,
            // not at once, should time have stood still
            Some(Asked { overdue, pinged: false }) => overdue.max(now + self.answer_within / 2),
        };
        self.asked = Some(Asked { overdue, pinged: true });
        self.pings += 1;
        self.pings
    }

    /// When a frame of so many bytes has left, behind those before it: at the slowest, and in whole seconds from now.
    fn leaves_at(&mut self, now: Duration, bytes: usize) -> Duration {
        let millis = (bytes as u64).saturating_mul(1_000) / SLOWEST;
        self.leaving = self.leaving.max(now) + Duration::from_millis(millis);
        self.left_at(now)
    }

    /// What was to leave by then has left: the server has answered it. Gives how much sooner than at the slowest that was.
    pub(super) fn has_left(&mut self, now: Duration, leaves_at: Duration) -> Duration {
        let sooner = leaves_at.saturating_sub(now);
        self.leaving = self.leaving.saturating_sub(sooner);
        sooner
    }

    /// When everything has left that was sent until now.
    pub(super) fn left_at(&self, now: Duration) -> Duration {
        now + Duration::from_secs(self.leaving.saturating_sub(now).as_secs())
    }

    /// When something is due next.
    pub(super) fn deadline(&self) -> Duration {
        match self.asked {
            Some(Asked { overdue, pinged: true }) => overdue,
            Some(Asked { overdue, pinged: false }) => overdue.saturating_sub(self.answer_within / 2),
            None => self.heard + self.heartbeat,
        }
    }

    pub(super) fn due(&self, now: Duration) -> Due {
        match self.asked {
            _ if now < self.deadline() => Due::Nothing,
            Some(Asked { pinged: true, .. }) => Due::Answer,
            _ => Due::Ping,
        }
    }
}
