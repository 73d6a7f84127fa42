//! A snapshot as it comes in, chunk by chunk: the first one as contrail tells it, and any later one as what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use serde_json::json;
use syncline_core::wire::{Count, Snapshot};

use crate::watch_records::cursor::Cursor;
use crate::watch_records::encode::{Event, Row};
use crate::watch_records::holding::{Holding, Known, Renamed, Slot, Teller, apply, parent};
use crate::watch_records::translation::Group;

/// How many bytes a record may have with its children, which come behind it. One that has more goes ahead, and its further
/// children follow as news.
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
    ///
    /// # Errors
    /// When that cannot be told.
    pub(super) fn take<'a>(
        &mut self,
        group: &Group,
        holding: &mut Holding,
        chunk: &Snapshot,
        rows: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<Event>, Renamed> {
        let mut events = Vec::new();
        if chunk.chunk == 0 {
            self.begin(group, holding, &mut events);
        }
        let rows: Vec<&[u8]> = rows.collect();
        let children: usize = chunk.related.iter().map(|run| run.rows).sum();
        let (records, mut children) = rows.split_at(rows.len().saturating_sub(children));
        for row in records.iter().filter_map(|row| group.encoder().row(row, &group.list.field)) {
            self.record(group, holding, &row, &mut events)?;
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
            events.extend(gathering.let_go(group, chunk.last));
        }
        if chunk.last {
            self.gathering = None;
            self.end(group, holding, &mut events);
        }
        Ok(events)
    }

    fn begin(&mut self, group: &Group, holding: &mut Holding, events: &mut Vec<Event>) {
        // one that was broken off begins again: a record that comes twice does no harm
        (self.last, self.gathering) = (None, None);
        self.seen.clear();
        if self.is_live {
            return;
        }
        // it comes with the children that are told with it, and loses those that were told before
        holding.retain(|slot, _| slot.is_record());
        if !mem::replace(&mut self.is_announced, true) {
            events.push(Event::new("snapshot.start", &group.place.describe(&group.collection.nsid)));
        }
        if !group.list.relations.is_empty() {
            self.gathering = Some(Gathering::default());
        }
    }

    fn record(
        &mut self,
        group: &Group,
        holding: &mut Holding,
        row: &Row<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), Renamed> {
        let key = row.facts.rkey.as_str();
        self.seen.insert(Slot::record(key));
        self.last = Some(Cursor::at(&group.list.sort, row.facts.sort.clone(), key));
        if self.is_live {
            let mut teller = Teller::new(group, holding);
            teller.put(row, false);
            let news = teller.end();
            if news.renamed {
                return Err(Renamed);
            }
            events.extend(news.events);
            apply(&news.after, holding);
            return Ok(());
        }
        let known = Known::of(row, None);
        let before = holding.insert(Slot::record(key), known.clone());
        if let Some(did) = known.former(before.as_ref()) {
            // told by a snapshot that was broken off; its children come with it again
            events.push(group.encoder().deleted(did, key));
        }
        let record = group.encoder().listed(row);
        match &mut self.gathering {
            Some(gathering) => gathering.record(key, record),
            None => events.push(Event::record("snapshot.record", &record)),
        }
        Ok(())
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
        if let Some(gathering) = &mut self.gathering
            && let (Some(parent), Some(related)) = (parent(row), group.related(relation))
            && let Some(record) = gathering.find(parent)
        {
            record.child(relation, group.child_encoder(related).listed(row));
            holding.insert(slot, Known::of(row, Some(relation)));
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
}

/// A record as JSON, and of each relation the children as JSON and their number.
struct Gathered {
    key: Box<str>,
    record: String,
    related: BTreeMap<usize, (Vec<String>, u64)>,
    bytes: usize,
}

impl Gathering {
    fn record(&mut self, key: &str, record: String) {
        let (bytes, related) = (record.len(), BTreeMap::new());
        self.add(Gathered { key: key.into(), record, related, bytes });
    }

    fn add(&mut self, record: Gathered) {
        self.places.insert(record.key.clone(), self.records.len());
        self.records.push(record);
    }

    fn find(&mut self, key: &str) -> Option<&mut Gathered> {
        self.records.get_mut(*self.places.get(key)?)
    }

    fn count(&mut self, count: &Count) {
        if let Some(record) = self.find(&count.parent) {
            record.related.entry(count.relation).or_default().1 = count.n;
        }
    }

    /// The records with their children, at the end of a chunk. A snapshot comes record by record, so that only of the last
    /// one more may follow.
    fn let_go(&mut self, group: &Group, is_last: bool) -> Vec<Event> {
        self.places.clear();
        let mut records = mem::take(&mut self.records);
        match records.pop() {
            Some(open) if !is_last && open.bytes <= GATHERED_BYTES => self.add(open),
            Some(mut open) => {
                if !is_last {
                    open.forget_counts();
                }
                records.push(open);
            }
            None => {}
        }
        records.into_iter().map(|record| record.tell(group)).collect()
    }
}

impl Gathered {
    fn child(&mut self, relation: usize, child: String) {
        self.bytes += child.len();
        self.related.entry(relation).or_default().0.push(child);
    }

    /// Children that follow as news are counted then, by whoever counts them.
    fn forget_counts(&mut self) {
        self.related.values_mut().for_each(|(_, count)| *count = 0);
    }

    fn tell(self, group: &Group) -> Event {
        let Self { mut record, related, .. } = self;
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
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde::{Deserialize, Serialize};
    use serde_json::Value;
    use syncline_core::wire::Run;
    use syncline_core::{Cursor as Place, Incarnation, QuerySpec};
    use syncline_macros::Record;

    use super::*;
    use crate::watch_records::mapping::Mapping;
    use crate::watch_records::params::List;
    use crate::watch_records::place;
    use crate::watch_records::translation::Groups;

    #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    #[record(collection = "notes", key = id)]
    struct Note {
        id: String,
        by: String,
        at: i64,
        of: String,
    }

    fn note(id: &str, by: &str, of: &str) -> Vec<u8> {
        json!({ "id": id, "by": by, "at": 1, "of": of }).to_string().into()
    }

    /// A list of notes with those that belong to them, for somebody who has had nothing yet.
    struct Watch {
        group: Arc<Group>,
        incoming: Incoming,
        holding: Holding,
    }

    impl Watch {
        fn new() -> Self {
            let mapping = || Mapping::new(|note: &Note| note.by.chars().take(3).collect(), Note::at);
            let collection = mapping().relation("notes", Note::of.children(), mapping()).collection("x");
            let related = &collection.relations[0];
            let spec = QuerySpec {
                space: "a".into(),
                collection: "notes".into(),
                filter: None,
                order: Vec::new(),
                limit: Some(50),
                relations: vec![related.asked(50)],
            };
            let list = List { spec, sort: "time".into(), field: "at".into(), relations: vec![0] };
            let group = Groups::default().join(&Arc::new(collection), place::Place::Space("a".into()), list);
            Self { group, incoming: Incoming::default(), holding: Holding::new() }
        }

        /// Takes a chunk; gives what is told, each event by its name and the keys in it.
        fn take(&mut self, chunk: u32, last: bool, records: &[Vec<u8>], children: &[Vec<u8>]) -> Vec<String> {
            self.try_take(chunk, last, records, children).unwrap()
        }

        fn try_take(
            &mut self,
            chunk: u32,
            last: bool,
            records: &[Vec<u8>],
            children: &[Vec<u8>],
        ) -> Result<Vec<String>, Renamed> {
            let snapshot = Snapshot {
                sub: 1,
                cursor: Place { incarnation: Incarnation(1), schema: 0, epoch: 0, version: 1 },
                chunk,
                total: 0,
                last,
                selective: false,
                fields: Vec::new(),
                related: vec![Run { relation: 0, rows: children.len() }],
                counts: Vec::new(),
                writes: Vec::new(),
            };
            let rows = records.iter().chain(children).map(Vec::as_slice);
            let events = self.incoming.take(&self.group, &mut self.holding, &snapshot, rows)?;
            let named = |event: &Event| {
                let data: Value = serde_json::from_str(&event.data).unwrap();
                let record = data.get("record").or(data.get("child")).unwrap_or(&data);
                let key = record.get("rkey").or(record.get("childRkey")).and_then(Value::as_str);
                let own = record["notes"].as_array().into_iter().flatten();
                let own: String = own.map(|child| format!(" +{}", child["rkey"].as_str().unwrap())).collect();
                format!("{} {}{own}", event.kind, key.unwrap_or_default()).trim_end().to_owned()
            };
            Ok(events.iter().map(named).collect())
        }
    }

    #[test]
    fn a_snapshot_that_begins_again_tells_all_children_again() {
        let mut watch = Watch::new();
        let large = format!("ada{}", "x".repeat(GATHERED_BYTES));
        let first = [note("c1", &large, "m1"), note("c2", "ada", "m1"), note("c3", "ada", "m1")];
        for _ in 0..2 {
            let told = watch.take(0, false, &[note("m1", "ada", "")], &first[..1]);
            assert_eq!(told.last().unwrap(), "snapshot.record m1 +c1", "it is too large to wait");
            assert_eq!(
                watch.take(1, false, &[], &first[1..]),
                ["hydration.added c2", "hydration.added c3"],
                "the record came without them"
            );
        }
        watch.take(0, false, &[note("m1", "ada", "")], &first[..1]);
        assert_eq!(
            watch.take(1, true, &[], &first[1..2]),
            ["hydration.added c2", "snapshot.end"],
            "of one that this record never had nothing is said"
        );
        // once it is there, what has not changed is not told again
        let told = watch.take(0, true, &[note("m1", "ada", "")], &first[..2]);
        assert_eq!(told, [""; 0]);
    }

    #[test]
    fn a_record_waits_for_the_children_that_come_in_the_next_chunk() {
        let mut watch = Watch::new();
        let told = watch.take(0, false, &[note("m1", "ada", ""), note("m2", "ada", "")], &[]);
        assert_eq!(told, ["snapshot.start", "snapshot.record m1"]);
        assert_eq!(watch.take(1, false, &[], &[note("c1", "ada", "m2")]), [""; 0]);
        assert_eq!(
            watch.take(2, true, &[note("m3", "ada", "")], &[note("c2", "ada", "m2")]),
            ["snapshot.record m2 +c1 +c2", "snapshot.record m3", "snapshot.end"]
        );
    }
    #[test]
    fn of_a_record_that_has_another_address_the_children_cannot_be_told_anew() {
        let mut watch = Watch::new();
        watch.take(0, true, &[note("m1", "ada", "")], &[note("c1", "ada", "m1")]);
        let told = watch.try_take(0, true, &[note("m1", "eve", "")], &[note("c1", "ada", "m1")]);
        assert_eq!(told, Err(Renamed));
        // as long as the first snapshot is not there, they are told anew anyway
        let mut watch = Watch::new();
        watch.take(0, false, &[note("m1", "ada", ""), note("m2", "ada", "")], &[]);
        assert_eq!(
            watch.take(0, true, &[note("m1", "eve", "")], &[note("c1", "ada", "m1")]),
            ["record.deleted m1", "snapshot.record m1 +c1", "snapshot.end", "record.deleted m2"]
        );
    }
}
