//! What a session holds of the children of its rows: one hidden view for each relation, and the counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::WatchId;
use crate::client::collection::AnyCollection;
use crate::client::session::{SessionId, Unreadable};
use crate::client::space::Base;
use crate::error::Error;
use crate::id::Key;
use crate::query::{CompiledRelation, QuerySpec, RelationSpec};
use crate::schema::{CollectionDef, Schema};
use crate::wire::Count;

/// Somebody who has not looked at the counts for so long that this many are waiting is given all of them.
const MAX_WAITING: usize = 4096;

/// One relation of a session.
pub(crate) struct Related {
    /// Its children are the members of this view of their collection. Like a session's, it has a name of its own: parents
    /// and children may be rows of one collection.
    pub(crate) view: SessionId,
    pub(crate) collection: &'static str,
    /// The slots of the children that the server was told are held, in that order.
    pub(crate) held: Vec<u32>,
    /// Children that could not be read.
    pub(crate) unreadable: Unreadable,
    /// There are none where nothing is counted.
    pub(crate) counts: Option<Counts>,
}

/// The relations of a query, checked, each with its collection.
pub(crate) fn check(
    query: &QuerySpec,
    schema: &Schema,
) -> Result<Vec<(CollectionDef, CompiledRelation)>, Error> {
    let check = |spec: &RelationSpec| {
        let def = schema.collection(&spec.collection)?;
        Ok((*def, CompiledRelation::new(spec, def.fields)?))
    };
    query.relations.iter().map(check).collect()
}

impl Related {
    /// Opens the view.
    pub(crate) fn open(
        view: SessionId,
        def: &CollectionDef,
        relation: CompiledRelation,
        base: &mut Base,
    ) -> Self {
        let counts = relation.count.then(Counts::default);
        base.open(def).open_children(view, relation);
        let (held, unreadable) = (Vec::new(), Unreadable::default());
        Self { view, collection: def.name, held, unreadable, counts }
    }

    /// Its rows.
    pub(crate) fn rows<'a>(&self, base: &'a mut Base) -> Option<&'a mut (dyn AnyCollection + 'static)> {
        base.get_mut(self.collection)
    }

    pub(crate) fn begin_snapshot(&mut self, base: &mut Base) {
        self.unreadable = Unreadable::default();
        if let Some(counts) = &mut self.counts {
            counts.incoming.clear();
        }
        if let Some(rows) = base.get_mut(self.collection) {
            rows.begin_incoming(self.view);
        }
    }

    pub(crate) fn finish_snapshot(&mut self, base: &mut Base) {
        if let Some(counts) = &mut self.counts {
            counts.finish_snapshot();
        }
        if let Some(rows) = base.get_mut(self.collection) {
            rows.finish_snapshot(self.view);
        }
    }

    /// Nothing of it is to be shown any more.
    pub(crate) fn clear(&mut self, base: &mut Base) {
        self.begin_snapshot(base);
        self.finish_snapshot(base);
    }

    /// A parent has left the result.
    pub(crate) fn forget_parent(&mut self, parent: &str) {
        if let Some(counts) = &mut self.counts {
            counts.tell(parent, 0);
        }
    }
}

/// How many children each parent has: what the server said, and what local effects make of it.
#[derive(Default)]
pub(crate) struct Counts {
    /// Only where there are any.
    told: BTreeMap<Key, u64>,
    /// Of a snapshot that is still coming in.
    incoming: Vec<(Key, u64)>,
    /// What local effects that the server has not counted yet add and take away.
    adjusted: BTreeMap<Key, i64>,
    /// What is shown, where it is not 0.
    shown: BTreeMap<Key, u64>,
    /// Parents that a commit has to look at.
    touched: BTreeSet<Key>,
    /// The answer has come, or what was held: local effects may be counted in it.
    pub(crate) is_stale: bool,
    readers: BTreeMap<WatchId, Reader>,
}

/// Who looks at counts: the parents of which something else is to be told.
#[derive(Default)]
struct Reader {
    changed: BTreeSet<Key>,
    all: bool,
}

impl Counts {
    /// The server's number for a parent.
    pub(crate) fn told(&self, parent: &str) -> u64 {
        self.told.get(parent).copied().unwrap_or_default()
    }

    /// The server says how many children a parent has.
    pub(crate) fn tell(&mut self, parent: &str, n: u64) {
        let before = if n > 0 { self.told.insert(parent.into(), n) } else { self.told.remove(parent) };
        if before.unwrap_or_default() != n {
            self.touched.insert(parent.into());
        }
    }

    /// The same of a snapshot, which counts when it is complete.
    pub(crate) fn tell_of_snapshot(&mut self, count: &Count) {
        self.incoming.push(((*count.parent).into(), count.n));
    }

    fn finish_snapshot(&mut self) {
        self.touched.extend(std::mem::take(&mut self.told).into_keys());
        for (parent, n) in std::mem::take(&mut self.incoming) {
            self.tell(parent.as_str(), n);
        }
        self.is_stale = true;
    }

    /// Whether a commit may change what is shown.
    pub(crate) fn needs_commit(&self) -> bool {
        self.is_stale || !self.touched.is_empty()
    }

    /// Shows what was told, with what local effects make of it. Says whether anything changed.
    pub(crate) fn commit(&mut self, adjusted: BTreeMap<Key, i64>) -> bool {
        self.is_stale = false;
        let mut touched = std::mem::take(&mut self.touched);
        touched.extend(std::mem::replace(&mut self.adjusted, adjusted).into_keys());
        touched.extend(self.adjusted.keys().cloned());
        let mut any = false;
        for parent in touched {
            let local = self.adjusted.get(parent.as_str()).copied().unwrap_or_default();
            let n = self.told(parent.as_str()).saturating_add_signed(local);
            let before =
                if n > 0 { self.shown.insert(parent.clone(), n) } else { self.shown.remove(&parent) };
            if before.unwrap_or_default() == n {
                continue;
            }
            any = true;
            for reader in self.readers.values_mut().filter(|reader| !reader.all) {
                reader.changed.insert(parent.clone());
                if reader.changed.len() > MAX_WAITING {
                    (reader.all, reader.changed) = (true, BTreeSet::new());
                }
            }
        }
        any
    }

    /// What is shown for a parent.
    pub(crate) fn of(&self, parent: &str) -> u64 {
        self.shown.get(parent).copied().unwrap_or_default()
    }

    /// What has changed since somebody looked last, and whether that is all there is.
    pub(crate) fn take(&mut self, watch: WatchId) -> (bool, Vec<(Key, u64)>) {
        let reader = self.readers.entry(watch).or_insert_with(|| Reader { all: true, ..Reader::default() });
        let changed = std::mem::take(&mut reader.changed);
        if std::mem::take(&mut reader.all) {
            (true, self.shown.iter().map(|(parent, &n)| (parent.clone(), n)).collect())
        } else {
            (false, changed.into_iter().map(|parent| (parent.clone(), self.of(parent.as_str()))).collect())
        }
    }

    pub(crate) fn unobserve(&mut self, watch: WatchId) {
        self.readers.remove(&watch);
    }
}
