//! What a client was told, and what to tell it when that changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_core::client::contrail::record_uri;
use syncline_core::{Error, Scalar, code};

use crate::watch_records::encode::{Digest, Event, Row};
use crate::watch_records::translation::Group;

/// A record: by its key, and for a child by the relation that it came with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    relation: Option<usize>,
    pub(super) key: Box<str>,
}

impl Slot {
    /// One of the list.
    pub(super) fn record(key: &str) -> Self {
        Self { relation: None, key: key.into() }
    }

    /// A child, in the relation of this place in the query.
    pub(super) fn child(relation: usize, key: &str) -> Self {
        Self { relation: Some(relation), key: key.into() }
    }

    pub(super) fn is_record(&self) -> bool {
        self.relation.is_none()
    }
}

/// What a client was told of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    did: Arc<str>,
    digest: Digest,
    /// The key of the record that it is a child of.
    parent: Option<Box<str>>,
}

impl Known {
    pub(super) fn of(row: &Row<'_>, relation: Option<usize>) -> Self {
        let parent = relation.and_then(|_| parent(row)).map(Into::into);
        Self { did: row.facts.did.as_str().into(), digest: row.digest, parent }
    }

    /// Whose it was `before`, when that was somebody else: then it had another address.
    pub(super) fn former<'a>(&self, before: Option<&'a Self>) -> Option<&'a str> {
        before.map(|before| &*before.did).filter(|did| **did != *self.did)
    }
}

/// The key of the record that a child belongs to.
pub(super) fn parent<'a>(row: &'a Row<'_>) -> Option<&'a str> {
    match &row.facts.sort {
        Scalar::Text(key) => Some(key),
        _ => None,
    }
}

/// The records that a client has, children included.
pub(super) type Holding = BTreeMap<Slot, Known>;

/// Some records, and what is known of them; `None` of those that are not there.
pub(super) type Knowledge = BTreeMap<Slot, Option<Known>>;

/// Notes what a client has now.
pub(super) fn apply(after: &Knowledge, holding: &mut Holding) {
    for (slot, known) in after {
        match known {
            Some(known) => holding.insert(slot.clone(), known.clone()),
            None => holding.remove(slot),
        };
    }
}

/// Tells a client what has changed. Records are to be named before the children that belong to them.
pub(super) struct Teller<'a> {
    group: &'a Group,
    holding: &'a Holding,
    /// What was looked up: the same news mean something else to a client that has something else.
    before: Knowledge,
    after: Knowledge,
    events: Vec<Event>,
    renamed: bool,
}

/// What came of it.
pub(super) struct News {
    pub(super) before: Knowledge,
    pub(super) after: Knowledge,
    pub(super) events: Vec<Event>,
    /// See [`Renamed`].
    pub(super) renamed: bool,
}

/// A record with children has another address, and its children cannot be told anew: they are to be asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Renamed;

impl From<Renamed> for Error {
    fn from(_: Renamed) -> Self {
        Self::new(code::CONNECTION, "a record has another address; connect anew")
    }
}

impl<'a> Teller<'a> {
    pub(super) fn new(group: &'a Group, holding: &'a Holding) -> Self {
        let (before, after) = (Knowledge::new(), Knowledge::new());
        Self { group, holding, before, after, events: Vec::new(), renamed: false }
    }

    pub(super) fn end(self) -> News {
        let Self { before, after, events, renamed, .. } = self;
        News { before, after, events, renamed }
    }

    /// What the client has, after what it was told so far.
    fn look(&mut self, slot: &Slot) -> Option<Known> {
        if let Some(known) = self.after.get(slot) {
            return known.clone();
        }
        let known = self.holding.get(slot).cloned();
        self.before.entry(slot.clone()).or_insert_with(|| known.clone());
        known
    }

    /// A record is new, or may have changed; `always` tells it even if it has not.
    pub(super) fn put(&mut self, row: &Row<'_>, always: bool) {
        let slot = Slot::record(&row.facts.rkey);
        let (before, now) = (self.look(&slot), Known::of(row, None));
        let encoder = self.group.encoder();
        if let Some(did) = now.former(before.as_ref()) {
            self.events.push(encoder.deleted(did, &slot.key));
            self.renamed |= !self.group.list.relations.is_empty();
        }
        if always || before.as_ref() != Some(&now) {
            self.events.push(encoder.created(row));
        }
        self.after.insert(slot, Some(now));
    }

    /// A child is new, or may have changed.
    pub(super) fn put_child(&mut self, relation: usize, row: &Row<'_>, always: bool) {
        let slot = Slot::child(relation, &row.facts.rkey);
        let (before, now) = (self.look(&slot), Known::of(row, Some(relation)));
        let elsewhere = |before: &&Known| (&before.did, &before.parent) != (&now.did, &now.parent);
        if let Some(before) = before.as_ref().filter(elsewhere) {
            self.remove_child(relation, &slot.key, before);
        }
        let parent = now.parent.as_deref().and_then(|key| Some((key, self.look(&Slot::record(key))?)));
        if let Some((key, parent)) = parent
            && (always || before.as_ref() != Some(&now))
            && let Some(related) = self.group.related(relation)
        {
            let parent_uri = record_uri(&parent.did, &self.group.collection.nsid, key);
            self.events.push(self.group.child_encoder(related).added(&parent_uri, &related.name, row));
        }
        self.after.insert(slot, Some(now));
    }

    /// A record, or a child, is no more in the list.
    pub(super) fn remove(&mut self, slot: Slot) {
        // whoever was not told of a record is not told that it is gone
        if let Some(known) = self.look(&slot) {
            match slot.relation {
                None => self.events.push(self.group.encoder().deleted(&known.did, &slot.key)),
                Some(relation) => self.remove_child(relation, &slot.key, &known),
            }
        }
        self.after.insert(slot, None);
    }

    /// Of a record that is gone itself nothing more is said.
    fn remove_child(&mut self, relation: usize, key: &str, child: &Known) {
        let Some(parent_key) = child.parent.as_deref() else { return };
        let Some(parent) = self.look(&Slot::record(parent_key)) else { return };
        if let Some(related) = self.group.related(relation) {
            let parent_uri = record_uri(&parent.did, &self.group.collection.nsid, parent_key);
            let event =
                self.group.child_encoder(related).removed(&parent_uri, &related.name, &child.did, key);
            self.events.push(event);
        }
    }
}
