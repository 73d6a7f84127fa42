//! What happened, in order: a bounded memory of it for people, and a hash of all of it.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::seeds::number;

/// How much of a frame is kept.
const SHOWN: usize = 320;
/// How many events are kept, and shown of a failed run.
const KEPT: usize = 80;

/// Who did something, or to whom it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Client(usize),
    Server,
    Disk,
    Test,
}

struct Event {
    at: Duration,
    who: Who,
    what: Box<str>,
    frame: Box<[u8]>,
}

/// See the [module](self).
pub(crate) struct Trace {
    events: VecDeque<Event>,
    kept: usize,
    count: u64,
    hasher: DefaultHasher,
}

impl Trace {
    /// Remembers the last 80 events, or as many as `SYNCLINE_TRACE` says.
    pub(crate) fn new() -> Self {
        let kept = number("SYNCLINE_TRACE").map_or(KEPT, |kept| kept as usize);
        Self { events: VecDeque::new(), kept, count: 0, hasher: DefaultHasher::new() }
    }

    pub(crate) fn note(&mut self, at: Duration, who: Who, what: impl Into<Box<str>>) {
        self.frame(at, who, what, &[]);
    }

    pub(crate) fn frame(&mut self, at: Duration, who: Who, what: impl Into<Box<str>>, frame: &[u8]) {
        let what = what.into();
        (at, who, &*what, frame).hash(&mut self.hasher);
        self.count += 1;
        if self.events.len() >= self.kept {
            self.events.pop_front();
        }
        let frame = frame[..frame.len().min(SHOWN)].into();
        self.events.push_back(Event { at, who, what, frame });
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// The last events, one a line.
    pub(crate) fn tail<'a>(&'a self, name: impl Fn(usize) -> &'a str + 'a) -> impl fmt::Display + 'a {
        Tail { trace: self, name: Box::new(name) }
    }
}

struct Tail<'a> {
    trace: &'a Trace,
    name: Box<dyn Fn(usize) -> &'a str + 'a>,
}

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the last {} of {} events:", self.trace.events.len(), self.trace.count)?;
        for event in &self.trace.events {
            let who = match event.who {
                Who::Client(index) => (self.name)(index),
                Who::Server => "server",
                Who::Disk => "disk",
                Who::Test => "test",
            };
            write!(f, "{:>12.6} {who:>8}  {}", event.at.as_secs_f64(), event.what)?;
            let text = String::from_utf8_lossy(&event.frame);
            for (number, line) in text.lines().enumerate() {
                f.write_char(' ')?;
                if number > 0 {
                    f.write_str("⏎ ")?;
                }
                f.write_str(line)?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}
