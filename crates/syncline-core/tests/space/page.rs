//! A client that believes all it is told and understands nothing: it holds every frame to the protocol and keeps the
//! rows of its subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use syncline_core::wire::{
    Count, EncodedRow, Frame, Resume, Run, ServerMessage, Snapshot, SubId, WriteState,
};
use syncline_core::{Cursor, Error, QuerySpec};

#[derive(Default)]
pub(crate) struct Page {
    pub(crate) subs: BTreeMap<SubId, Sub>,
    /// The verdict on each write: space, client, id.
    pub(crate) verdicts: BTreeMap<(String, String, u64), Result<(), Error>>,
    /// What actions gave back, as far as they gave something.
    pub(crate) outputs: BTreeMap<(String, String, u64), String>,
    /// Writes that were not handled: id, code and the id to send again from.
    pub(crate) not_handled: Vec<(u64, String, u64)>,
    /// Refused writes whose numbers are free.
    pub(crate) uncounted: BTreeSet<(String, String, u64)>,
    pub(crate) failed: BTreeMap<SubId, Error>,
    pub(crate) resets: usize,
    pub(crate) expired: Vec<Option<Error>>,
    pub(crate) error: Option<Error>,
    positions: BTreeMap<String, u64>,
}

#[derive(Default)]
pub(crate) struct Sub {
    pub(crate) query: Option<QuerySpec>,
    /// By key.
    pub(crate) rows: BTreeMap<String, Value>,
    /// The keys as the last snapshot had them.
    pub(crate) order: Vec<String>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) live: bool,
    /// The keys it said it holds.
    pub(crate) held: Vec<String>,
    /// The same of children, relation by relation.
    pub(crate) held_children: Vec<Vec<String>>,
    /// It was told that its result depends on who asks.
    pub(crate) selective: bool,
    /// Children by key, relation by relation.
    pub(crate) related: Vec<BTreeMap<String, Value>>,
    /// How many children a parent has, by relation and parent; only where there are any.
    pub(crate) counts: BTreeMap<(usize, String), u64>,
    incoming: Vec<Value>,
    incoming_children: Vec<BTreeMap<String, Value>>,
    incoming_counts: Vec<Count>,
    chunks: u32,
    /// The chunks of a resume whose last one has not come, with their rows.
    missed: Vec<(Resume, Vec<Value>)>,
}

impl Page {
    pub(crate) fn subscribe(&mut self, sub: SubId, query: QuerySpec) {
        let related = query.relations.iter().map(|_| BTreeMap::new()).collect();
        self.subs.insert(sub, Sub { query: Some(query), related, ..Sub::default() });
    }

    pub(crate) fn unsubscribe(&mut self, sub: SubId) {
        self.subs.remove(&sub);
    }

    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        let frame = Frame::parse(bytes).expect("a frame");
        let decode = |row: &EncodedRow<'_>, fields: &[Box<str>]| row.decode::<Value>(fields).expect("a row");
        let encoded = frame.encoded_rows().expect("rows");
        let rows: Vec<Value> = match &frame.message {
            ServerMessage::Snapshot(Snapshot { fields, related, .. })
            | ServerMessage::Resume(Resume { fields, related, .. }) => {
                let places = places(encoded.len(), related);
                let fields = |place: usize| fields.get(place).map(Vec::as_slice).unwrap_or_default();
                encoded.iter().zip(places).map(|(row, place)| decode(row, fields(place))).collect()
            }
            _ => frame.rows().map(|row| decode(&EncodedRow::Json(row), &[])).collect(),
        };
        assert!(self.error.is_none(), "nothing follows an error");
        match frame.message {
            ServerMessage::Snapshot(snapshot) => {
                let Some(sub) = self.subs.get_mut(&snapshot.sub) else { return };
                if snapshot.chunk == 0 {
                    sub.chunks = 0;
                    sub.incoming.clear();
                    sub.incoming_counts.clear();
                    sub.incoming_children = sub.related.iter().map(|_| BTreeMap::new()).collect();
                }
                assert_eq!(snapshot.chunk, sub.chunks, "chunks come in order");
                sub.chunks += 1;
                let (rows, children) = split(rows, &snapshot.related);
                sub.incoming.extend(rows);
                for (relation, row) in children {
                    let twice = sub.incoming_children[relation].insert(key(&row), row);
                    assert!(twice.is_none(), "a child comes once");
                }
                sub.incoming_counts.extend(snapshot.counts);
                if !snapshot.last {
                    assert!(snapshot.writes.is_empty(), "the last chunk tells of the writes");
                    return;
                }
                let children = sub.incoming_children.iter().map(BTreeMap::len).sum::<usize>();
                assert_eq!((sub.incoming.len() + children) as u64, snapshot.total);
                sub.related = std::mem::take(&mut sub.incoming_children);
                sub.counts.clear();
                let counts = std::mem::take(&mut sub.incoming_counts);
                counts.into_iter().for_each(|count| sub.count(count));
                sub.selective = snapshot.selective;
                sub.order = sub.incoming.iter().map(key).collect();
                sub.rows =
                    std::mem::take(&mut sub.incoming).into_iter().map(|row| (key(&row), row)).collect();
                let space = self.settle(snapshot.sub, snapshot.cursor);
                self.learn(&space, &snapshot.writes);
            }
            ServerMessage::Resume(resume) => {
                let Some(sub) = self.subs.get_mut(&resume.sub) else { return };
                if resume.chunk == 0 {
                    sub.missed.clear();
                }
                assert_eq!(resume.chunk as usize, sub.missed.len(), "chunks come in order");
                let (id, cursor, last) = (resume.sub, resume.cursor, resume.last);
                assert!(last || resume.writes.is_empty(), "the last chunk tells of the writes");
                sub.missed.push((resume, rows));
                if !last {
                    return;
                }
                let mut writes = Vec::new();
                for (mut resume, rows) in std::mem::take(&mut sub.missed) {
                    writes.append(&mut resume.writes);
                    sub.take_in(resume, rows);
                }
                let space = self.settle(id, cursor);
                self.learn(&space, &writes);
            }
            ServerMessage::Changes(changes) => {
                let space = changes.space.as_str();
                assert!(changes.from <= changes.to);
                // what must not get lost is told outside of the chain
                let is_apart = (changes.from, changes.to) == (0, 0) && changes.parts.is_empty();
                if self.holds(space) && !is_apart {
                    assert_eq!(
                        self.positions.get(space),
                        Some(&changes.from),
                        "the chain of {space} has a gap"
                    );
                    self.positions.insert(space.to_owned(), changes.to);
                }
                let mut told = BTreeSet::new();
                for part in changes.parts {
                    assert!(told.insert(part.sub), "one part for each subscription");
                    let Some(sub) = self.subs.get_mut(&part.sub).filter(|sub| sub.live) else { continue };
                    assert_eq!(sub.query.as_ref().unwrap().space, changes.space);
                    for gone in &part.del {
                        assert!(sub.rows.remove(&**gone).is_some(), "{gone} was not there");
                        sub.counts.retain(|(_, parent), _| **parent != **gone);
                    }
                    sub.rows.extend(part.put.iter().map(|&line| (key(&rows[line]), rows[line].clone())));
                    for children in part.related {
                        let related = &mut sub.related[children.relation];
                        for gone in &children.del {
                            assert!(related.remove(&**gone).is_some(), "{gone} was not there");
                        }
                        related
                            .extend(children.put.iter().map(|&line| (key(&rows[line]), rows[line].clone())));
                    }
                    part.counts.into_iter().for_each(|count| sub.count(count));
                }
                let moved =
                    self.subs.values_mut().filter(|sub| !is_apart && sub.live && sub.space() == space);
                moved.for_each(|sub| sub.cursor.as_mut().unwrap().version = changes.to);
                for ack in changes.acks {
                    if let Some(expected) = ack.expected {
                        let code = ack.error.expect("a reason").code().to_owned();
                        self.not_handled.push((ack.id, code, expected));
                    } else {
                        if let Some(output) = &ack.output {
                            assert!(ack.error.is_none(), "what was applied gave it");
                            self.give(space, ack.client.as_str(), ack.id, output.get());
                        }
                        self.decide(space, ack.client.as_str(), ack.id, ack.error.map_or(Ok(()), Err));
                        if ack.uncounted {
                            let client = ack.client.as_str().to_owned();
                            self.uncounted.insert((space.to_owned(), client, ack.id));
                        }
                    }
                }
                self.learn(space, &changes.writes);
            }
            ServerMessage::Reset(reset) => {
                self.resets += 1;
                for sub in reset.subs {
                    if let Some(sub) = self.subs.get_mut(&sub) {
                        sub.live = false;
                    }
                }
                let live: BTreeSet<_> = self.subs.values().filter(|sub| sub.live).map(Sub::space).collect();
                self.positions.retain(|space, _| live.contains(space.as_str()));
            }
            ServerMessage::Failed(failed) => {
                self.subs.remove(&failed.sub);
                self.failed.insert(failed.sub, failed.error);
            }
            ServerMessage::Expired(expired) => self.expired.push(expired.error),
            ServerMessage::Error(error) => self.error = Some(error),
            ServerMessage::Welcome(_) | ServerMessage::Ping(_) | ServerMessage::Pong(_) => {}
        }
    }

    /// The rows of a subscription, in an order made of one field and the key.
    pub(crate) fn keys(&self, sub: SubId) -> Vec<&str> {
        self.subs[&sub].rows.keys().map(String::as_str).collect()
    }

    fn holds(&self, space: &str) -> bool {
        self.subs.values().any(|sub| sub.live && sub.space() == space)
    }

    fn settle(&mut self, sub: SubId, cursor: Cursor) -> String {
        let space = self.subs[&sub].space().to_owned();
        if self.holds(&space) {
            let why = "a snapshot within a chain is of the version the chain stands at";
            assert_eq!(self.positions.get(&space), Some(&cursor.version), "{why}");
        }
        self.positions.insert(space.clone(), cursor.version);
        let sub = self.subs.get_mut(&sub).unwrap();
        sub.live = true;
        sub.cursor = Some(cursor);
        space
    }

    fn learn(&mut self, space: &str, states: &[WriteState]) {
        for state in states {
            let refused: BTreeMap<_, _> = state.refused.iter().map(|it| (it.id, it.error.clone())).collect();
            for id in 1..=state.last {
                let verdict = refused.get(&id).map_or(Ok(()), |error| Err(error.clone()));
                let key = (space.to_owned(), state.client.to_string(), id);
                // older verdicts than the server remembers are known already
                self.verdicts.entry(key).or_insert(verdict);
            }
            for it in &state.outputs {
                assert!(it.id <= state.last && !refused.contains_key(&it.id), "what was applied gave it");
                self.give(space, state.client.as_str(), it.id, it.output.get());
            }
        }
    }

    fn give(&mut self, space: &str, client: &str, id: u64, output: &str) {
        let key = (space.to_owned(), client.to_owned(), id);
        if let Some(before) = self.outputs.insert(key, output.to_owned()) {
            assert_eq!(before, output, "what an action gave never changes");
        }
    }

    fn decide(&mut self, space: &str, client: &str, id: u64, verdict: Result<(), Error>) {
        let key = (space.to_owned(), client.to_owned(), id);
        let is_free = self.uncounted.remove(&key);
        if let Some(before) = self.verdicts.insert(key, verdict.clone())
            && !is_free
        {
            assert_eq!(before, verdict, "a verdict never changes");
        }
    }
}

impl Sub {
    /// One chunk of what was missed.
    fn take_in(&mut self, resume: Resume, rows: Vec<Value>) {
        for gone in &resume.del {
            self.rows.remove(&**gone);
        }
        for &place in &resume.gone {
            let gone = &self.held[place as usize];
            assert!(self.rows.remove(gone).is_some(), "{gone} was named twice");
            self.counts.retain(|(_, parent), _| parent != gone);
        }
        for children in &resume.gone_children {
            for &place in &children.gone {
                let gone = &self.held_children[children.relation][place as usize];
                let before = self.related[children.relation].remove(gone);
                assert!(before.is_some(), "{gone} was named twice");
            }
        }
        let (rows, children) = split(rows, &resume.related);
        self.rows.extend(rows.into_iter().map(|row| (key(&row), row)));
        for (relation, row) in children {
            self.related[relation].insert(key(&row), row);
        }
        resume.counts.into_iter().for_each(|count| self.count(count));
    }

    /// The rows as a page keeps them while it is away.
    pub(crate) fn kept(&self) -> Self {
        let (rows, related, counts) = (self.rows.clone(), self.related.clone(), self.counts.clone());
        let (query, cursor) = (self.query.clone(), self.cursor);
        Self { query, rows, related, counts, cursor, ..Self::default() }
    }

    /// The children of a parent in a relation, by key.
    pub(crate) fn children(&self, relation: usize, parent: &str) -> Vec<&str> {
        let field = &*self.query.as_ref().unwrap().relations[relation].field;
        let related = self.related[relation].iter().filter(|(_, row)| row[field] == parent);
        related.map(|(key, _)| key.as_str()).collect()
    }

    fn count(&mut self, Count { relation, parent, n }: Count) {
        assert!(self.rows.contains_key(&*parent) || !self.live, "{parent} is nobody's parent here");
        let place = (relation, String::from(parent));
        match n {
            0 => drop(self.counts.remove(&place)),
            n => drop(self.counts.insert(place, n)),
        }
    }

    fn space(&self) -> &str {
        self.query.as_ref().unwrap().space.as_str()
    }
}

/// The rows of a result, and the children with their relations.
fn split(mut rows: Vec<Value>, runs: &[Run]) -> (Vec<Value>, Vec<(usize, Value)>) {
    let children = rows.split_off(rows.len() - runs.iter().map(|run| run.rows).sum::<usize>());
    let relations = runs.iter().flat_map(|run| std::iter::repeat_n(run.relation, run.rows));
    (rows, relations.zip(children).collect())
}

fn key(row: &Value) -> String {
    row["id"].as_str().expect("a key").to_owned()
}

/// Whose row each row of a frame is: 0 for the result's own, then relation by relation.
fn places(rows: usize, related: &[Run]) -> Vec<usize> {
    let children: Vec<_> = related.iter().flat_map(|run| vec![run.relation + 1; run.rows]).collect();
    let own = vec![0; rows - children.len()];
    own.into_iter().chain(children).collect()
}
