//! Children of records: they come with their parents, and are added and removed one by one.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::event::{FIRST_MICROSECONDS, Family, child_row};
use super::gathering::{ChildChange, ChildEvent};
use super::record_uri;
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
    /// A record of a snapshot says which children it has: those, and no others.
    pub(super) fn take_families(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        parent: &str,
        families: Vec<Family>,
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
            let came = children.len() as u64;
            if count.is_none_or(|count| count <= came) {
                // these are all: what was counted besides is gone
                stream.counted.forget(parent, place, |_| true);
            }
            for (index, child) in children.into_iter().enumerate() {
                if index >= spec.limit as usize {
                    let uri = child.get("uri").and_then(Value::as_str).filter(|_| related.counts.is_some());
                    if let Some(uri) = uri {
                        stream.counted.note(parent, place, uri);
                    }
                    continue;
                }
                let slot = upsert(rows, &child_row(child, &spec.field, parent)?);
                if let Ok(slot) = slot {
                    if !rows.wants(related.view, slot) {
                        continue;
                    }
                    stale.remove(rows.key(slot));
                }
                put(rows, related.view, &mut related.unreadable, slot);
            }
            for key in &stale {
                rows.remove_member(related.view, key);
                related.unreadable.forget(key);
            }
            if let Some(counts) = &mut related.counts {
                // a service says nothing of a parent that has none
                counts.tell(parent, count.unwrap_or(came));
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

    /// A child has come or gone.
    pub(super) fn change_child(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        event: ChildEvent,
    ) -> Result<(), Error> {
        let ChildEvent { parent, relation, change } = event;
        match change {
            ChildChange::Added(child) => self.take_child(id, stream, &parent, &relation, child),
            ChildChange::Removed { did, rkey } => {
                self.drop_child(id, stream, &parent, &relation, (&did, &rkey));
                Ok(())
            }
        }
    }

    /// The same once more, over a page that is older: what was counted is not counted there.
    pub(super) fn change_child_again(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        event: ChildEvent,
    ) -> Result<(), Error> {
        if let ChildChange::Added(child) = &event.change
            && let Some(place) = stream.relations.iter().position(|name| *name == event.relation)
        {
            stream.counted.forget(&event.parent, place, |uri| is_of(child, uri));
        }
        self.change_child(id, stream, event)
    }

    /// A child has come, or another one in its place.
    fn take_child(
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
        let behind = family.split_off(family.len().min(spec.limit as usize));
        for key in &behind {
            rows.remove_member(related.view, key);
        }
        if let Some(counts) = &mut related.counts {
            // one that others push out has been counted; it may be told of again, and is no other then
            for key in behind.iter().filter(|key| **key != uri) {
                stream.counted.note(parent, place, key);
            }
            let was_counted = if family.contains(&uri) {
                stream.counted.forget(parent, place, |other| *other == *uri)
            } else {
                is_new && !stream.counted.note(parent, place, &uri)
            };
            if is_new && !was_counted {
                counts.tell(parent, counts.told(parent).saturating_add(1));
            }
        }
        Ok(())
    }

    /// A child is gone. Of one behind the limit only the number is known.
    fn drop_child(
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
        let is_it = |uri: &str| {
            let collection = uri.strip_prefix("at://").and_then(|path| path.split('/').nth(1));
            collection.is_some_and(|collection| uri == record_uri(did, collection, rkey))
        };
        let family = rows.family(related.view, parent);
        let was_known = family.iter().any(|key| is_it(key));
        for key in family.iter().filter(|key| is_it(key)) {
            rows.remove_member(related.view, key);
        }
        stream.counted.forget(parent, place, is_it);
        if let Some(counts) = &mut related.counts {
            let told = counts.told(parent);
            // one that was never there is not counted; one behind the limit may be any
            if was_known || told > family.len() as u64 {
                counts.tell(parent, told.saturating_sub(1));
            }
        }
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
    if !child.contains_key("time_us")
        && let Some(time) = time_of(rows, uri)
    {
        child.insert("time_us".into(), time.into());
    }
}

/// The time that is known of a record, in µs.
pub(super) fn time_of(rows: &dyn AnyCollection, uri: &str) -> Option<i64> {
    let field = rows.field_names().iter().position(|name| &**name == "time_us")?;
    match rows.confirmed(uri)?.field(field) {
        ScalarRef::Int(time @ FIRST_MICROSECONDS..) => Some(time),
        _ => None,
    }
}

fn is_of(child: &Map<String, Value>, uri: &str) -> bool {
    child.get("uri").and_then(Value::as_str) == Some(uri)
}
