//! One room: its socket, its channels, what was asked on it, and when something has to happen to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::value::RawValue;

use super::row::Moment;
use crate::client::Status;
use crate::client::session::{SessionId, Unreadable};
use crate::id::{ClientId, WriteId};

/// Names one socket of a client, in all that is said about it.
pub(super) type Line = u64;

/// What is in doubt is asked for again when it has been quiet for so long.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// Rows of a line that is never quiet are asked for again after so many times the time for a quiet one.
const BUSY: u32 = 10;
/// Answers that did not come while others did, until a channel counts as one that is not there.
const TRIES: u32 = 3;
/// An answer may take twice as long each time that one has not come, up to so many times.
const MOST_OVERDUE: u32 = 3;
/// Deleted rows of which is remembered when they were deleted.
const MAX_GONE: usize = 4_096;

/// See the [module](self).
pub(in crate::client) struct Room {
    pub(super) phase: Phase,
    pub(super) line: Option<Line>,
    /// The channels that somebody looks at, or did a moment ago.
    pub(super) channels: BTreeMap<&'static str, Channel>,
    /// The actions that are on their way, in the order in which they were sent.
    pub(super) requests: Vec<Request>,
    /// How many actions were sent on this line.
    pub(super) sent: u64,
    /// It is left and entered again when all that is on its way has its answer. Nothing is sent before that.
    pub(super) is_to_be_left: bool,
    /// Something that was sent on this line has never been answered.
    pub(super) unexplained: bool,
    /// Failures in a row.
    pub(super) failures: u32,
    /// There has been an open socket since somebody needed one.
    pub(super) was_open: bool,
    /// The server has said something on this line.
    pub(super) is_well: bool,
    /// When the line was opened.
    pub(super) opened: Duration,
    /// When the server was heard last.
    pub(super) heard: Duration,
    /// Rows were asked for at this time, and nothing heard since.
    pub(super) asked: Option<Duration>,
    /// Since when nobody has needed it.
    pub(super) unused_since: Option<Duration>,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No attempt is made.
    Off,
    Opening {
        overdue: Duration,
    },
    Open,
    /// The next attempt is to be made.
    Waiting {
        until: Duration,
    },
    /// No more attempts are made, unless somebody asks for it.
    GivenUp,
}

/// A channel that is followed.
pub(super) struct Channel {
    pub(super) collection: &'static str,
    /// A view that holds all of its rows, and shows none.
    pub(super) whole: SessionId,
    /// All rows have been told on this line.
    pub(super) is_synced: bool,
    /// When.
    pub(super) synced: Duration,
    /// All rows have been asked for, and have not come. Answers cannot be told from each other: where it was asked more
    /// than once, the first one counts.
    pub(super) is_asked: bool,
    /// When they were asked for last.
    pub(super) asked: Duration,
    /// How often an answer was waited for in vain.
    pub(super) tries: u32,
    /// How often a line was given up for it, since it has come in good time.
    overdue: u32,
    /// It seems not to be there: when to ask once more.
    pub(super) missing_until: Option<Duration>,
    /// What is known may not be what is: when it is to be asked for.
    pub(super) doubted_until: Option<Duration>,
    /// Of which moment rows are, also those that are gone.
    pub(super) known: BTreeMap<Box<str>, Known>,
    gone: usize,
    /// Rows of which something was told since they were asked for first: it may be older than that.
    pub(super) told: BTreeSet<Box<str>>,
    /// All that was there before has been deleted since then.
    pub(super) all_gone: bool,
    /// The last of the actions that have been answered.
    pub(super) answered: u64,
    pub(super) unreadable: Unreadable,
    /// Since when nobody has looked at it.
    pub(super) unused_since: Option<Duration>,
}

/// What is known of a row beside what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) moment: Option<Moment>,
    pub(super) is_gone: bool,
}

/// An action that is on its way.
pub(super) struct Request {
    /// What it is called on the wire.
    pub(super) id: String,
    pub(super) client: ClientId,
    pub(super) write: WriteId,
    pub(super) channel: Box<str>,
    /// What errors call it.
    pub(super) name: String,
    /// Its place among those that were sent on this line.
    pub(super) place: u64,
    pub(super) sent: Duration,
    /// All rows of the channel were deleted meanwhile, before or after what it does.
    pub(super) is_shaken: bool,
    /// It was done, and waits for the answers to others before it that have to do with the same rows.
    pub(super) done: Option<Done>,
}

/// What a server says of an action that was done.
pub(super) struct Done {
    pub(super) rows: Vec<Box<RawValue>>,
    pub(super) result: Option<Box<RawValue>>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The line did not come to be, or is dead.
    TimedOut,
    /// The wait before the next attempt is over.
    Begin,
    /// An action has had no answer.
    Unanswered,
    /// A channel has had none, and others have.
    Unsynced(&'static str),
    /// A channel's rows are to be asked for.
    Ask(&'static str),
    /// Nobody looks at a channel any more.
    Leave(&'static str),
    /// Nobody needs the room any more.
    End,
}

impl Room {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            phase: Phase::Off,
            line: None,
            channels: BTreeMap::new(),
            requests: Vec::new(),
            sent: 0,
            is_to_be_left: false,
            unexplained: false,
            failures: 0,
            was_open: false,
            is_well: false,
            opened: now,
            heard: now,
            asked: None,
            unused_since: None,
        }
    }

    /// How it stands, as a connection.
    pub(super) fn status(&self) -> Status {
        match self.phase {
            Phase::Open => Status::Live,
            Phase::GivenUp => Status::Failed,
            _ if self.was_open || self.failures > 0 => Status::Reconnecting,
            _ => Status::Connecting,
        }
    }

    /// Any frame shows that the server is there.
    pub(super) fn hear(&mut self, now: Duration) {
        (self.heard, self.asked) = (now, None);
    }

    /// The line is gone, and with it whatever was asked on it.
    pub(super) fn forget_line(&mut self) {
        (self.line, self.asked, self.is_well) = (None, None, false);
        (self.sent, self.unexplained, self.is_to_be_left) = (0, false, false);
        self.channels.values_mut().for_each(Channel::forget_line);
    }

    /// How long an answer may take. All rows of a channel come as one message, and whatever else is asked for behind it: where
    /// it has not come in time once, it may be long, or the network slow.
    pub(super) fn patience(&self, answer_within: Duration) -> Duration {
        let patience = self.channels.values().map(|channel| channel.patience(answer_within)).max();
        patience.unwrap_or(answer_within)
    }

    /// The line is given up, since answers have not come.
    pub(super) fn is_late(&mut self) {
        for channel in self.channels.values_mut().filter(|channel| channel.is_asked) {
            channel.overdue = (channel.overdue + 1).min(MOST_OVERDUE);
        }
    }

    /// What is due next, and when.
    pub(super) fn next_due(&self, limits: &Limits) -> Option<(Duration, Due)> {
        let patience = self.patience(limits.answer_within);
        let line = match self.phase {
            Phase::Opening { overdue } => Some((overdue, Due::TimedOut)),
            Phase::Waiting { until } if self.unused_since.is_none() => Some((until, Due::Begin)),
            Phase::Open => self.asked.map(|asked| (asked + patience, Due::TimedOut)),
            Phase::Waiting { .. } | Phase::Off | Phase::GivenUp => None,
        };
        let unanswered = self.requests.iter().filter(|request| request.done.is_none());
        let request = unanswered.map(|request| request.sent).min();
        let request = request.map(|sent| (sent + patience, Due::Unanswered));
        let is_open = self.phase == Phase::Open && limits.is_on;
        let asking = self.channels.iter().filter(|_| is_open);
        let asking = asking.map(|(&name, channel)| channel.next_due(name, self.heard, patience, limits));
        let leaving = self
            .channels
            .iter()
            .filter_map(|(&name, channel)| Some((channel.unused_since? + limits.linger, Due::Leave(name))));
        let end = self.unused_since.map(|since| (since + limits.linger, Due::End));
        let all = line.into_iter().chain(request).chain(asking).chain(leaving).chain(end);
        all.min_by_key(|(at, _)| *at)
    }
}

/// How long what may take.
pub(super) struct Limits {
    pub(super) answer_within: Duration,
    pub(super) ask_after: Duration,
    pub(super) linger: Duration,
    /// The person has not switched it off.
    pub(super) is_on: bool,
}

impl Channel {
    pub(super) fn new(collection: &'static str, whole: SessionId) -> Self {
        Self {
            collection,
            whole,
            is_synced: false,
            synced: Duration::ZERO,
            is_asked: false,
            asked: Duration::ZERO,
            tries: 0,
            overdue: 0,
            missing_until: None,
            doubted_until: None,
            known: BTreeMap::new(),
            gone: 0,
            told: BTreeSet::new(),
            all_gone: false,
            answered: 0,
            unreadable: Unreadable::default(),
            unused_since: None,
        }
    }

    fn patience(&self, answer_within: Duration) -> Duration {
        answer_within * (1 << self.overdue)
    }

    /// An answer has come: in good time, or it is waited for as long the next time too. Where it was asked more than once,
    /// nobody knows to which question.
    pub(super) fn has_answered(&mut self, now: Duration, answer_within: Duration) {
        if self.tries == 0 && now < self.asked + answer_within {
            self.overdue = 0;
        }
    }

    fn next_due(
        &self,
        name: &'static str,
        heard: Duration,
        patience: Duration,
        limits: &Limits,
    ) -> (Duration, Due) {
        if let Some(until) = self.missing_until {
            return (until, Due::Ask(name));
        }
        if self.is_asked {
            return (self.asked + patience, Due::Unsynced(name));
        }
        let quiet = heard + limits.ask_after;
        let busy = self.synced + limits.ask_after * BUSY;
        let at = [Some(quiet), Some(busy), self.doubted_until].into_iter().flatten().min();
        (at.unwrap_or(quiet), Due::Ask(name))
    }

    /// Whether it has no answer although it was asked often enough.
    pub(super) fn has_had_its_tries(&self) -> bool {
        self.tries >= TRIES
    }

    /// It is taken not to be there, and asked again after a while all the same.
    pub(super) fn miss(&mut self, now: Duration, ask_after: Duration) {
        (self.missing_until, self.tries) = (Some(now + ask_after), 0);
    }

    /// What is known may not be what is.
    pub(super) fn doubt(&mut self, now: Duration) {
        self.doubted_until = Some(now + SETTLED_AFTER);
    }

    fn forget_line(&mut self) {
        (self.is_synced, self.is_asked, self.answered) = (false, false, 0);
        (self.doubted_until, self.missing_until, self.tries) = (None, None, 0);
        self.forget_told();
    }

    pub(super) fn forget_told(&mut self) {
        self.told.clear();
        self.all_gone = false;
    }

    /// Something was told of a row, as it was done.
    pub(super) fn hear_of(&mut self, key: &str) {
        if self.is_asked {
            self.told.insert(key.into());
        }
    }

    /// A row is, or is gone, as of a moment.
    pub(super) fn know(&mut self, key: &str, moment: Option<Moment>, is_gone: bool) {
        let before = self.known.insert(key.into(), Known { moment, is_gone });
        self.gone -= usize::from(before.is_some_and(|before| before.is_gone));
        self.gone += usize::from(is_gone);
        if self.gone > MAX_GONE {
            self.known.retain(|_, known| !known.is_gone);
            self.gone = 0;
        }
    }

    /// Nothing is known of the rows that are not `kept`, by their keys and whether they are gone.
    pub(super) fn forget_known(&mut self, kept: impl Fn(&str, bool) -> bool) {
        self.known.retain(|key, known| kept(key, known.is_gone));
        self.gone = self.known.values().filter(|known| known.is_gone).count();
    }
}
