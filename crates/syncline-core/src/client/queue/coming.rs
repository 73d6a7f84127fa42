//! What rows that come from the server mean for the intents that stand in for them.

use std::collections::BTreeSet;
use std::time::Duration;

use smallvec::SmallVec;

use super::{IntentId, Queue};
use crate::client::collection::AnyCollection;
use crate::client::pending::{Effect, Stage, Step, Written};
use crate::id::{Key, Version};
use crate::tx::Place;

/// What rows that have come say of those that the application writes by its own means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// This is how they are now, whatever has been done to them.
    State,
    /// One thing was done to a row: the first that is waited for. The others wait for their own events until then, in case
    /// a service says once what was done twice.
    Event { others_until: Duration },
}

/// Most often one.
type Few = SmallVec<[IntentId; 4]>;

impl Queue {
    /// Rows of a collection have come: what stood in for them is done. A row that is what it was before is no answer to
    /// what the application has made of it since: rows come again with every connection.
    pub(crate) fn rows_have_come(
        &mut self,
        come: &[Key],
        collection: &str,
        rows: &dyn AnyCollection,
        news: News,
    ) {
        let has_come = |((name, key), deletes): (&Place, bool)| {
            *name == collection && come.binary_search(key).is_ok() && (deletes || rows.holds(key.as_str()))
        };
        let (mut done, mut applied, mut waiting) = (Few::new(), Few::new(), Vec::new());
        for key in come {
            let (is_held, mut is_taken) = (rows.holds(key.as_str()), false);
            for (id, intent) in self.about(collection, key.as_str()) {
                match &intent.stage {
                    Stage::Local { .. } if is_taken => waiting.push((id, key)),
                    Stage::Local { error } => {
                        let is_done = !is_held || rows.is_news(key.as_str(), intent.over.as_deref());
                        is_taken = is_done && is_held && error.is_none() && news != News::State;
                        done.extend(is_done.then_some(id));
                    }
                    // what it has only read says nothing of it
                    Stage::Applied(_) if intent.footprint.writes(collection, key) => applied.push(id),
                    Stage::Applied(_) => {}
                    Stage::Queued { .. } | Stage::Refused { .. } => {}
                }
            }
        }
        // once each, however many of its rows have come
        applied.sort_unstable();
        applied.dedup();
        // all of it or nothing: else half of it would leave the lists that are behind
        for id in applied {
            let Some(intent) = self.intents.get(id) else { continue };
            let is_here = |at: (&Place, bool)| has_come(at) || intent.effect.leaves(at.0);
            if intent.footprint.written().all(is_here) {
                done.push(id);
            } else {
                self.leave_what_has_come(id, has_come);
            }
        }
        for (id, key) in waiting {
            if let (Some(intent), News::Event { others_until }) = (self.intents.get_mut(id), news) {
                intent.over = rows.confirmed(key.as_str());
                self.next_in_line.insert(id, others_until);
            }
        }
        for id in done {
            self.remove(id);
        }
    }

    /// What the server has made of an applied write stands where it has come, and what else the write did stays as it is: it
    /// is not done once more to rows in which it is done.
    fn leave_what_has_come(&mut self, id: IntentId, has_come: impl Fn((&Place, bool)) -> bool) {
        let Some(intent) = self.intents.get(id) else { return };
        let mut steps = Vec::new();
        for (place, deletes) in intent.footprint.written() {
            if has_come((place, deletes)) || intent.effect.leaves(place) {
                steps.push(Step::Come(place.0, place.1.clone()));
                continue;
            }
            match &intent.effect {
                Effect::Steps(all) => steps.extend(all.iter().filter(|step| step.place() == *place).cloned()),
                Effect::Action(_) => steps.extend(intent.made.iter().filter(|(at, _)| at == place).map(made)),
                Effect::Unknown => return,
            }
        }
        self.set_effect(id, Effect::Steps(steps.into()));
    }

    /// When the first edit is due whose own event has not come after that of the one before it.
    pub(crate) fn next_given_up(&self) -> Option<Duration> {
        self.next_in_line.values().min().copied()
    }

    /// Those that are due are as good as done, but for the ones that have failed, which keep their error. Says whether there
    /// were any.
    pub(crate) fn give_up_waiting(&mut self, now: Duration) -> bool {
        let due: Vec<_> =
            self.next_in_line.iter().filter(|(_, until)| now >= **until).map(|(id, _)| *id).collect();
        for id in &due {
            self.next_in_line.remove(id);
            if self.intents.get(*id).is_some_and(|intent| !intent.has_failed()) {
                self.remove(*id);
            }
        }
        !due.is_empty()
    }

    /// Forgets the applied writes, but for those of collections of which a list is `behind` and may have to show them, and
    /// those of versions beyond what lists were `told`: what brings these is held.
    pub(crate) fn drop_applied(&mut self, behind: &BTreeSet<&'static str>, told: Option<Version>) {
        let is_awaited = |id: IntentId| {
            let Some(intent) = self.intents.get(id) else { return false };
            let is_held = intent.applied().is_some_and(|applied| told.is_some_and(|told| applied > told));
            is_held || intent.footprint.written().any(|((collection, _), _)| behind.contains(collection))
        };
        let done: Vec<_> = self.applied.iter().filter(|&id| !is_awaited(id)).collect();
        for id in done {
            self.remove(id);
        }
    }
}

/// The step that does once more what was made of a row.
fn made(((collection, key), row): &Written) -> Step {
    match row {
        Some(row) => Step::Put(collection, key.clone(), row.clone()),
        None => Step::Delete(collection, key.clone()),
    }
}
