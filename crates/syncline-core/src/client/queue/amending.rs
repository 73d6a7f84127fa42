//! Refused writes whose row is written once more.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{IntentId, Queue};
use crate::client::pending::{Effect, Pending, Stage, Step};
use crate::error::Error;

impl Queue {
    /// A person is about to write rows: refused writes of them go that leave no trace under the new one, else they would
    /// come up again when that has been done.
    pub(crate) fn amend(&mut self, effect: &Effect) {
        let Effect::Steps(steps) = effect else { return };
        for step in steps {
            let (collection, key) = step.place();
            let is_amended = |intent: &Pending| {
                matches!(intent.stage, Stage::Refused { .. })
                    && single(&intent.effect).is_some_and(|refused| step.covers(refused))
            };
            let refused = self.about(collection, key.as_str()).filter(|(_, intent)| is_amended(intent));
            let refused: SmallVec<[IntentId; 2]> = refused.map(|(id, _)| id).collect();
            for id in refused {
                self.remove(id);
            }
        }
    }

    /// Whether a row stands as a refused write has put it.
    pub(crate) fn is_put_in_vain(&self, collection: &str, key: &str) -> bool {
        self.refusal_of(collection, key).is_some()
    }

    /// Why the row that a write changes is not there: it was put, and refused. What has been changed of it since is not
    /// lost.
    pub(super) fn refusal_of_row(&self, intent: &Pending) -> Option<Arc<Error>> {
        let (collection, key) =
            single(&intent.effect).filter(|step| matches!(step, Step::Patch(..)))?.place();
        self.refusal_of(collection, key.as_str())
    }

    fn refusal_of(&self, collection: &str, key: &str) -> Option<Arc<Error>> {
        self.about(collection, key).find_map(|(_, intent)| match (&intent.stage, single(&intent.effect)) {
            (Stage::Refused { error, .. }, Some(Step::Put(..))) => Some(Arc::clone(error)),
            _ => None,
        })
    }
}

/// The step of an effect that has one. A refused write of several is for a person to decide, as a whole.
fn single(effect: &Effect) -> Option<&Step> {
    match effect {
        Effect::Steps(steps) => match &**steps {
            [step] => Some(step),
            _ => None,
        },
        Effect::Action(_) | Effect::Unknown => None,
    }
}
