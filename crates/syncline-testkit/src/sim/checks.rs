//! What must hold, whatever the network, the disk and the server go through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_core::client::{Status, WatchId};
use syncline_core::record::AnyRow;
use syncline_core::{ClientId, SpaceId};

use crate::disk::{State, evaluate, evaluate_children};
use crate::node::{ClientNode, Watched};
use crate::sim::Sim;

impl Sim {
    /// After every step: what changed on a screen is held against what was stored, then the test's own invariants.
    #[track_caller]
    pub(super) fn check_step(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for index in 0..self.clients.len() {
            let changed: Vec<_> = self.clients[index]
                .watches
                .iter_mut()
                .filter_map(|(id, watched)| std::mem::take(&mut watched.changed).then_some(*id))
                .collect();
            for watch in changed {
                if let Err(violation) = self.check_view(index, watch) {
                    let query = self.clients[index].watches[&watch].mirror.query();
                    self.fail(format_args!("{}, watching {query:?}: {violation}", self.clients[index].name));
                }
            }
        }
        for invariant in &self.invariants {
            if let Err(violation) = (invariant.holds)(self) {
                self.fail(format_args!("{}: {violation}", invariant.name));
            }
        }
    }

    /// A view is what its query finds in the rows of the version the client stands at, with its own intents on top:
    /// never a mixture of two versions, never more than the person may see, never what is not on disk. Where it is not
    /// live, rows may be newer than the version: those of the person's own writes, and those that another list of the
    /// client has, or had.
    fn check_view(&self, index: usize, watch: WatchId) -> Result<(), String> {
        let client = &self.clients[index];
        let watched = &client.watches[&watch];
        let mirror = &*watched.mirror;
        // it moves on without a change of the view too
        let (Some(cursor), false) = (client.core.cursor(watch), watched.stopped) else { return Ok(()) };
        let space = &mirror.query().space;
        if cursor.version > 0 && self.disk.never_had(space) {
            return Err(format!("version {} is shown, nothing is on disk", cursor.version));
        }
        let Some(state) = self.disk.at(space, cursor.incarnation, cursor.version) else { return Ok(()) };
        if cursor.version > self.disk.version(space) {
            let durable = self.disk.version(space);
            return Err(format!("version {} is shown, only {durable} is on disk", cursor.version));
        }
        // rows of an earlier visit are shown before anybody has said who is here
        if client.core.connection().user.is_some_and(|user| user != client.user) {
            return Ok(());
        }
        let alone = !client.shared.contains(space);
        let newer = match mirror.state().status {
            Status::Live => BTreeSet::new(),
            _ => self.disk.written_since(space, cursor.version, alone.then_some(&client.user.id)),
        };
        let compared = self.compare(client, watched, &state, &newer);
        compared.map_err(|what| format!("at version {}: {what}", cursor.version))
    }

    /// Holds a view against a state, but for the rows that may be `newer`.
    fn compare(
        &self,
        client: &ClientNode,
        watched: &Watched,
        state: &State,
        newer: &BTreeSet<(&str, &str)>,
    ) -> Result<(), String> {
        let mirror = &*watched.mirror;
        let query = mirror.query();
        let Ok(def) = self.schema.collection(&query.collection) else { return Ok(()) };
        let visible = |row: &dyn AnyRow| self.access.read(&client.user, &query.space, def.name, row);
        let expected = evaluate(query, state, &self.schema, visible);
        let shown = mirror.rows();
        let calm = client.core.intents(&query.space) == 0;
        if calm && newer.is_empty() {
            let same = shown.len() == expected.len()
                && shown.iter().zip(&expected).all(|((row, _), stored)| mirror.equal(*row, &**stored));
            if !same {
                let json = |row: &dyn AnyRow| {
                    let json = def.encode(row).unwrap_or_default();
                    String::from_utf8_lossy(&json).into_owned()
                };
                let shown: Vec<_> = shown.iter().map(|(row, _)| json(*row)).collect();
                let expected: Vec<_> = expected.iter().map(|row| json(&**row)).collect();
                return Err(format!("shown is {shown:#?}, stored {expected:#?}"));
            }
            return self.compare_children(client, watched, state, &expected);
        }
        // under its own intents a client shows what it has confirmed as it is stored
        let is_newer = |key: &str| newer.contains(&(def.name, key));
        for (row, _) in shown.iter().filter(|(row, confirmed)| *confirmed && !is_newer(row.key())) {
            if !expected.iter().any(|stored| mirror.equal(*row, &**stored)) {
                return Err(format!("row {} is shown as confirmed and is not what is stored", row.key()));
            }
        }
        if calm && query.limit.is_none() {
            let is_shown = |key: &str| shown.iter().any(|(row, _)| row.key() == key);
            let mut others = expected.iter().map(|row| row.key()).filter(|key| !is_newer(key));
            if let Some(missing) = others.find(|key| !is_shown(key)) {
                return Err(format!("row {missing} is stored and not shown"));
            }
        }
        if newer.is_empty() { self.compare_children(client, watched, state, &expected) } else { Ok(()) }
    }

    /// The children of every row are what the relation finds, and so is their number.
    fn compare_children(
        &self,
        client: &ClientNode,
        watched: &Watched,
        state: &State,
        parents: &[Arc<dyn AnyRow>],
    ) -> Result<(), String> {
        let query = watched.mirror.query();
        let calm = client.core.intents(&query.space) == 0;
        for (spec, related) in query.relations.iter().zip(&watched.related) {
            let Ok(def) = self.schema.collection(&spec.collection) else { return Ok(()) };
            let visible = |row: &dyn AnyRow| self.access.read(&client.user, &query.space, def.name, row);
            for parent in parents.iter().map(|parent| parent.key()) {
                let all = evaluate_children(spec, parent, state, def, visible);
                let expected = &all[..all.len().min(spec.limit as usize)];
                let shown = related.rows(parent);
                let confirmed = shown.iter().filter(|(_, confirmed)| calm || *confirmed);
                let same = if calm {
                    let same = |((row, _), stored): (&(&dyn AnyRow, bool), &Arc<dyn AnyRow>)| {
                        related.equal(*row, &**stored)
                    };
                    shown.len() == expected.len() && shown.iter().zip(expected).all(same)
                } else {
                    let is_stored = |row: &dyn AnyRow| expected.iter().any(|one| related.equal(row, &**one));
                    confirmed.into_iter().all(|(row, _)| is_stored(*row))
                };
                if !same {
                    let shown: Vec<_> = shown.iter().map(|(row, _)| row.key()).collect();
                    let expected: Vec<_> = expected.iter().map(|row| row.key()).collect();
                    return Err(format!("the children of {parent} are {shown:?}, stored {expected:?}"));
                }
                if calm && spec.count && related.count(parent) != all.len() as u64 {
                    let (count, all) = (related.count(parent), all.len());
                    return Err(format!("{parent} has {count} children, stored {all}"));
                }
            }
        }
        Ok(())
    }

    /// Once quiet: everybody who is connected sees what is stored, and every verdict is true.
    pub(super) fn check_quiet(&self) -> Result<(), String> {
        for client in self.clients.iter().filter(|client| !client.gone) {
            for watched in client.watches.values().filter(|watched| !watched.stopped) {
                let mirror = &*watched.mirror;
                if mirror.state().status == Status::Live {
                    let state = self.disk.newest(&mirror.query().space).unwrap_or_default();
                    let compared = self.compare(client, watched, &state, &BTreeSet::new());
                    compared
                        .map_err(|what| format!("{}, watching {:?}: {what}", client.name, mirror.query()))?;
                }
            }
        }
        self.check_verdicts()
    }

    /// What was acknowledged is stored, once; what was refused is not.
    fn check_verdicts(&self) -> Result<(), String> {
        #[derive(Default)]
        struct Count {
            accepted: u64,
            uncertain: bool,
        }
        let mut counts: BTreeMap<(&SpaceId, &ClientId), Count> = BTreeMap::new();
        for write in self.clients.iter().flat_map(|client| client.writes.values()) {
            let count = counts.entry((&write.space, &write.client)).or_default();
            let accepted = matches!(write.verdict, Some(Ok(_)));
            count.accepted += u64::from(accepted && !write.uncertain);
            count.uncertain |= write.uncertain || write.verdict.is_none();
            if let Some(Ok(version)) = write.verdict
                && version > self.disk.version(&write.space)
                && !write.uncertain
            {
                return Err(format!("a write was accepted as of version {version}, which is not on disk"));
            }
        }
        for ((space, client), count) in counts {
            let applied = self.disk.applied(space, client);
            if applied < count.accepted || (applied > count.accepted && !count.uncertain) {
                let accepted = count.accepted;
                return Err(format!(
                    "in {space}, {accepted} writes of {client} were accepted, {applied} are stored"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use syncline_core::Record;

    use super::*;
    use crate::Watch;
    use crate::disk::Disk;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
    #[record(collection = "todos", key = id)]
    struct Todo {
        id: String,
        text: String,
    }

    /// A simulation in which everybody sees the one to-do there is.
    fn with(text: &str) -> (Sim, Watch<Todo>) {
        let mut sim = Sim::builder(7).record::<Todo>().client("a", "ann").client("b", "bob").build();
        let watch = sim.client("b").watch(Todo::in_space("home"));
        sim.client("a").put("home", &Todo { id: "1".into(), text: text.into() });
        sim.settle();
        (sim, watch)
    }

    fn violation(sim: &Sim, watch: Watch<Todo>) -> String {
        sim.check_view(watch.client, watch.id).unwrap_err()
    }

    #[test]
    fn what_is_shown_and_was_never_durable_is_found() {
        let (mut sim, watch) = with("Milk");
        sim.check_view(watch.client, watch.id).unwrap();
        sim.disk = Disk::default();
        assert_eq!(violation(&sim, watch), "version 1 is shown, nothing is on disk");
        sim.disk.wipe();
        sim.check_view(watch.client, watch.id).unwrap();
    }

    #[test]
    fn a_list_without_a_connection_is_held_against_what_is_stored_too() {
        let (mut sim, watch) = with("Milk");
        sim.client("b").go_offline();
        assert_eq!(sim.status(watch), Status::Closed);
        sim.check_view(watch.client, watch.id).unwrap();
        let row = Todo { id: "1".into(), text: "Bread".into() };
        sim.client("a").put("home", &row);
        sim.settle();
        sim.check_view(watch.client, watch.id).unwrap();
        // another history with the same versions
        std::mem::swap(&mut sim.disk, &mut with("Bread").0.disk);
        assert!(violation(&sim, watch).starts_with("at version 1: shown is "));
    }

    #[test]
    fn what_another_list_has_brought_may_be_newer_also_when_that_is_gone() {
        let (mut sim, watch) = with("Milk");
        let other = sim.client("b").watch(Todo::in_space("home").order_by(Todo::text.asc()));
        sim.settle();
        sim.client("b").stop(watch);
        sim.client("a").put("home", &Todo { id: "1".into(), text: "Bread".into() });
        sim.settle();
        sim.client("b").unwatch(other);
        sim.client("b").go_offline();
        sim.client("b").start(watch);
        sim.check_view(watch.client, watch.id).unwrap();
    }
}
