//! Writes on their way into storage: the queue of a space, and the batch that one commit makes of its head.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::draft::{Draft, ReadRows};
use crate::error::{Error, code};
use crate::id::{ClientId, Key, Version, WriteId};
use crate::ops::{ROWS, RowOps};
use crate::record::AnyRow;
use crate::schema::Schema;
use crate::space::access::Access;
use crate::space::clients::{Clients, Standing, standing};
use crate::space::image::{ClientRecord, Commit, LogEntry, RowChange};
use crate::space::io::ConnId;
use crate::space::rows::{Row, RowTurn, Rows};
use crate::space::working_set::WorkingSet;
use crate::wire::{Ack, User};

/// The most writes of one commit.
const MAX_WRITES: usize = 1_000;
/// The most bytes of writes of one commit, unless a single one is larger.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most bytes of writes that may wait for a space.
const MAX_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// A write as it was received.
pub(super) struct QueuedWrite {
    pub(super) conn: ConnId,
    pub(super) user: Arc<User>,
    pub(super) client: ClientId,
    pub(super) id: WriteId,
    pub(super) settled: WriteId,
    /// Its kind and payload, or why it is refused whatever they are.
    pub(super) intent: Result<(Box<str>, Box<RawValue>), Error>,
    pub(super) bytes: usize,
}

/// The writes that wait for a space, in the order in which they came.
#[derive(Default)]
pub(super) struct Queue {
    writes: VecDeque<QueuedWrite>,
    bytes: usize,
}

impl Queue {
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.writes.len() >= limit || self.bytes >= MAX_QUEUE_BYTES
    }

    pub(super) fn push(&mut self, write: QueuedWrite) {
        self.bytes += write.bytes;
        self.writes.push_back(write);
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    /// The next one, if it fits into what is left of a batch.
    fn pop_within(&mut self, bytes: usize) -> Option<QueuedWrite> {
        self.writes.pop_front_if(|write| write.bytes <= bytes).inspect(|write| self.bytes -= write.bytes)
    }

    pub(super) fn pop(&mut self) -> Option<QueuedWrite> {
        self.pop_within(usize::MAX)
    }
}

/// What a batch is made with.
pub(super) struct Workbench<'a> {
    pub(super) schema: &'a Schema,
    pub(super) access: &'a dyn Access,
    pub(super) set: &'a WorkingSet,
    /// Refusals kept of one client.
    pub(super) keep_refusals: usize,
    /// Unix ms.
    pub(super) now: u64,
}

/// What is to be told of one write.
pub(super) struct Answer {
    pub(super) conn: ConnId,
    pub(super) bytes: usize,
    pub(super) ack: Ack,
    user: Arc<User>,
}

/// Writes that were taken from the queue together, and what they come to. Nobody is told of them, and nobody sees
/// what they did, before storage has it.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) answers: Vec<Answer>,
    rows: BTreeMap<(&'static str, Key), Drafted>,
    log: Vec<LogEntry>,
    clients: BTreeMap<ClientId, ClientRecord>,
}

struct Drafted {
    row: Option<Arc<Row>>,
    version: Version,
}

type Effect = Vec<((&'static str, Key), Option<Arc<Row>>)>;

impl Batch {
    /// Takes what is next in the queue.
    pub(super) fn take(queue: &mut Queue, bench: &Workbench<'_>) -> Self {
        let mut batch = Self::default();
        let mut bytes = MAX_BYTES;
        while batch.answers.len() < MAX_WRITES {
            let first = batch.answers.is_empty();
            let Some(write) = (if first { queue.pop() } else { queue.pop_within(bytes) }) else { break };
            bytes = bytes.saturating_sub(write.bytes);
            batch.handle(write, bench);
        }
        batch
    }

    /// Whether there is anything to be stored.
    pub(super) fn changes_nothing(&self) -> bool {
        self.clients.is_empty()
    }

    fn handle(&mut self, write: QueuedWrite, bench: &Workbench<'_>) {
        let record = self.clients.get(&write.client).or_else(|| bench.set.clients.get(&write.client));
        let ack = match standing(record, &write.user.id, write.id) {
            Standing::Next => verdict(&write, self.apply(&write, bench)),
            other => refer(&write.client, write.id, other),
        };
        self.answers.push(Answer { conn: write.conn, bytes: write.bytes, ack, user: write.user });
    }

    fn apply(&mut self, write: &QueuedWrite, bench: &Workbench<'_>) -> Result<(), Error> {
        let version = bench.set.version + self.log.len() as u64 + 1;
        let outcome = self.attempt(write, bench).map_err(Error::shortened);
        let committed = || bench.set.clients.get(&write.client).cloned();
        let record = self.clients.entry(write.client.clone()).or_insert_with(|| {
            committed().unwrap_or_else(|| ClientRecord::first(write.client.clone(), write.user.id.clone()))
        });
        let refusal = outcome.as_ref().err().cloned();
        record.count(write.id, write.settled, bench.now, refusal, bench.keep_refusals);
        let effect = outcome?;
        let name = |(collection, key): &(&str, Key)| ((*collection).to_owned(), key.as_str().to_owned());
        self.log.push(LogEntry {
            version,
            client: write.client.clone(),
            write: write.id,
            user: write.user.id.clone(),
            at: bench.now,
            kind: write.intent.as_ref().map_or_else(|_| String::new(), |(kind, _)| kind.to_string()),
            touched: effect.iter().map(|(place, _)| name(place)).collect(),
        });
        self.rows.extend(effect.into_iter().map(|(place, row)| (place, Drafted { row, version })));
        Ok(())
    }

    /// What the write does on top of the ones before it; all of it is permitted, or none.
    fn attempt(&self, write: &QueuedWrite, bench: &Workbench<'_>) -> Result<Effect, Error> {
        let (kind, payload) = write.intent.as_ref().map_err(Clone::clone)?;
        let base = Overlaid { rows: &bench.set.rows, drafted: &self.rows };
        let mut draft = Draft::new(bench.schema, &base);
        match &**kind {
            ROWS => RowOps::parse(payload.get())?.apply(&mut draft)?,
            kind => return Err(Error::new(code::BAD_WRITE, "there are no writes of this kind").with_field(kind)),
        }
        let mut effect = Effect::new();
        for ((collection, key), after) in draft.into_touched() {
            let before = base.row(collection, key.as_str());
            if before.is_none() && after.is_none() {
                continue;
            }
            let space = &bench.set.space;
            bench.access.write(&write.user, space, collection, before.as_deref(), after.as_deref())?;
            let def = bench.schema.collection(collection)?;
            let row = after.map(|row| Row::encode(def, row)).transpose()?;
            effect.push(((collection, key), row.map(Arc::new)));
        }
        Ok(effect)
    }

    /// The order to store it.
    pub(super) fn commit(&self, id: u64, set: &WorkingSet, keep_log: u64) -> Commit {
        let change = |((collection, key), drafted): (&(&'static str, Key), &Drafted)| RowChange {
            collection,
            key: key.clone(),
            version: drafted.version,
            json: drafted.row.as_ref().map(|row| Arc::clone(&row.json)),
        };
        let to = set.version + self.log.len() as u64;
        Commit {
            id,
            space: set.space.clone(),
            incarnation: set.incarnation,
            from: set.version,
            to,
            rows: self.rows.iter().map(change).collect(),
            log: self.log.clone(),
            clients: self.clients.values().cloned().collect(),
            log_floor: to.saturating_sub(keep_log),
        }
    }

    /// Makes it the state of the space, now that it is stored. Returns the new version and what became of the rows.
    pub(super) fn land(self, set: &mut WorkingSet) -> (Version, Vec<RowTurn>, Vec<Answer>) {
        let version = set.version + self.log.len() as u64;
        set.log.append(self.log);
        self.clients.into_values().for_each(|record| set.clients.set(record));
        let turns = self.rows.into_iter();
        let turns = turns.map(|((collection, key), drafted)| set.rows.set(collection, key, drafted.row)).collect();
        (version, turns, self.answers)
    }

    /// What to tell when storage did not take it: of writes that were handled before, the same as ever; of all
    /// others, that they are to be sent again.
    pub(super) fn fail(self, clients: &Clients, error: &Error) -> Vec<Answer> {
        let again = |mut answer: Answer| {
            let Ack { client, id, .. } = &answer.ack;
            let record = clients.get(client);
            answer.ack = match standing(record, &answer.user.id, *id) {
                known @ (Standing::Foreign | Standing::Handled(_)) => refer(client, *id, known),
                Standing::Next => not_handled(client, *id, error.clone(), *id),
                Standing::Gap { expected } => not_handled(client, *id, error.clone(), expected),
            };
            answer
        };
        self.answers.into_iter().map(again).collect()
    }
}

/// The answer to a write that was not handled; the client is to send again from write `expected`.
pub(super) fn not_handled(client: &ClientId, id: WriteId, error: Error, expected: WriteId) -> Ack {
    Ack { client: client.clone(), id, error: Some(error), expected: Some(expected) }
}

/// The answer to a write that is refused for good without being counted.
pub(super) fn refused(client: &ClientId, id: WriteId, error: Error) -> Ack {
    Ack { client: client.clone(), id, error: Some(error), expected: None }
}

fn verdict(write: &QueuedWrite, outcome: Result<(), Error>) -> Ack {
    Ack { client: write.client.clone(), id: write.id, error: outcome.err(), expected: None }
}

/// The answer to a write that is not the next one of its client.
fn refer(client: &ClientId, id: WriteId, standing: Standing) -> Ack {
    match standing {
        Standing::Handled(outcome) => Ack { client: client.clone(), id, error: outcome.err(), expected: None },
        Standing::Foreign => {
            refused(client, id, Error::new(code::FOREIGN_CLIENT, "this client id belongs to somebody else"))
        }
        Standing::Gap { expected } => {
            not_handled(client, id, Error::new(code::WRITE_GAP, "an earlier write is missing"), expected)
        }
        Standing::Next => not_handled(client, id, Error::new(code::STORAGE, "the write was not handled"), id),
    }
}

/// The committed rows with those of the batch so far in front of them.
struct Overlaid<'a> {
    rows: &'a Rows,
    drafted: &'a BTreeMap<(&'static str, Key), Drafted>,
}

impl ReadRows for Overlaid<'_> {
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
        match self.drafted.get(&(collection, Key::from(key))) {
            Some(drafted) => drafted.row.as_ref().map(|row| Arc::clone(&row.typed)),
            None => self.rows.row(collection, key),
        }
    }
}
