//! What one version did.

use std::sync::Arc;

use syncline_core::space::{ConnId, LogEntry};
use syncline_core::{ClientId, Key, WriteId};

use crate::partysync::layout::Times;

/// What one version did.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Unix ms.
    pub(in crate::partysync) at: u64,
    pub(in crate::partysync) author: (ClientId, WriteId),
    /// The connection of this face that asked for it, if it was one.
    pub(in crate::partysync) sender: Option<ConnId>,
    /// The channel it was asked for in.
    pub(in crate::partysync) channel: Option<Asked>,
    /// By collection and key.
    touched: Vec<Touch>,
    /// The collections of which it deleted all rows, which were several.
    pub(in crate::partysync) emptied: Vec<usize>,
}

/// The channel that an action was asked for in.
#[derive(Clone, Copy, Debug)]
pub(in crate::partysync) struct Asked {
    pub(in crate::partysync) name: &'static str,
    /// That of its rows.
    pub(in crate::partysync) collection: usize,
}

/// A row that a version touched.
#[derive(Clone, Debug)]
pub(in crate::partysync) struct Touch {
    pub(in crate::partysync) collection: usize,
    pub(in crate::partysync) key: Key,
    /// What it was before, when it was deleted.
    pub(in crate::partysync) gone: Option<Gone>,
}

/// What a deleted row was.
#[derive(Clone, Debug)]
pub(in crate::partysync) struct Gone {
    pub(in crate::partysync) times: Times,
    /// Its encoding, unless that is forgotten.
    pub(in crate::partysync) json: Option<Arc<[u8]>>,
}

impl Gone {
    pub(super) fn bytes(&self) -> usize {
        self.json.as_ref().map_or(0, |json| json.len())
    }
}

impl Entry {
    /// Of this write, which touched these rows.
    pub(super) fn by(logged: &LogEntry, mut touched: Vec<Touch>) -> Self {
        // as a rule they are in this order
        touched.sort_by(|one, other| (one.collection, &one.key).cmp(&(other.collection, &other.key)));
        Self {
            at: logged.at,
            author: (logged.client.clone(), logged.write),
            sender: None,
            channel: None,
            touched,
            emptied: Vec::new(),
        }
    }

    /// The rows that it touched, by collection and key.
    pub(super) fn touched(&self) -> &[Touch] {
        &self.touched
    }

    pub(super) fn touched_mut(&mut self) -> &mut [Touch] {
        &mut self.touched
    }

    /// The rows of a collection that it touched, by key.
    pub(in crate::partysync) fn of(&self, collection: usize) -> &[Touch] {
        let from = self.touched.partition_point(|touch| touch.collection < collection);
        let rest = &self.touched[from..];
        &rest[..rest.partition_point(|touch| touch.collection == collection)]
    }

    pub(super) fn touch(&self, collection: usize, key: &str) -> Option<&Touch> {
        let all = self.of(collection);
        all.binary_search_by(|touch| touch.key.as_str().cmp(key)).ok().map(|place| &all[place])
    }

    pub(in crate::partysync) fn touches(&self, collection: usize) -> bool {
        !self.of(collection).is_empty()
    }

    /// An action of this face that left the rows of its channel alone, so that no frame tells of it.
    pub(in crate::partysync) fn is_quiet(&self) -> bool {
        self.channel.is_some_and(|channel| !self.touches(channel.collection))
    }
}
