//! Writes on their way into storage: the queue of a space, and the batch that one commit makes of its head.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::channel::{ACTION, ActionPayload};
use crate::error::{Error, code};
use crate::id::{ClientId, Incarnation, Key, UserId, Version, WriteId};
use crate::ops::{ROWS, RowOps};
use crate::record::AnyRow;
use crate::schema::Schema;
use crate::space::access::Access;
use crate::space::actions::{Actions, Who};
use crate::space::clients::{Clients, Outcome, Standing, standing};
use crate::space::config::Config;
use crate::space::image::{ClientRecord, Commit, JobId, LogEntry, NewJob, RowChange};
use crate::space::io::{CallId, ConnId};
use crate::space::log::Touched;
use crate::space::request::{Intent, about};
use crate::space::rows::{Row, RowTurn, Rows};
use crate::space::working_set::WorkingSet;
use crate::tx::{Finished, Job, ReadRows, Tx};
use crate::wire::{Ack, User};

/// The most writes of one commit.
const MAX_WRITES: usize = 1_000;
/// A batch that has come to so many bytes, of writes, the rows they make and what is kept of their clients, takes no
/// further one.
const ENOUGH_BYTES: usize = 4 * 1024 * 1024;
/// A batch whose actions give back so many bytes takes no further one: what they give back goes into one frame with the
/// rows that they change, so that nobody sees an action's rows and takes it for pending.
const ENOUGH_OUTPUT_BYTES: usize = 256 * 1024;
/// The most bytes that an action may give back.
pub const MAX_OUTPUT_BYTES: usize = 256 * 1024;

/// The number of what nobody asks about again: it is in no client's sequence.
pub(super) const UNNUMBERED: WriteId = 0;

/// Who waits to be told of a write.
#[derive(Clone, Copy)]
pub(super) enum Asker {
    Connection(ConnId),
    Call(CallId),
}

/// A write as it was received.
pub(super) struct QueuedWrite {
    pub(super) asker: Asker,
    pub(super) user: Arc<User>,
    pub(super) client: ClientId,
    pub(super) id: WriteId,
    pub(super) settled: WriteId,
    pub(super) intent: Intent,
    pub(super) bytes: usize,
}

/// The writes that wait for a space, in the order in which they came.
#[derive(Default)]
pub(super) struct Queue {
    writes: VecDeque<QueuedWrite>,
    bytes: usize,
}

impl Queue {
    pub(super) fn is_full(&self, config: &Config) -> bool {
        self.writes.len() >= config.queue_writes || self.bytes >= config.queue_bytes
    }

    pub(super) fn push(&mut self, write: QueuedWrite) {
        self.bytes += write.bytes;
        self.writes.push_back(write);
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether a write of this client of a person waits.
    pub(super) fn has(&self, client: &ClientId, user: &UserId) -> bool {
        self.writes.iter().any(|write| write.client == *client && write.user.id == *user)
    }

    pub(super) fn pop(&mut self) -> Option<QueuedWrite> {
        self.writes.pop_front().inspect(|write| self.bytes -= write.bytes)
    }
}

/// What a batch is made with.
pub(super) struct Workbench<'a> {
    pub(super) schema: &'a Schema,
    pub(super) access: &'a dyn Access,
    pub(super) actions: &'a dyn Actions,
    pub(super) set: &'a WorkingSet,
    /// Refusals, and outputs, kept of one client.
    pub(super) keep: usize,
    /// Unix ms.
    pub(super) now: u64,
}

/// What is to be told of one write.
pub(super) struct Answer {
    pub(super) asker: Asker,
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
    /// What each entry of the log touched.
    touched: Vec<Touched>,
    clients: BTreeMap<ClientId, ClientRecord>,
    /// Clients of which nothing is kept any more.
    forgotten: Vec<ClientId>,
    jobs: Vec<NewJob>,
    /// The history that a new one takes the place of.
    renews: Option<Incarnation>,
    /// Whether people may open the space, as far as it was asked: each with what it is known by here, where they are.
    doors: BTreeMap<usize, (Arc<User>, Result<(), Error>)>,
    bytes: usize,
    output_bytes: usize,
}

struct Drafted {
    row: Option<Arc<Row>>,
    version: Version,
}

/// What a write comes to.
#[derive(Default)]
struct Effect {
    rows: Vec<((&'static str, Key), Option<Arc<Row>>)>,
    jobs: Vec<Job>,
    output: Option<Box<RawValue>>,
}

impl Batch {
    /// Takes what is next in the queue.
    pub(super) fn take(queue: &mut Queue, bench: &Workbench<'_>) -> Self {
        let mut batch = Self { renews: bench.set.renews, ..Self::default() };
        while batch.answers.len() < MAX_WRITES
            && batch.bytes < ENOUGH_BYTES
            && batch.output_bytes < ENOUGH_OUTPUT_BYTES
            && let Some(write) = queue.pop()
        {
            batch.bytes += write.bytes;
            batch.handle(write, bench);
        }
        batch
    }

    /// Whether the writes come to nothing that is to be stored.
    pub(super) fn changes_nothing(&self) -> bool {
        self.clients.is_empty() && self.log.is_empty()
    }

    /// How far a client's writes have come with it, if it has any.
    pub(super) fn client(&self, client: &ClientId) -> Option<&ClientRecord> {
        self.clients.get(client)
    }

    /// Also forgets these clients, but for those that have just written.
    pub(super) fn forget(&mut self, mut clients: Vec<ClientId>) {
        clients.retain(|client| !self.clients.contains_key(client));
        self.forgotten = clients;
    }

    /// Keeps those that are to be forgotten in memory after all, but for the ones that `still` gives.
    pub(super) fn remember(&mut self, still: impl FnOnce(Vec<ClientId>) -> Vec<ClientId>) {
        if !self.forgotten.is_empty() {
            self.forgotten = still(std::mem::take(&mut self.forgotten));
        }
    }

    fn handle(&mut self, write: QueuedWrite, bench: &Workbench<'_>) {
        let (client, id) = (write.client.clone(), write.id);
        let stands = if id == UNNUMBERED {
            Standing::Next
        } else {
            let record = self.clients.get(&client).or_else(|| bench.set.clients.get(&client));
            standing(record, &write.user.id, id)
        };
        let ack = match stands {
            Standing::Next => verdict(client, id, self.apply(&write, bench)),
            Standing::Handled(outcome) => verdict(client, id, outcome),
            Standing::Foreign => verdict(client, id, Err(foreign())),
            Standing::Gap { expected } => not_handled(client, id, gap(), expected),
        };
        self.output_bytes += ack.output.as_ref().map_or(0, |output| output.get().len());
        self.answers.push(Answer { asker: write.asker, bytes: write.bytes, ack, user: write.user });
    }

    /// Does a write, and counts it.
    fn apply(&mut self, write: &QueuedWrite, bench: &Workbench<'_>) -> Outcome {
        let version = bench.set.version + self.log.len() as u64 + 1;
        let door = self.door(write, bench).map_err(|error| about(error, &write.intent).shortened());
        if let (Err(error), Asker::Call(_)) = (&door, write.asker) {
            // as at the door: it may be tried again under its number
            return Err(error.clone());
        }
        let outcome = door.and_then(|()| self.attempt(write, bench).map_err(Error::shortened));
        if write.id != UNNUMBERED {
            let committed = || bench.set.clients.get(&write.client).cloned();
            let bytes = &mut self.bytes;
            let record = self.clients.entry(write.client.clone()).or_insert_with(|| {
                let record = committed()
                    .unwrap_or_else(|| ClientRecord::first(write.client.clone(), write.user.id.clone()));
                // it is stored whole, however little it changes
                *bytes += record.bytes();
                record
            });
            let outcome = outcome.as_ref().map(|effect| effect.output.as_deref());
            *bytes += match &outcome {
                Ok(output) => output.map_or(0, |output| output.get().len()),
                Err(error) => error.bytes(),
            };
            record.count(write.id, write.settled, bench.now, outcome, bench.keep);
        }
        let Effect { rows: effect, jobs, output } = outcome?;
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
        self.touched.push(effect.iter().map(|(place, _)| place.clone()).collect());
        self.bytes += effect.iter().flat_map(|(_, row)| row).map(|row| row.json.len()).sum::<usize>();
        self.rows.extend(effect.into_iter().map(|(place, row)| (place, Drafted { row, version })));
        for (index, Job { name, payload }) in (0..).zip(jobs) {
            self.bytes += payload.get().len();
            let id = JobId { incarnation: bench.set.incarnation, version, index };
            self.jobs.push(NewJob { id, name, payload, user: write.user.id.clone(), at: bench.now });
        }
        Ok(output)
    }

    /// Whether its author may still open the space: it was asked when the write came, and it may have waited.
    fn door(&mut self, write: &QueuedWrite, bench: &Workbench<'_>) -> Result<(), Error> {
        if write.intent.is_err() {
            // refused whatever the answer is
            return Ok(());
        }
        let ask = || {
            let user = Arc::clone(&write.user);
            let answer = bench.access.open(&user, &bench.set.space);
            (user, answer)
        };
        // held here, nobody else can come to be there
        let place = Arc::as_ptr(&write.user).addr();
        self.doors.entry(place).or_insert_with(ask).1.clone()
    }

    /// What the write does on top of the ones before it; all of it is permitted, or none.
    fn attempt(&self, write: &QueuedWrite, bench: &Workbench<'_>) -> Result<Effect, Error> {
        let (kind, payload) = write.intent.as_ref().map_err(Clone::clone)?;
        match &**kind {
            ROWS => {
                let ops = RowOps::parse(payload.get())?;
                self.draft(write, bench, true, |tx| ops.apply(tx).map(|()| None))
            }
            ACTION => {
                let action = ActionPayload::parse(payload.get())?;
                let who = Who::new(&write.user, &bench.set.space, bench.now);
                let run = |tx: &mut Tx<'_>| bench.actions.run(tx, &action, &who).and_then(checked_output);
                self.draft(write, bench, false, run).map_err(|error| error.about(|| action.name()))
            }
            kind => Err(Error::new(code::BAD_WRITE, "there are no writes of this kind").with_field(kind)),
        }
    }

    fn draft(
        &self,
        write: &QueuedWrite,
        bench: &Workbench<'_>,
        by_the_rules: bool,
        run: impl FnOnce(&mut Tx<'_>) -> Outcome,
    ) -> Result<Effect, Error> {
        let base = Overlaid { rows: &bench.set.rows, drafted: &self.rows };
        let mut tx = Tx::new(bench.schema, &base);
        let output = run(&mut tx)?;
        let Finished { touched, jobs } = tx.finish()?;
        let mut effect = Effect { jobs, output, ..Effect::default() };
        for ((collection, key), after) in touched {
            if bench.set.is_unreadable(collection, key.as_str()) {
                let error =
                    Error::new(code::UNREADABLE_ROW, "what is stored there cannot be read, and stays");
                return Err(error.with_field(key.as_str()));
            }
            let before = base.row(collection, key.as_str());
            if before.is_none() && after.is_none() {
                continue;
            }
            let def = bench.schema.collection(collection)?;
            let row = after.map(|row| Row::encode(def, &*row)).transpose()?;
            if by_the_rules {
                // as it will be read, whatever its type makes of what was written
                let (space, after) = (&bench.set.space, row.as_ref().map(|row| &*row.typed));
                bench.access.write(&write.user, space, collection, before.as_deref(), after)?;
            }
            effect.rows.push(((collection, key), row.map(Arc::new)));
        }
        Ok(effect)
    }

    /// The order to store it.
    pub(super) fn commit(&self, id: u64, set: &WorkingSet) -> Commit {
        let change = |((collection, key), drafted): (&(&'static str, Key), &Drafted)| RowChange {
            collection,
            key: key.clone(),
            version: drafted.version,
            json: drafted.row.as_ref().map(|row| Arc::clone(&row.json)),
            before: set.rows.get(collection, key.as_str()).map(|row| Arc::clone(&row.json)),
        };
        let to = set.version + self.log.len() as u64;
        Commit {
            id,
            space: set.space.clone(),
            incarnation: set.incarnation,
            renews: self.renews,
            from: set.version,
            to,
            rows: self.rows.iter().map(change).collect(),
            log: self.log.clone(),
            clients: self.clients.values().cloned().collect(),
            forgotten: self.forgotten.clone(),
            jobs: self.jobs.clone(),
            log_floor: to.saturating_sub(set.log.left_after(&self.touched)),
        }
    }

    /// Makes it the state of the space, now that it is stored. Returns the new version and what became of the rows.
    pub(super) fn land(self, set: &mut WorkingSet) -> (Version, Vec<RowTurn>, Vec<Answer>) {
        let version = set.version + self.log.len() as u64;
        set.log.append(self.touched);
        if set.renews == self.renews {
            set.renews = None;
        }
        self.forgotten.iter().for_each(|client| set.clients.forget(client));
        self.clients.into_values().for_each(|record| set.clients.set(record));
        let turns = self.rows.into_iter();
        let turns =
            turns.map(|((collection, key), drafted)| set.rows.set(collection, key, drafted.row)).collect();
        (version, turns, self.answers)
    }

    /// What to tell when storage did not take it: of writes that were handled before, the same as ever; of all
    /// others, that they are to be sent again.
    pub(super) fn fail(self, clients: &Clients, error: &Error) -> Vec<Answer> {
        let again = |mut answer: Answer| {
            let Ack { client, id, .. } = answer.ack;
            if id == UNNUMBERED {
                answer.ack = not_handled(client, id, error.clone(), id);
                return answer;
            }
            answer.ack = match standing(clients.get(&client), &answer.user.id, id) {
                Standing::Handled(outcome) => verdict(client, id, outcome),
                Standing::Foreign => verdict(client, id, Err(foreign())),
                Standing::Next => not_handled(client, id, error.clone(), id),
                Standing::Gap { expected } => not_handled(client, id, error.clone(), expected),
            };
            answer
        };
        self.answers.into_iter().map(again).collect()
    }
}

/// The final answer to a write.
pub(super) fn verdict(client: ClientId, id: WriteId, outcome: Outcome) -> Ack {
    let (output, error) = match outcome {
        Ok(output) => (output, None),
        Err(error) => (None, Some(error)),
    };
    Ack { client, id, error, expected: None, output, uncounted: false }
}

/// The refusal of a write of which nothing is kept.
pub(super) fn uncounted(client: ClientId, id: WriteId, error: Error) -> Ack {
    Ack { uncounted: true, ..verdict(client, id, Err(error)) }
}

/// The answer to a write that was not handled; the client is to send again from write `expected`.
pub(super) fn not_handled(client: ClientId, id: WriteId, error: Error, expected: WriteId) -> Ack {
    Ack { expected: Some(expected), ..verdict(client, id, Err(error)) }
}

/// What an action gives back, as it may be sent: not too much, and on one line.
fn checked_output(output: Option<Box<RawValue>>) -> Outcome {
    let Some(output) = output else { return Ok(None) };
    if output.get().len() > MAX_OUTPUT_BYTES {
        return Err(Error::new(code::VALUE_TOO_LARGE, "an action gives back at most 256 KiB"));
    }
    if !output.get().contains(['\n', '\r']) {
        return Ok(Some(output));
    }
    // a frame is read line by line. JSON has line ends between its tokens only, where a space does as well
    let line = String::from(Box::<str>::from(output)).replace(['\n', '\r'], " ");
    RawValue::from_string(line)
        .map(Some)
        .map_err(|error| Error::new(code::ACTION_FAILED, format!("what it gives back is not JSON: {error}")))
}

fn foreign() -> Error {
    Error::new(code::FOREIGN_CLIENT, "this client id belongs to somebody else")
}

fn gap() -> Error {
    Error::new(code::WRITE_GAP, "an earlier write is missing")
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

    fn all_rows(&self, collection: &'static str) -> Vec<Arc<dyn AnyRow>> {
        let mut rows = self.rows.all_rows(collection);
        if !self.drafted.is_empty() {
            rows.retain(|row| !self.drafted.contains_key(&(collection, Key::from(row.key()))));
            let from = (collection, Key::from(""));
            let drafted = self.drafted.range(from..).take_while(|((name, _), _)| *name == collection);
            rows.extend(drafted.filter_map(|(_, drafted)| Some(Arc::clone(&drafted.row.as_ref()?.typed))));
        }
        rows
    }
}
