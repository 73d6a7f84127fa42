//! A snapshot as it comes in, chunk by chunk: the first one as contrail tells it, and any later one as what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use serde_json::json;
use syncline_core::wire::{Count, Snapshot};

use crate::watch_records::cursor::Cursor;
use crate::watch_records::encode::{Event, Row};
use crate::watch_records::holding::{Holding, Known, Slot, Teller, apply, parent};
use crate::watch_records::translation::Group;

/// How many bytes of records wait for their children, which come last. Beyond, records go ahead, and children follow as
/// news.
const GATHERED_BYTES: usize = 2 * 1024 * 1024;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Incoming {
    /// The client has had its first one whole. A store that is live need not understand another snapshot.
    is_live: bool,
    is_announced: bool,
    /// What is in the one that comes in.
    seen: BTreeSet<Slot>,
    /// The cursor of its last record, which may be the last one of the page.
    last: Option<Cursor>,
    gathering: Option<Gathering>,
}

impl Incoming {
    /// What a chunk means to a client that has these records.
    pub(super) fn take<'a>(
        &mut self,
        group: &Group,
        holding: &mut Holding,
        chunk: &Snapshot,
        rows: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        if chunk.chunk == 0 {
            self.begin(group, &mut events);
        }
        let rows: Vec<&[u8]> = rows.collect();
        let children: usize = chunk.related.iter().map(|run| run.rows).sum();
        let (records, mut children) = rows.split_at(rows.len().saturating_sub(children));
        for row in records.iter().filter_map(|row| group.encoder().row(row, &group.list.field)) {
            self.record(group, holding, &row, &mut events);
        }
        for run in &chunk.related {
            let (own, rest) = children.split_at(run.rows.min(children.len()));
            children = rest;
            let Some(related) = group.related(run.relation) else { continue };
            let encoder = group.child_encoder(related);
            for row in own.iter().filter_map(|row| encoder.row(row, &related.spec.field)) {
                self.child(group, holding, run.relation, &row, &mut events);
            }
        }
        if let Some(gathering) = &mut self.gathering {
            chunk.counts.iter().for_each(|count| gathering.count(count));
            if chunk.last || gathering.bytes > GATHERED_BYTES {
                events.extend(gathering.let_go(group));
                self.gathering = None;
            }
        }
        if chunk.last {
            self.end(group, holding, &mut events);
        }
        events
    }

    fn begin(&mut self, group: &Group, events: &mut Vec<Event>) {
        // one that was broken off begins again: a record that comes twice does no harm
        (self.last, self.gathering) = (None, None);
        self.seen.clear();
        if self.is_live {
            return;
        }
        if !mem::replace(&mut self.is_announced, true) {
            events.push(Event::new("snapshot.start", &group.place.describe(&group.collection.nsid)));
        }
        if !group.list.relations.is_empty() {
            self.gathering = Some(Gathering::default());
        }
    }

    fn record(&mut self, group: &Group, holding: &mut Holding, row: &Row<'_>, events: &mut Vec<Event>) {
        let key = row.facts.rkey.as_str();
        self.seen.insert(Slot::record(key));
        self.last = Some(Cursor::at(&group.list.sort, row.facts.sort.clone(), key));
        if self.is_live {
            let mut teller = Teller::new(group, holding);
            teller.put(row, false);
            let news = teller.end();
            events.extend(news.events);
            return apply(&news.after, holding);
        }
        holding.insert(Slot::record(key), Known::of(row, None));
        let record = group.encoder().listed(row);
        match &mut self.gathering {
            Some(gathering) => gathering.record(key, record),
            None => events.push(Event::record("snapshot.record", &record)),
        }
    }

    fn child(
        &mut self,
        group: &Group,
        holding: &mut Holding,
        relation: usize,
        row: &Row<'_>,
        events: &mut Vec<Event>,
    ) {
        let slot = Slot::child(relation, &row.facts.rkey);
        self.seen.insert(slot.clone());
        if let (Some(gathering), Some(parent)) = (&mut self.gathering, parent(row)) {
            if let Some(related) = group.related(relation) {
                gathering.child(parent, relation, group.child_encoder(related).listed(row));
                holding.insert(slot, Known::of(row, Some(relation)));
            }
            return;
        }
        let mut teller = Teller::new(group, holding);
        teller.put_child(relation, row, false);
        let news = teller.end();
        events.extend(news.events);
        apply(&news.after, holding);
    }

    fn end(&mut self, group: &Group, holding: &mut Holding, events: &mut Vec<Event>) {
        let seen = mem::take(&mut self.seen);
        if !mem::replace(&mut self.is_live, true) {
            let records = seen.iter().filter(|slot| slot.is_record()).count();
            let is_full = group.list.spec.limit.is_some_and(|limit| records as u64 >= u64::from(limit));
            let end = match self.last.take().filter(|_| is_full) {
                Some(cursor) => json!({ "cursor": cursor.encode() }),
                None => json!({}),
            };
            events.push(Event::new("snapshot.end", &end));
        }
        // records come before children: of a record that has gone the children are not named
        let gone: Vec<Slot> = holding.keys().filter(|slot| !seen.contains(slot)).cloned().collect();
        let mut teller = Teller::new(group, holding);
        gone.into_iter().for_each(|slot| teller.remove(slot));
        let news = teller.end();
        events.extend(news.events);
        apply(&news.after, holding);
    }
}

/// Records that wait for their children.
#[derive(Default)]
struct Gathering {
    records: Vec<Gathered>,
    places: BTreeMap<Box<str>, usize>,
    bytes: usize,
}

/// A record as JSON, and of each relation the children as JSON and their number.
struct Gathered {
    record: String,
    related: BTreeMap<usize, (Vec<String>, u64)>,
}

impl Gathering {
    fn record(&mut self, key: &str, record: String) {
        self.bytes += record.len();
        self.places.insert(key.into(), self.records.len());
        self.records.push(Gathered { record, related: BTreeMap::new() });
    }

    fn related(&mut self, parent: &str, relation: usize) -> Option<&mut (Vec<String>, u64)> {
        let record = self.records.get_mut(*self.places.get(parent)?)?;
        Some(record.related.entry(relation).or_default())
    }

    fn child(&mut self, parent: &str, relation: usize, child: String) {
        self.bytes += child.len();
        if let Some((children, _)) = self.related(parent, relation) {
            children.push(child);
        }
    }

    fn count(&mut self, count: &Count) {
        if let Some((_, number)) = self.related(&count.parent, count.relation) {
            *number = count.n;
        }
    }

    /// The records with what there is of their children.
    fn let_go(&mut self, group: &Group) -> Vec<Event> {
        let records = mem::take(&mut self.records).into_iter();
        records
            .map(|Gathered { mut record, related }| {
                // an object, and never an empty one
                record.truncate(record.len().saturating_sub(1));
                for (relation, (children, count)) in related {
                    let Some(related) = group.related(relation) else { continue };
                    let name = &related.name;
                    if count > 0 {
                        record.push_str(&format!(r#","{name}Count":{count}"#));
                    }
                    if !children.is_empty() {
                        record.push_str(&format!(r#","{name}":[{}]"#, children.join(",")));
                    }
                }
                record.push('}');
                Event::record("snapshot.record", &record)
            })
            .collect()
    }
}
