//! One local intent that the server has not confirmed, and what it does to rows.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::client::WriteRef;
use crate::diff::RowState;
use crate::draft::{Draft, ReadRows};
use crate::error::Error;
use crate::id::{Key, WriteId};
use crate::ops::{RowOp, RowOps};
use crate::record::AnyRow;
use crate::schema::Schema;

/// One local intent.
pub(crate) struct Pending {
    pub(crate) write: WriteRef,
    pub(crate) effects: Vec<Effect>,
    pub(crate) stage: Stage,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// A write in this client's sequence that has no verdict.
    Queued { id: WriteId, payload: Arc<RawValue> },
    /// A write that was applied, while a list that may show its rows has not got them yet: they stay on the screen.
    Applied,
    /// A write that was refused, kept until it is retried or dismissed.
    Refused { payload: Arc<RawValue>, error: Arc<Error> },
    /// Not a write of ours: the application makes it by its own means, and its row will come.
    Local { error: Option<Arc<Error>> },
}

/// What one step of an intent does to rows, ready to be replayed.
pub(crate) enum Effect {
    Put(&'static str, Arc<dyn AnyRow>),
    Patch(&'static str, Key, Map<String, Value>),
    Delete(&'static str, Key),
}

impl Effect {
    /// Reads the steps of a write once, so that a replay need not.
    pub(crate) fn prepare(ops: &RowOps, schema: &Schema) -> Result<Vec<Self>, Error> {
        let prepare = |op: &RowOp| {
            Ok(match op {
                RowOp::Put(collection, row) => {
                    let def = schema.collection(collection)?;
                    Self::Put(def.name, def.decode(row.get().as_bytes())?)
                }
                RowOp::Patch(collection, key, set) => {
                    Self::Patch(schema.collection(collection)?.name, Key::checked(key)?, set.clone())
                }
                RowOp::Delete(collection, key) => {
                    Self::Delete(schema.collection(collection)?.name, Key::checked(key)?)
                }
            })
        };
        ops.ops.iter().map(prepare).collect()
    }

    /// The row it is about.
    pub(crate) fn target(&self) -> (&'static str, &str) {
        match self {
            Self::Put(collection, row) => (collection, row.key()),
            Self::Patch(collection, key, _) | Self::Delete(collection, key) => (collection, key.as_str()),
        }
    }
}

impl Pending {
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

    /// Takes the steps on a draft: all, or none when one cannot be taken (its row is gone, say). A delete that was
    /// refused is not taken: the row is back, marked.
    pub(crate) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        let failed = self.has_failed();
        for effect in &self.effects {
            match effect {
                Effect::Put(collection, row) => draft.put_row(collection, Arc::clone(row))?,
                Effect::Patch(collection, key, set) => draft.patch_row(collection, key.as_str(), set)?,
                Effect::Delete(collection, key) if failed => {
                    if let Some(row) = draft.row(collection, key.as_str()) {
                        draft.put_row(collection, row)?;
                    }
                }
                Effect::Delete(collection, key) => draft.delete_row(collection, key.as_str())?,
            }
        }
        Ok(())
    }
}
