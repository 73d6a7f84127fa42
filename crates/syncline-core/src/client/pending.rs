//! One local intent, until its rows have come or it is given up, and what it does to rows.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};

use crate::channel::{ACTION, ActionPayload, Reduce};
use crate::client::WriteRef;
use crate::diff::RowState;
use crate::error::{Error, code};
use crate::fields::Fields;
use crate::id::{ClientId, Key, Version, WriteId};
use crate::ops::{Put, ROWS, RowOp, RowOps, put_row};
use crate::record::{AnyRow, Record};
use crate::schema::Schema;
use crate::tx::{Place, ReadRows, Reads, Touched, Tx, patched};

/// One local intent.
pub(crate) struct Pending {
    pub(crate) write: WriteRef,
    pub(crate) effect: Effect,
    pub(crate) stage: Stage,
    /// Of a row that the application writes by its own means: the confirmed row that it was made over, if there was one, or
    /// the one that an edit before it has become since. What comes and is still that one says nothing of it.
    pub(crate) over: Option<Arc<dyn AnyRow>>,
    /// What it was about when it was replayed last.
    pub(crate) footprint: Footprint,
    /// What an action of several rows has made of them then.
    pub(crate) made: Vec<Written>,
    /// The round of replaying in which it had its turn last.
    pub(crate) round: u64,
    pub(crate) kept: Kept,
    /// Storage has it under another number: whoever adopts it would send it under that one. So it is not sent before storage
    /// has this one, or has failed.
    pub(crate) is_held: bool,
}

/// Whether a write outlives the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    #[default]
    No,
    /// Storage was asked to, in this batch.
    Asked(u64),
    /// Storage has failed to keep it, and may have it all the same: it is given it again, and has to let it go in any case.
    Perhaps,
    Yes,
    /// It had it before it was opened anew: it is given it again, should that have been another one.
    Before,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// A write in a client's sequence that has no verdict.
    Queued { client: ClientId, id: WriteId, letter: Letter },
    /// A write that was applied, as of this version, while a list that may show its rows has not got them yet: they stay on
    /// the screen.
    Applied(Version),
    /// A write that was refused, kept until it is retried or dismissed.
    Refused { letter: Letter, error: Arc<Error> },
    /// Not a write of ours: the application makes it by its own means, and its row will come.
    Local { error: Option<Arc<Error>> },
}

/// What a write says to the server, whoever sends it and under whatever number.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) kind: &'static str,
    pub(crate) payload: Arc<RawValue>,
}

/// What an intent does to rows, ready to be replayed.
pub(crate) enum Effect {
    /// Known steps: most often one.
    Steps(SmallVec<[Step; 1]>),
    /// What the reducer of a channel makes of it.
    Action(Arc<dyn Reduce>),
    /// Nobody here knows the channel or collection, or what is to be done there: it is sent, and not shown.
    Unknown,
}

/// One step of an intent.
#[derive(Clone)]
pub(crate) enum Step {
    Put(&'static str, Key, Arc<dyn AnyRow>),
    Patch(&'static str, Key, Fields),
    Delete(&'static str, Key),
    /// The row has come as the server has made it; it stays on the screen as it is now.
    Come(&'static str, Key),
}

/// A row that an intent has written, or deleted.
pub(crate) type Written = (Place, Option<Arc<dyn AnyRow>>);

/// The rows that an intent has to do with.
#[derive(Default)]
pub(crate) struct Footprint {
    /// By collection and key, each once.
    touches: SmallVec<[Touch; 1]>,
    /// The collections of which it looked at all rows, by name.
    pub(crate) collections: Vec<&'static str>,
}

/// What an intent has to do with one row.
struct Touch {
    place: Place,
    access: Access,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Put,
    Delete,
}

impl Footprint {
    /// Of what has been read and of what is written, which are deletes where it says so.
    pub(crate) fn new(reads: Reads, written: impl IntoIterator<Item = (Place, bool)>) -> Self {
        let access = |deletes| if deletes { Access::Delete } else { Access::Put };
        let written = written.into_iter().map(|(place, deletes)| Touch { place, access: access(deletes) });
        let mut touches: SmallVec<[Touch; 1]> = written.collect();
        touches.extend(reads.rows.into_iter().map(|place| Touch { place, access: Access::Read }));
        if touches.len() > 1 {
            // the last that was done to a row counts, and that it was read only where nothing was
            touches.sort_by(|a, b| a.place.cmp(&b.place));
            touches.dedup_by(|later, earlier| {
                let same = later.place == earlier.place;
                if same && later.access != Access::Read {
                    earlier.access = later.access;
                }
                same
            });
        }
        Self { touches, collections: reads.collections.into_iter().collect() }
    }

    /// The rows that it writes, or looked at.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.touches.iter().map(|touch| &touch.place)
    }

    /// Those that it writes, and whether it deletes them.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&Place, bool)> {
        let written = self.touches.iter().filter(|touch| touch.access != Access::Read);
        written.map(|touch| (&touch.place, touch.access == Access::Delete))
    }

    /// Whether it writes a row.
    pub(crate) fn writes(&self, collection: &str, key: &Key) -> bool {
        self.written().any(|((name, other), _)| *name == collection && other == key)
    }

    /// Whether it lies on the same rows, whatever is done to them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.places().eq(other.places()) && self.collections == other.collections
    }

    fn has(&self, place: &Place) -> bool {
        self.touches.binary_search_by(|touch| touch.place.cmp(place)).is_ok()
    }

    /// Whether they have a row in common.
    pub(crate) fn is_tied_to(&self, other: &Self) -> bool {
        let surveys = |one: &Self, other: &Self| {
            one.collections.iter().any(|collection| {
                other.collections.contains(collection) || other.places().any(|(name, _)| name == collection)
            })
        };
        self.places().any(|place| other.has(place)) || surveys(self, other) || surveys(other, self)
    }
}

impl Letter {
    pub(crate) fn rows(ops: &RowOps) -> Result<Self, Error> {
        Ok(Self { kind: ROWS, payload: Arc::from(ops.to_payload()?) })
    }

    pub(crate) fn put<R: Record>(put: Put<R>) -> Self {
        Self { kind: ROWS, payload: Arc::from(put.into_payload()) }
    }

    /// Whether it puts a row of a collection in these bytes.
    pub(crate) fn puts(&self, collection: &str, row: &[u8]) -> bool {
        self.kind == ROWS && put_row(self.payload.get(), collection).is_some_and(|put| put.as_bytes() == row)
    }

    pub(crate) fn action(action: &ActionPayload) -> Result<Self, Error> {
        Ok(Self { kind: ACTION, payload: Arc::from(action.to_payload()?) })
    }

    /// What it does, read once, so that a replay need not. Of what nobody here knows yet, that is nothing.
    pub(crate) fn effect(&self, schema: &Schema) -> Effect {
        let known = match self.kind {
            ROWS => RowOps::parse(self.payload.get()).and_then(|ops| Effect::of_rows(&ops, schema)),
            _ => ActionPayload::parse(self.payload.get())
                .and_then(|action| schema.channel(&action.channel)?.decode(&action).map(Effect::Action)),
        };
        known.unwrap_or(Effect::Unknown)
    }
}

impl Effect {
    /// Puts the row as the server reads it.
    pub(crate) fn of_put<R: Record>(put: &Put<R>, schema: &Schema) -> Result<Self, Error> {
        let def = schema.collection(R::COLLECTION)?;
        let row = def.decode(put.row().as_bytes())?;
        Ok(Self::Steps(smallvec![Step::Put(def.name, row.key().into(), row)]))
    }

    /// Where it puts a row, if that is all it does.
    pub(crate) fn put_at(&self) -> Option<(&'static str, &str)> {
        let Self::Steps(steps) = self else { return None };
        match steps.as_slice() {
            [Step::Put(collection, key, _)] => Some((collection, key.as_str())),
            _ => None,
        }
    }

    pub(crate) fn of_rows(ops: &RowOps, schema: &Schema) -> Result<Self, Error> {
        let prepare = |op: &RowOp| {
            Ok(match op {
                RowOp::Put(collection, row) => {
                    let def = schema.collection(collection)?;
                    let row = def.decode(row.get().as_bytes())?;
                    Step::Put(def.name, row.key().into(), row)
                }
                RowOp::Patch(collection, key, set) => {
                    let def = schema.collection(collection)?;
                    // what is refused for a field is nothing here
                    let set = def.by_todays_names(set).map_or_else(|_| set.clone(), Cow::into_owned);
                    Step::Patch(def.name, Key::checked(key)?, set)
                }
                RowOp::Delete(collection, key) => {
                    Step::Delete(schema.collection(collection)?.name, Key::checked(key)?)
                }
            })
        };
        ops.ops.iter().map(prepare).collect::<Result<_, _>>().map(Self::Steps)
    }

    /// Whether a row has come of which it leaves what the server has made.
    pub(crate) fn leaves(&self, place: &Place) -> bool {
        let Self::Steps(steps) = self else { return false };
        steps.iter().any(|step| matches!(step, Step::Come(..)) && step.place() == *place)
    }

    /// What can be told of its rows before it is replayed.
    pub(crate) fn footprint(&self) -> Footprint {
        let Self::Steps(steps) = self else { return Footprint::default() };
        Footprint::new(Reads::default(), steps.iter().map(|step| (step.place(), step.deletes())))
    }
}

impl Step {
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Put(collection, key, _)
            | Self::Patch(collection, key, _)
            | Self::Delete(collection, key)
            | Self::Come(collection, key) => (*collection, key.clone()),
        }
    }

    fn deletes(&self) -> bool {
        matches!(self, Self::Delete(..))
    }

    /// Whether nothing is left of an earlier step on the same row.
    pub(crate) fn covers(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Put(..) | Self::Delete(..), _) => true,
            (Self::Patch(_, _, set), Self::Patch(_, _, before)) => {
                before.keys().all(|field| set.contains_key(field))
            }
            (Self::Patch(..) | Self::Come(..), _) => false,
        }
    }

    /// What it makes of its row. A delete that was refused is not taken: the row is back, marked. Nothing, where there is
    /// no row to be left as it is.
    fn take(&self, schema: &Schema, rows: &dyn ReadRows, failed: bool) -> Result<Option<Written>, Error> {
        let (collection, key) = self.place();
        let after = match self {
            Self::Put(_, _, row) => Some(Arc::clone(row)),
            Self::Patch(_, _, set) => Some(patched(schema, rows, collection, key.as_str(), set)?),
            Self::Delete(..) if !failed => None,
            Self::Delete(..) | Self::Come(..) => match rows.row(collection, key.as_str()) {
                Some(row) => Some(row),
                None => return Ok(None),
            },
        };
        Ok(Some(((collection, key), after)))
    }
}

impl Pending {
    pub(crate) fn new(write: WriteRef, effect: Effect, stage: Stage) -> Self {
        let footprint = effect.footprint();
        Self {
            write,
            effect,
            stage,
            over: None,
            footprint,
            made: Vec::new(),
            round: 0,
            kept: Kept::No,
            is_held: false,
        }
    }

    /// Whether it waits for a person's decision.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.stage, Stage::Refused { .. } | Stage::Local { error: Some(_) })
    }

    /// Whether the application brings it to the server by its own means.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.stage, Stage::Local { .. })
    }

    /// As of which version the server has done it, if only a list that is behind still lacks its rows.
    pub(crate) fn applied(&self) -> Option<Version> {
        match self.stage {
            Stage::Applied(version) => Some(version),
            _ => None,
        }
    }

    /// How a row stands that it was the last to touch.
    pub(crate) fn state(&self) -> RowState {
        match &self.stage {
            Stage::Refused { error, .. } | Stage::Local { error: Some(error) } => {
                RowState::Failed(Arc::clone(error))
            }
            Stage::Queued { .. } | Stage::Applied(_) | Stage::Local { error: None } => RowState::Pending,
        }
    }

    /// Notes what it makes of rows in `written`: all it does, or nothing when a step cannot be taken (its row is gone,
    /// say). Gives what an action has looked at.
    pub(crate) fn play(&self, schema: &Schema, rows: &dyn ReadRows, written: &mut Vec<Written>) -> Reads {
        let failed = self.has_failed();
        match &self.effect {
            Effect::Action(action) => {
                let mut tx = Tx::observed(schema, rows);
                action.reduce(&mut tx);
                let (touched, reads) = tx.into_effect();
                written.extend(touched.unwrap_or_default());
                return reads;
            }
            Effect::Steps(steps) => match &**steps {
                // nobody could see a half of it
                [step] => written.extend(step.take(schema, rows, failed).ok().flatten()),
                steps => written.extend(take_all(steps, schema, rows, failed).unwrap_or_default()),
            },
            Effect::Unknown => {}
        }
        Reads::default()
    }

    /// Whether a write that was refused for this stays on the screen, to be retried or dismissed. An action that is
    /// refused is as if it had not been: its sender is told. Nor does a write stay whose row is gone: there is nothing
    /// left on which it could be shown.
    pub(crate) fn stays_when_refused(&self, error: &Error) -> bool {
        matches!(self.effect, Effect::Steps(_)) && error.code() != code::UNKNOWN_ROW
    }
}

fn take_all(steps: &[Step], schema: &Schema, rows: &dyn ReadRows, failed: bool) -> Result<Touched, Error> {
    let mut tx = Tx::new(schema, rows);
    for step in steps {
        match step.take(schema, &tx, failed)? {
            Some(((collection, _), Some(row))) => tx.put_row(collection, row)?,
            Some(((collection, key), None)) => tx.delete_row(collection, key.as_str())?,
            None => {}
        }
    }
    tx.into_effect().0
}
