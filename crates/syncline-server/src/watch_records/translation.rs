//! Changes as events: made once for everybody who watches the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use axum::body::Bytes;
use syncline_core::QuerySpec;
use syncline_core::wire::{Changes, Part, RelatedPart};

use crate::watch_records::encode::{self, Encoder, Event};
use crate::watch_records::holding::{Holding, Knowledge, News, Slot, Teller, apply};
use crate::watch_records::mapping::{Collection, Related};
use crate::watch_records::params::List;
use crate::watch_records::place::Place;

/// How much is kept of changes that some have not asked for yet, in bytes of the frames they came in and of what they
/// take besides: subscribers that are not far behind each other find them.
const KEPT_BYTES: usize = 256 * 1024;

/// What a change takes besides its rows, about: of itself, and of each record or number that it names. One that only
/// deletes or counts has no rows, and is kept all the same.
const CHANGE_BYTES: usize = 512;
const NAMED_BYTES: usize = 256;

/// Everybody who watches the same list under the same name.
pub(super) struct Group {
    pub(super) collection: Arc<Collection>,
    pub(super) place: Place,
    pub(super) list: List,
    kept: Mutex<Kept>,
    all: Groups,
}

#[derive(Default)]
struct Kept {
    changes: VecDeque<KeptChange>,
    bytes: usize,
}

struct KeptChange {
    made: Arc<Translated>,
    /// How many may still ask for it.
    waiting: usize,
}

impl Kept {
    /// One that is the same for this client. With the last one who asks it goes.
    fn take(&mut self, changes: &Changes, rows: &[u8], holding: &Holding) -> Option<Arc<Translated>> {
        let place = self.changes.iter().rposition(|kept| kept.made.is_of(changes, rows, holding))?;
        let kept = self.changes.get_mut(place)?;
        kept.waiting -= 1;
        if kept.waiting > 0 {
            return Some(Arc::clone(&kept.made));
        }
        self.changes.remove(place).map(|kept| {
            self.bytes -= kept.made.bytes();
            kept.made
        })
    }

    /// Keeps one for so many others, in the place of older ones that nobody has asked for.
    fn keep(&mut self, made: &Arc<Translated>, waiting: usize) {
        if waiting == 0 {
            *self = Self::default();
            return;
        }
        self.bytes += made.bytes();
        self.changes.push_back(KeptChange { made: Arc::clone(made), waiting });
        while self.bytes > KEPT_BYTES && self.changes.len() > 1 {
            let gone = self.changes.pop_front();
            self.bytes -= gone.map_or(0, |gone| gone.made.bytes());
        }
    }
}

/// A change, and what it means for a client.
pub(super) struct Translated {
    to: u64,
    parts: Vec<Part>,
    rows: Box<[u8]>,
    /// What a client has to have for it to mean this, and what it has then.
    before: Knowledge,
    after: Knowledge,
    /// A client cannot be told of it, and is to ask for everything anew.
    pub(super) is_beyond_words: bool,
    pub(super) events: Vec<Event>,
    stream: OnceLock<Bytes>,
    messages: OnceLock<Vec<Bytes>>,
}

impl Translated {
    /// The events for an event stream.
    pub(super) fn stream(&self) -> Bytes {
        self.stream.get_or_init(|| encode::stream(&self.events)).clone()
    }

    /// The events for a socket, one message each.
    pub(super) fn messages(&self) -> &[Bytes] {
        self.messages.get_or_init(|| self.events.iter().map(Event::message).collect())
    }

    /// About what it takes as long as it is kept.
    fn bytes(&self) -> usize {
        let related = |related: &RelatedPart| related.put.len() + related.del.len();
        let of = |part: &Part| {
            part.put.len()
                + part.del.len()
                + part.counts.len()
                + part.related.iter().map(related).sum::<usize>()
        };
        let named: usize = self.parts.iter().map(of).sum();
        CHANGE_BYTES + self.rows.len() + named * NAMED_BYTES
    }

    fn is_of(&self, changes: &Changes, rows: &[u8], holding: &Holding) -> bool {
        (self.to, &self.parts, &*self.rows) == (changes.to, &changes.parts, rows)
            && self.before.iter().all(|(slot, known)| holding.get(slot) == known.as_ref())
    }

    /// Notes what the client has now.
    pub(super) fn apply(&self, holding: &mut Holding) {
        apply(&self.after, holding);
    }
}

impl Group {
    pub(super) fn encoder(&self) -> Encoder<'_> {
        Encoder { collection: &self.collection, place: &self.place }
    }

    /// The relation of this place in the query.
    pub(super) fn related(&self, relation: usize) -> Option<&Related> {
        self.collection.relations.get(*self.list.relations.get(relation)?)
    }

    pub(super) fn child_encoder<'a>(&'a self, related: &'a Related) -> Encoder<'a> {
        Encoder { collection: &related.collection, place: &self.place }
    }

    /// What a change means to a client that has these records.
    pub(super) fn translate(
        self: &Arc<Self>,
        changes: &Changes,
        rows: &[u8],
        holding: &Holding,
    ) -> Arc<Translated> {
        // held while it is made: whoever comes at the same time waits for it and need not make it again
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = kept.take(changes, rows, holding) {
            return made;
        }
        let made = Arc::new(self.make(changes, rows, holding));
        let others = Arc::strong_count(self).saturating_sub(1);
        kept.keep(&made, others);
        made
    }

    fn make(&self, changes: &Changes, rows: &[u8], holding: &Holding) -> Translated {
        let lines: Vec<&[u8]> = rows.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let encoder = self.encoder();
        let mut teller = Teller::new(self, holding);
        for part in &changes.parts {
            for key in &part.del {
                teller.remove(Slot::record(key));
            }
            for row in part.put.iter().filter_map(|&line| encoder.row(lines.get(line)?, &self.list.field)) {
                teller.put(&row, true);
            }
            for RelatedPart { relation, put, del } in &part.related {
                let Some(related) = self.related(*relation) else { continue };
                let encoder = self.child_encoder(related);
                for key in del {
                    teller.remove(Slot::child(*relation, key));
                }
                for row in put.iter().filter_map(|&line| encoder.row(lines.get(line)?, &related.spec.field)) {
                    teller.put_child(*relation, &row, true);
                }
            }
        }
        let News { before, after, events, renamed } = teller.end();
        let (stream, messages) = (OnceLock::new(), OnceLock::new());
        let (to, parts, rows, is_beyond_words) = (changes.to, changes.parts.clone(), rows.into(), renamed);
        Translated { to, parts, rows, before, after, is_beyond_words, events, stream, messages }
    }
}

/// What tells one group from another.
type Name = (String, Place, QuerySpec);

/// The groups that somebody is in.
#[derive(Clone, Default)]
pub(super) struct Groups {
    groups: Arc<Mutex<BTreeMap<Name, Weak<Group>>>>,
}

impl Groups {
    /// The group of those who watch this.
    pub(super) fn join(&self, collection: &Arc<Collection>, place: Place, list: List) -> Arc<Group> {
        let name = (collection.route.clone(), place.clone(), list.spec.clone());
        let mut groups = self.lock();
        if let Some(group) = groups.get(&name).and_then(Weak::upgrade) {
            return group;
        }
        let (collection, all, kept) = (Arc::clone(collection), self.clone(), Mutex::default());
        let group = Arc::new(Group { collection, place, list, kept, all });
        groups.insert(name, Arc::downgrade(&group));
        group
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Weak<Group>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// a group is forgotten with its last member
impl Drop for Group {
    fn drop(&mut self) {
        let name = (self.collection.route.clone(), self.place.clone(), self.list.spec.clone());
        let mut groups = self.all.lock();
        // somebody may have begun another one of that name
        if groups.get(&name).is_some_and(|group| group.strong_count() == 0) {
            groups.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use syncline_core::SpaceId;
    use syncline_core::wire::Count;
    use syncline_macros::Record;

    use super::*;
    use crate::watch_records::mapping::Mapping;

    #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    #[record(collection = "notes", key = id)]
    struct Note {
        id: String,
        by: String,
        at: i64,
    }

    fn list(space: &str) -> List {
        let spec = QuerySpec {
            space: SpaceId::from(space),
            collection: "notes".into(),
            filter: None,
            order: Vec::new(),
            limit: Some(50),
            relations: Vec::new(),
        };
        List { spec, sort: "time".into(), field: "at".into(), relations: Vec::new() }
    }

    fn join(groups: &Groups, collection: &Arc<Collection>, space: &str) -> Arc<Group> {
        groups.join(collection, Place::Space(space.into()), list(space))
    }

    fn put(to: u64, text: &str) -> (Changes, Vec<u8>) {
        let part = Part { sub: 1, put: vec![0], ..Part::default() };
        let changes = Changes { parts: vec![part], ..Changes::new("a".into(), to - 1, to) };
        (changes, format!(r#"{{"id":"n","by":"{text}","at":1}}"#).into_bytes())
    }

    #[test]
    fn a_group_is_forgotten_with_its_last_member() {
        let groups = Groups::default();
        let collection = Arc::new(Mapping::new(|note: &Note| note.by.clone(), Note::at).collection("x"));
        let (one, other) = (join(&groups, &collection, "a"), join(&groups, &collection, "a"));
        assert!(Arc::ptr_eq(&one, &other));
        let elsewhere = join(&groups, &collection, "b");
        assert_eq!(groups.lock().len(), 2);
        drop((one, elsewhere));
        assert_eq!(groups.lock().len(), 1);
        drop(other);
        assert!(groups.lock().is_empty());
    }

    #[test]
    fn a_change_is_kept_for_as_many_as_may_ask_for_it() {
        let groups = Groups::default();
        let collection = Arc::new(Mapping::new(|note: &Note| note.by.clone(), Note::at).collection("x"));
        let members: Vec<_> = (0..3).map(|_| join(&groups, &collection, "a")).collect();
        let kept = |group: &Arc<Group>| group.kept.lock().unwrap().changes.len();
        let (changes, rows) = put(1, "ada");
        let made: Vec<_> =
            members.iter().map(|member| member.translate(&changes, &rows, &Holding::new())).collect();
        assert!(made.iter().all(|other| Arc::ptr_eq(other, &made[0])));
        assert_eq!((kept(&members[0]), members[0].kept.lock().unwrap().bytes), (0, 0));
        // the same to somebody who has something else is something else
        let (changes, rows) = put(2, "eve");
        let mut holding = Holding::new();
        made[0].apply(&mut holding);
        let one = members[0].translate(&changes, &rows, &holding);
        let other = members[1].translate(&changes, &rows, &Holding::new());
        assert_eq!((one.events.len(), other.events.len()), (2, 1), "one of them gave it another address");
        // nobody is kept waiting for, who is alone
        let alone = members.into_iter().next().unwrap();
        alone.translate(&changes, &rows, &Holding::new());
        let (changes, rows) = put(3, "ada");
        alone.translate(&changes, &rows, &Holding::new());
        assert_eq!(kept(&alone), 0);
    }

    #[test]
    fn what_nobody_asks_for_has_a_bound() {
        let groups = Groups::default();
        let collection = Arc::new(Mapping::new(|note: &Note| note.by.clone(), Note::at).collection("x"));
        let members: Vec<_> = (0..2).map(|_| join(&groups, &collection, "a")).collect();
        let large = "x".repeat(KEPT_BYTES / 4);
        for to in 1..20 {
            let (changes, rows) = put(to, &large);
            members[0].translate(&changes, &rows, &Holding::new());
        }
        assert!(members[0].kept.lock().unwrap().bytes <= KEPT_BYTES);
        assert_eq!(members[0].kept.lock().unwrap().changes.len(), 3);
    }

    #[test]
    fn nor_are_changes_without_rows_kept_without_end() {
        let groups = Groups::default();
        let collection = Arc::new(Mapping::new(|note: &Note| note.by.clone(), Note::at).collection("x"));
        let members: Vec<_> = (0..2).map(|_| join(&groups, &collection, "a")).collect();
        let deleted = |n: u64| Part { sub: 1, del: vec![format!("n{n}").into()], ..Part::default() };
        let counted = |n| Part {
            sub: 1,
            counts: vec![Count { relation: 0, parent: "n".into(), n }],
            ..Part::default()
        };
        let mut most = 0;
        for to in 1..5_000 {
            let part = if to % 2 == 0 { deleted(to) } else { counted(to) };
            let changes = Changes { parts: vec![part], ..Changes::new("a".into(), to - 1, to) };
            members[0].translate(&changes, b"", &Holding::new());
            most = most.max(members[0].kept.lock().unwrap().changes.len());
        }
        assert!((100..1_000).contains(&most), "{most}");
        // what is taken is given back as it was counted
        let changes = Changes { parts: vec![counted(4_999)], ..Changes::new("a".into(), 4_998, 4_999) };
        let before = members[0].kept.lock().unwrap().bytes;
        members[1].translate(&changes, b"", &Holding::new());
        let kept = members[0].kept.lock().unwrap();
        assert_eq!((kept.bytes, kept.changes.len()), (before - CHANGE_BYTES - NAMED_BYTES, most - 1));
    }
}
