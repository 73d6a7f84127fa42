//! Children of records: they come with their parents, and are added and removed one by one.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::event::{Family, child_row};
use super::gathering::{Child, ToldChild, ToldChildren};
use super::rows::upsert;
use super::stream::{Families, Stream};
use crate::client::collection::AnyCollection;
use crate::client::core::ClientCore;
use crate::client::frames::put;
use crate::client::related::Related;
use crate::client::session::{Session, SessionId};
use crate::client::space::Base;
use crate::error::Error;
use crate::scalar::ScalarRef;

impl ClientCore {
    /// A record of a snapshot says which children it has: those, and no others but what was `told` live meanwhile.
    pub(super) fn take_families(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        parent: &str,
        families: Vec<Family>,
        told: Option<&ToldChildren>,
    ) -> Result<(), Error> {
        let Some((session, base)) = self.relations_of(id) else { return Ok(()) };
        for (place, Family { children, count }) in families.into_iter().enumerate() {
            let (Some(related), Some(spec)) =
                (session.relations.get_mut(place), session.query.relations.get(place))
            else {
                continue;
            };
            let Some(rows) = related.rows(base) else { continue };
            let known = stream.families.get_mut(place).and_then(|families| families.remove(parent));
            let mut stale: BTreeSet<_> = known.into_iter().flatten().collect();
            let told = || told.into_iter().flat_map(|told| told.of(parent, place));
            let (came, mut gone) = (children.len() as u64, 0);
            let mut live: Vec<_> = told().filter(|told| told.is_there).collect();
            for (index, child) in children.into_iter().enumerate() {
                let uri = child.get("uri").and_then(Value::as_str).unwrap_or_default();
                if index >= spec.limit as usize {
                    stream.count_child(uri);
                    continue;
                }
                if told().any(|told| !told.is_there && told.child.is(uri)) {
                    gone += 1;
                    continue;
                }
                live.retain(|told| !told.child.is(uri));
                let slot = upsert(rows, &child_row(child, &spec.field, parent)?);
                if let Ok(slot) = slot {
                    if !rows.wants(related.view, slot) {
                        continue;
                    }
                    stale.remove(rows.key(slot));
                }
                put(rows, related.view, &mut related.unreadable, slot);
            }
            for key in stale.iter().filter(|key| !live.iter().any(|told| told.child.is(key))) {
                rows.remove_member(related.view, key);
                related.unreadable.forget(key);
            }
            if let Some(counts) = &mut related.counts {
                // a service says nothing of a parent that has none; where it names all, what is not named is not counted
                let more = if came < u64::from(spec.limit) { live.len() as u64 } else { 0 };
                counts.tell(parent, (count.unwrap_or(came) + more).saturating_sub(gone));
            }
        }
        Ok(())
    }

    /// The children that are known, relation by relation.
    pub(super) fn known_families(&mut self, id: SessionId) -> Vec<Families> {
        let Some((session, base)) = self.relations_of(id) else { return Vec::new() };
        let mut families = |related: &Related| related.rows(base).map(|rows| rows.families(related.view));
        session.relations.iter().map(|related| families(related).unwrap_or_default()).collect()
    }

    /// A child has come, or another one in its place.
    pub(super) fn take_child(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        parent: &str,
        relation: &str,
        mut child: Map<String, Value>,
    ) -> Result<(), Error> {
        if !self.is_known(id, stream, parent) {
            return Ok(());
        }
        let Some(place) = stream.relations.iter().position(|name| name == relation) else { return Ok(()) };
        let Some((session, base)) = self.relations_of(id) else { return Ok(()) };
        let (Some(related), Some(spec)) =
            (session.relations.get_mut(place), session.query.relations.get(place))
        else {
            return Ok(());
        };
        let Some(rows) = related.rows(base) else { return Ok(()) };
        let uri: Box<str> = child.get("uri").and_then(Value::as_str).unwrap_or_default().into();
        keep_time(&mut child, &uri, rows);
        let slot = upsert(rows, &child_row(child, &spec.field, parent)?);
        let wanted = slot.as_ref().map_or(true, |slot| rows.wants(related.view, *slot));
        let is_new = match slot {
            Ok(slot) if !wanted || spec.limit == 0 => {
                let key = rows.key(slot).to_owned();
                !rows.remove_member(related.view, &key) && wanted
            }
            slot => put(rows, related.view, &mut related.unreadable, slot),
        };
        // the first ones in the order, as many as the relation wants
        let mut family = rows.family(related.view, parent);
        for key in family.split_off(family.len().min(spec.limit as usize)) {
            rows.remove_member(related.view, &key);
            if key != uri {
                stream.count_child(&key);
            }
        }
        // one behind them may come again, and is no other then
        let is_held = family.contains(&uri);
        let is_counted =
            if is_held { stream.counted.remove(&uri) } else { !(is_new && stream.count_child(&uri)) };
        if let Some(counts) = related.counts.as_mut().filter(|_| is_new && !is_counted) {
            counts.tell(parent, counts.told(parent).saturating_add(1));
        }
        let (parent, child) = (parent.into(), Child::Uri(uri));
        stream.hear_of_child(&ToldChild { parent, relation: place, child, is_there: wanted });
        Ok(())
    }

    /// A child is gone. Of one behind the limit only the number is known.
    pub(super) fn drop_child(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        parent: &str,
        relation: &str,
        (did, rkey): (&str, &str),
    ) {
        let Some(place) = stream.relations.iter().position(|name| name == relation) else { return };
        let Some((session, base)) = self.relations_of(id) else { return };
        let Some(related) = session.relations.get_mut(place) else { return };
        let Some(rows) = related.rows(base) else { return };
        let child = Child::Author { did: did.into(), rkey: rkey.into() };
        let family = rows.family(related.view, parent);
        let was_known = family.iter().any(|key| child.is(key));
        for key in family.iter().filter(|key| child.is(key)) {
            rows.remove_member(related.view, key);
        }
        stream.counted.retain(|uri| !child.is(uri));
        if let Some(counts) = &mut related.counts {
            let told = counts.told(parent);
            // one that was never there is not counted; one behind the limit may be any
            if was_known || told > family.len() as u64 {
                counts.tell(parent, told.saturating_sub(1));
            }
        }
        stream.hear_of_child(&ToldChild { parent: parent.into(), relation: place, child, is_there: false });
    }

    /// A record is gone, and with it its children: nothing is said of them.
    pub(super) fn drop_families(&mut self, id: SessionId, parent: &str) {
        let Some((session, base)) = self.relations_of(id) else { return };
        for related in &mut session.relations {
            if let Some(rows) = related.rows(base) {
                for key in rows.family(related.view, parent) {
                    rows.remove_member(related.view, &key);
                }
            }
            related.forget_parent(parent);
        }
    }

    /// The children of all records are complete. Those of records that are not there any more go.
    pub(super) fn complete_families(&mut self, id: SessionId, view: SessionId) {
        let Some((session, base)) = self.relations_of(id) else { return };
        let collection = session.collection;
        for related in &mut session.relations {
            let families = related.rows(base).map(|rows| rows.families(related.view)).unwrap_or_default();
            let orphans = families.into_iter().filter(|(parent, _)| {
                base.get(collection).is_none_or(|parents| !parents.is_member(view, parent))
            });
            for (parent, children) in orphans.collect::<Vec<_>>() {
                related.forget_parent(&parent);
                if let Some(rows) = related.rows(base) {
                    for child in children {
                        rows.remove_member(related.view, &child);
                    }
                }
            }
            if let Some(rows) = related.rows(base) {
                rows.complete_view(related.view);
            }
        }
    }

    fn is_known(&self, id: SessionId, stream: &Stream, key: &str) -> bool {
        let Some(session) = self.sessions.get(&id) else { return false };
        let space = self.spaces.get(&session.query.space);
        let rows = space.and_then(|space| space.base.get(session.collection));
        rows.is_some_and(|rows| rows.is_member(stream.reserve.unwrap_or(id), key))
    }

    fn relations_of(&mut self, id: SessionId) -> Option<(&mut Session, &mut Base)> {
        let session = self.sessions.get_mut(&id)?;
        let space = self.spaces.get_mut(&session.query.space)?;
        Some((session, &mut space.base))
    }
}

/// What is told live of a child says no time: it keeps the one that is known of it.
fn keep_time(child: &mut Map<String, Value>, uri: &str, rows: &dyn AnyCollection) {
    if child.contains_key("time_us") {
        return;
    }
    let field = rows.field_names().iter().position(|name| &**name == "time_us");
    if let Some((field, row)) = field.zip(rows.confirmed(uri))
        && let ScalarRef::Int(time) = row.field(field)
    {
        child.insert("time_us".into(), time.into());
    }
}
