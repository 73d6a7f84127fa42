//! One local intent that the server has not confirmed, and what it does to rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::channel::{ACTION, ActionPayload, Reduce};
use crate::client::WriteRef;
use crate::diff::RowState;
use crate::error::{Error, code};
use crate::id::{ClientId, Key, WriteId};
use crate::ops::{ROWS, RowOp, RowOps};
use crate::record::AnyRow;
use crate::schema::Schema;
use crate::tx::{Place, ReadRows, Tx};

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
    Yes,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// A write in a client's sequence that has no verdict.
    Queued { client: ClientId, id: WriteId, letter: Letter },
    /// A write that was applied, while a list that may show its rows has not got them yet: they stay on the screen.
    Applied,
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
    /// Known steps.
    Steps(Vec<Step>),
    /// What the reducer of a channel makes of it.
    Action(Arc<dyn Reduce>),
    /// Nobody here knows the channel or collection, or what is to be done there: it is sent, and not shown.
    Unknown,
}

/// One step of an intent.
pub(crate) enum Step {
    Put(&'static str, Arc<dyn AnyRow>),
    Patch(&'static str, Key, Map<String, Value>),
    Delete(&'static str, Key),
}

/// The rows that an intent has to do with.
#[derive(Default)]
pub(crate) struct Footprint {
    /// Those that it writes, or looked at.
    pub(crate) rows: BTreeSet<Place>,
    /// The collections of which it looked at all rows.
    pub(crate) collections: BTreeSet<&'static str>,
    /// Those that it writes, and which of them it deletes.
    pub(crate) written: Vec<(Place, bool)>,
}

impl Footprint {
    /// Whether they have a row in common.
    pub(crate) fn is_tied_to(&self, other: &Self) -> bool {
        let surveys = |one: &Self, other: &Self| {
            one.collections.iter().any(|collection| {
                other.collections.contains(collection)
                    || other.rows.iter().any(|(name, _)| name == collection)
            })
        };
        !self.rows.is_disjoint(&other.rows) || surveys(self, other) || surveys(other, self)
    }
}

impl Letter {
    pub(crate) fn rows(ops: &RowOps) -> Result<Self, Error> {
        Ok(Self { kind: ROWS, payload: Arc::from(ops.to_payload()?) })
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
    pub(crate) fn of_rows(ops: &RowOps, schema: &Schema) -> Result<Self, Error> {
        let prepare = |op: &RowOp| {
            Ok(match op {
                RowOp::Put(collection, row) => {
                    let def = schema.collection(collection)?;
                    Step::Put(def.name, def.decode(row.get().as_bytes())?)
                }
                RowOp::Patch(collection, key, set) => {
                    Step::Patch(schema.collection(collection)?.name, Key::checked(key)?, set.clone())
                }
                RowOp::Delete(collection, key) => {
                    Step::Delete(schema.collection(collection)?.name, Key::checked(key)?)
                }
            })
        };
        ops.ops.iter().map(prepare).collect::<Result<_, _>>().map(Self::Steps)
    }

    /// What can be told of its rows before it is replayed.
    pub(crate) fn footprint(&self) -> Footprint {
        let mut footprint = Footprint::default();
        if let Self::Steps(steps) = self {
            for step in steps {
                let (collection, key, deletes) = match step {
                    Step::Put(collection, row) => (*collection, Key::from(row.key()), false),
                    Step::Patch(collection, key, _) => (*collection, key.clone(), false),
                    Step::Delete(collection, key) => (*collection, key.clone(), true),
                };
                footprint.rows.insert((collection, key.clone()));
                footprint.written.push(((collection, key), deletes));
            }
        }
        footprint
    }
}

impl Pending {
    pub(crate) fn new(write: WriteRef, effect: Effect, stage: Stage) -> Self {
        let footprint = effect.footprint();
        Self { write, effect, stage, over: None, footprint, kept: Kept::No, is_held: false }
    }

    /// Whether it waits for a person's decision.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.stage, Stage::Refused { .. } | Stage::Local { error: Some(_) })
    }

    /// Whether the application brings it to the server by its own means.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.stage, Stage::Local { .. })
    }

    /// Whether the server has done it, and only a list that is behind still lacks its rows.
    pub(crate) fn is_applied(&self) -> bool {
        matches!(self.stage, Stage::Applied)
    }

    /// How a row stands that it was the last to touch.
    pub(crate) fn state(&self) -> RowState {
        match &self.stage {
            Stage::Refused { error, .. } | Stage::Local { error: Some(error) } => {
                RowState::Failed(Arc::clone(error))
            }
            Stage::Queued { .. } | Stage::Applied | Stage::Local { error: None } => RowState::Pending,
        }
    }

    /// Takes its steps: all, or none when one cannot be taken (its row is gone, say). A delete that was refused is not
    /// taken: the row is back, marked.
    pub(crate) fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let failed = self.has_failed();
        let steps = match &self.effect {
            Effect::Steps(steps) => steps,
            Effect::Action(action) => {
                action.reduce(tx);
                return Ok(());
            }
            Effect::Unknown => return Ok(()),
        };
        for step in steps {
            match step {
                Step::Put(collection, row) => tx.put_row(collection, Arc::clone(row))?,
                Step::Patch(collection, key, set) => tx.patch_row(collection, key.as_str(), set)?,
                Step::Delete(collection, key) if failed => {
                    if let Some(row) = tx.row(collection, key.as_str()) {
                        tx.put_row(collection, row)?;
                    }
                }
                Step::Delete(collection, key) => tx.delete_row(collection, key.as_str())?,
            }
        }
        Ok(())
    }

    /// Whether a write that was refused for this stays on the screen, to be retried or dismissed. An action that is
    /// refused is as if it had not been: its sender is told. Neither stays a write whose row is gone: there is nothing
    /// left on which it could be shown.
    pub(crate) fn stays_when_refused(&self, error: &Error) -> bool {
        matches!(self.effect, Effect::Steps(_)) && error.code() != code::UNKNOWN_ROW
    }
}
