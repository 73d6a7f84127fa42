//! The store against a naive model: whatever happens, each view is its query over base and pending writes, and the
//! diffs lead there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;
use syncline_core::client::WatchId;
use syncline_core::ops::{RowOp, RowOps};
use syncline_core::{Query, Record, RowState};

use crate::rig::{Rig, Todo, all, apply, list, open};

#[derive(Clone, Debug)]
enum Step {
    /// Somebody else's write.
    Remote {
        key: u8,
        change: Option<(i8, bool)>,
    },
    /// Many rows at once.
    RemoteMany {
        first: u8,
        count: u16,
        position: i8,
    },
    Put {
        key: u8,
        position: i8,
        done: bool,
    },
    Toggle {
        key: u8,
    },
    Shift {
        key: u8,
        position: i8,
    },
    Delete {
        key: u8,
    },
    /// One write that puts a row and changes another one: both or neither.
    Pair {
        put: u8,
        shift: u8,
        position: i8,
    },
    /// One write that changes a row and deletes another one.
    Replace {
        shift: u8,
        delete: u8,
        position: i8,
    },
    /// The server applies and confirms the oldest write.
    Confirm,
    /// The server refuses the oldest write.
    Refuse,
    Retry {
        key: u8,
    },
    Dismiss {
        key: u8,
    },
    Reconnect,
    /// A list is left and opened again.
    Reopen {
        watch: u8,
    },
    Take {
        watch: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..12_u8;
    let position = -3..4_i8;
    prop_oneof![
        4 => (key.clone(), prop::option::weighted(0.8, (position.clone(), any::<bool>())))
            .prop_map(|(key, change)| Step::Remote { key, change }),
        1 => (100..104_u8, 257..300_u16, position.clone())
            .prop_map(|(first, count, position)| Step::RemoteMany { first, count, position }),
        3 => (key.clone(), position.clone(), any::<bool>())
            .prop_map(|(key, position, done)| Step::Put { key, position, done }),
        2 => key.clone().prop_map(|key| Step::Toggle { key }),
        2 => (key.clone(), position.clone()).prop_map(|(key, position)| Step::Shift { key, position }),
        2 => (key.clone(), key.clone(), position.clone())
            .prop_map(|(put, shift, position)| Step::Pair { put, shift, position }),
        2 => (key.clone(), key.clone(), position)
            .prop_map(|(shift, delete, position)| Step::Replace { shift, delete, position }),
        2 => key.clone().prop_map(|key| Step::Delete { key }),
        4 => Just(Step::Confirm),
        2 => Just(Step::Refuse),
        1 => key.clone().prop_map(|key| Step::Retry { key }),
        1 => key.prop_map(|key| Step::Dismiss { key }),
        1 => Just(Step::Reconnect),
        1 => (0..2_u8).prop_map(|watch| Step::Reopen { watch }),
        3 => (0..2_u8).prop_map(|watch| Step::Take { watch }),
    ]
}

/// What a local write does, in the model.
#[derive(Clone, Debug)]
enum Effect {
    Put(Todo),
    Toggle(String, bool),
    Shift(String, i64),
    Delete(String),
}

impl Effect {
    fn key(&self) -> &str {
        match self {
            Self::Put(todo) => &todo.id,
            Self::Toggle(key, _) | Self::Shift(key, _) | Self::Delete(key) => key,
        }
    }

    /// Whether it writes all that another one did to the same row.
    fn covers(&self, before: &Self) -> bool {
        matches!(
            (self, before),
            (Self::Put(_) | Self::Delete(_), _)
                | (Self::Toggle(..), Self::Toggle(..))
                | (Self::Shift(..), Self::Shift(..))
        )
    }

    fn apply(&self, rows: &mut BTreeMap<String, Todo>) -> bool {
        match self {
            Self::Put(todo) => {
                rows.insert(todo.id.clone(), todo.clone());
                true
            }
            Self::Toggle(key, done) => rows.get_mut(key).map(|row| row.done = *done).is_some(),
            Self::Shift(key, position) => rows.get_mut(key).map(|row| row.position = *position).is_some(),
            Self::Delete(key) => {
                rows.remove(key);
                true
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Intent {
    effects: Vec<Effect>,
    /// `None` once refused.
    id: Option<u64>,
}

impl Intent {
    fn is_about(&self, key: &str) -> bool {
        self.effects.iter().any(|effect| effect.key() == key)
    }

    /// All of it, or nothing when a part of it cannot be done. What was refused deletes nothing.
    fn apply(&self, rows: &mut BTreeMap<String, Todo>) -> bool {
        let mut after = rows.clone();
        let is_kept = |effect: &Effect| self.id.is_none() && matches!(effect, Effect::Delete(_));
        let applied = self.effects.iter().all(|effect| is_kept(effect) || effect.apply(&mut after));
        if applied {
            *rows = after;
        }
        applied
    }
}

struct Model {
    rig: Rig,
    server: BTreeMap<String, Todo>,
    intents: Vec<Intent>,
    next_id: u64,
    handled: u64,
    watches: Vec<(WatchId, Query<Todo>, Vec<(Todo, RowState)>)>,
}

fn todo(key: u8, position: i8, done: bool) -> Todo {
    Todo { done, ..Todo::new(&format!("k{key:03}"), position.into()) }
}

impl Model {
    fn new() -> Self {
        let mut rig = Rig::new();
        let watches = [all(), open()].map(|query| (rig.watch(&query), query, Vec::new())).into();
        rig.connect();
        let mut model =
            Self { rig, server: BTreeMap::new(), intents: Vec::new(), next_id: 1, handled: 0, watches };
        model.answer_subscriptions();
        model
    }

    fn wants(query: usize, row: &Todo) -> bool {
        query == 0 || !row.done
    }

    fn subs(&mut self) -> Vec<(u32, usize)> {
        let mut subs = Vec::new();
        for frame in self.rig.sent() {
            if let Some(subscribe) = frame.get("subscribe") {
                let filtered = subscribe["query"].get("where").is_some();
                subs.push((subscribe["sub"].as_u64().unwrap() as u32, usize::from(filtered)));
            }
        }
        subs
    }

    fn answer_subscriptions(&mut self) {
        for (sub, query) in self.subs() {
            let mut rows: Vec<_> =
                self.server.values().filter(|row| Self::wants(query, row)).cloned().collect();
            rows.sort_by_key(|row| (row.position, row.id.clone()));
            let writes = json!([{"client": "client-1", "last": self.handled}]);
            self.rig.snapshot_with(sub, &rows, writes);
            SUBS.with_borrow_mut(|subs| subs[query] = sub);
        }
    }

    /// The server's next version.
    fn publish(&mut self, keys: &[String], before: &BTreeMap<String, Todo>, acks: serde_json::Value) {
        let rows: Vec<_> = keys.iter().filter_map(|key| self.server.get(key)).cloned().collect();
        let mut parts = Vec::new();
        for query in 0..2 {
            let mut put = Vec::new();
            let mut del = Vec::new();
            for key in keys {
                let is =
                    |rows: &BTreeMap<String, Todo>| rows.get(key).is_some_and(|row| Self::wants(query, row));
                if is(&self.server) {
                    put.push(rows.iter().position(|row| row.id == *key).unwrap());
                } else if is(before) {
                    del.push(key.clone());
                }
            }
            parts.push(json!({"sub": SUBS.with_borrow(|subs| subs[query]), "put": put, "del": del}));
        }
        let from = self.rig.version;
        self.rig.version += 1;
        let rows: Vec<_> = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
        let head =
            json!({"changes": {"space": "list", "from": from, "to": from + 1, "parts": parts, "acks": acks}});
        self.rig.server_rows(head, &rows);
    }

    fn intend(&mut self, effects: impl Into<Vec<Effect>>) {
        self.intents.push(Intent { effects: effects.into(), id: Some(self.next_id) });
        self.next_id += 1;
    }

    /// A write by a person: what was refused of one of its rows alone, and is covered, goes.
    fn intend_anew(&mut self, effects: impl Into<Vec<Effect>>) {
        let effects = effects.into();
        let covers = |refused: &Effect| {
            effects.iter().any(|effect| refused.key() == effect.key() && effect.covers(refused))
        };
        let is_amended = |intent: &Intent| {
            intent.id.is_none() && matches!(&intent.effects[..], [refused] if covers(refused))
        };
        self.intents.retain(|intent| !is_amended(intent));
        self.intend(effects);
    }

    fn is_put_in_vain(&self, key: &str) -> bool {
        let is_put = |intent: &Intent| {
            intent.id.is_none() && matches!(&intent.effects[..], [Effect::Put(todo)] if todo.id == key)
        };
        self.intents.iter().any(is_put)
    }

    fn write(&mut self, ops: [RowOp; 2], effects: [Effect; 2]) {
        self.rig.core.register::<Todo>();
        self.rig.core.write_rows(self.rig.now, &list(), &RowOps { ops: ops.into() }).unwrap();
        self.intend_anew(effects);
    }

    fn view(&self) -> BTreeMap<String, (Todo, RowState)> {
        let mut rows = self.server.clone();
        let mut states = BTreeMap::new();
        for intent in &self.intents {
            if intent.apply(&mut rows) {
                states.extend(
                    intent.effects.iter().map(|effect| (effect.key().to_owned(), intent.id.is_none())),
                );
            }
        }
        let refused = std::sync::Arc::new(refusal());
        let state = |key: &String| match states.get(key) {
            None => RowState::Confirmed,
            Some(false) => RowState::Pending,
            Some(true) => RowState::Failed(refused.clone()),
        };
        rows.into_iter().map(|(key, row)| (key.clone(), (row, state(&key)))).collect()
    }

    fn run(&mut self, step: &Step) {
        let key_of = |key: &u8| format!("k{key:03}");
        match step {
            Step::Remote { key, change } => {
                let (before, key) = (self.server.clone(), key_of(key));
                match change {
                    Some((position, done)) => {
                        let row = Todo { done: *done, ..Todo::new(&key, (*position).into()) };
                        self.server.insert(key.clone(), row);
                    }
                    None => drop(self.server.remove(&key)),
                }
                self.publish(&[key], &before, json!([]));
            }
            Step::RemoteMany { first, count, position } => {
                let before = self.server.clone();
                let keys: Vec<_> = (0..*count).map(|n| format!("m{first}-{n}")).collect();
                for key in &keys {
                    self.server.insert(key.clone(), Todo::new(key, (*position).into()));
                }
                self.publish(&keys, &before, json!([]));
            }
            Step::Put { key, position, done } => {
                let todo = todo(*key, *position, *done);
                self.rig.put(&todo);
                self.intend_anew([Effect::Put(todo)]);
            }
            Step::Toggle { key } => self.update(&key_of(key), |row| row.done = !row.done),
            Step::Shift { key, position } => {
                self.update(&key_of(key), |row| row.position = (*position).into())
            }
            Step::Delete { key } => {
                self.rig.delete(&key_of(key));
                self.intend_anew([Effect::Delete(key_of(key))]);
            }
            Step::Pair { put, shift, position } => {
                let (row, key, position) = (todo(*put, *position, false), key_of(shift), (*position).into());
                let ops = [RowOp::put(&row).unwrap(), shift_op(&key, position)];
                self.write(ops, [Effect::Put(row), Effect::Shift(key, position)]);
            }
            Step::Replace { shift, delete, position } => {
                let (key, gone, position) = (key_of(shift), key_of(delete), (*position).into());
                let ops = [shift_op(&key, position), RowOp::delete::<Todo>(&gone)];
                self.write(ops, [Effect::Shift(key, position), Effect::Delete(gone)]);
            }
            Step::Confirm => self.handle_oldest(true),
            Step::Refuse => self.handle_oldest(false),
            Step::Retry { key } => {
                self.rig.core.retry(self.rig.now, &list(), "todos", &key_of(key));
                let about = |intent: &Intent| intent.id.is_none() && intent.is_about(&key_of(key));
                let (again, kept): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut self.intents).into_iter().partition(about);
                self.intents = kept;
                again.into_iter().for_each(|intent| self.intend(intent.effects));
            }
            Step::Dismiss { key } => {
                self.rig.core.dismiss(self.rig.now, &list(), "todos", &key_of(key));
                self.intents.retain(|intent| intent.id.is_some() || !intent.is_about(&key_of(key)));
            }
            Step::Reconnect => {
                self.rig.lose();
                self.rig.wait_for_deadline();
                self.rig.connect();
                self.answer_subscriptions();
            }
            Step::Reopen { watch } => {
                let (id, query, rows) = &mut self.watches[*watch as usize];
                self.rig.core.unwatch(self.rig.now, *id);
                *id = self.rig.core.watch(self.rig.now, query);
                rows.clear();
                self.check_local(*watch as usize);
                self.answer_subscriptions();
            }
            Step::Take { watch } => {
                let (id, _, rows) = &mut self.watches[*watch as usize];
                let diffs = self.rig.core.take(*id);
                apply(rows, diffs);
            }
        }
    }

    fn update(&mut self, key: &str, change: impl Fn(&mut Todo)) {
        let shown = self.view();
        // what a person sees is what any of the two watches shows
        let result = self.rig.core.update(self.rig.now, &list(), key, &change);
        match shown.get(key) {
            None => assert_eq!(result.unwrap_err().code(), "unknown_row"),
            Some((row, _)) => {
                let mut after = row.clone();
                change(&mut after);
                assert_eq!(result.unwrap().is_some(), after != *row);
                if after == *row {
                } else if self.is_put_in_vain(key) {
                    self.intend_anew([Effect::Put(after)]);
                } else if after.done != row.done {
                    self.intend_anew([Effect::Toggle(key.into(), after.done)]);
                } else {
                    self.intend_anew([Effect::Shift(key.into(), after.position)]);
                }
            }
        }
    }

    fn handle_oldest(&mut self, accept: bool) {
        let Some(at) = self.intents.iter().position(|intent| intent.id.is_some()) else { return };
        let id = self.intents[at].id.unwrap();
        let before = self.server.clone();
        self.handled = id;
        if accept && self.intents[at].apply(&mut self.server) {
            let effects = self.intents.remove(at).effects;
            let keys: BTreeSet<_> = effects.iter().map(|effect| effect.key().to_owned()).collect();
            let keys: Vec<_> = keys.into_iter().collect();
            self.publish(&keys, &before, json!([{"client": "client-1", "id": id}]));
        } else {
            self.intents[at].id = None;
            let ack = json!([{"client": "client-1", "id": id, "error": refusal()}]);
            self.publish(&[], &before, ack);
        }
    }

    fn check(&mut self) {
        let view = self.view();
        for query in 0..self.watches.len() {
            let mut expected: Vec<_> =
                view.values().filter(|(row, _)| Self::wants(query, row)).cloned().collect();
            expected.sort_by_key(|(row, _)| (row.position, row.id.clone()));
            let id = self.watches[query].0;
            let entries = self.rig.core.entries::<Todo>(id);
            let shown: Vec<_> =
                entries.iter().map(|entry| (Todo::clone(&entry.record), entry.state.clone())).collect();
            assert_eq!(shown, expected, "the view of query {query}");
        }
    }

    /// Before the server has answered, a list shows the rows under local writes, as far as their rows are known.
    fn check_local(&self, query: usize) {
        let other = self.rig.core.entries::<Todo>(self.watches[1 - query].0);
        let local = other.iter().filter(|entry| entry.state != RowState::Confirmed);
        let wanted = local.filter(|entry| Self::wants(query, &entry.record));
        let expected: Vec<_> = wanted.map(|entry| (entry.record.clone(), entry.state.clone())).collect();
        let entries = self.rig.core.entries::<Todo>(self.watches[query].0);
        let shown: Vec<_> = entries.into_iter().map(|entry| (entry.record, entry.state)).collect();
        for row in expected {
            assert!(shown.contains(&row), "{row:?} is shown by one list and not by the new one");
        }
    }

    fn check_diffs(&mut self) {
        for (id, _, rows) in &mut self.watches {
            let diffs = self.rig.core.take(*id);
            apply(rows, diffs);
            let entries = self.rig.core.entries::<Todo>(*id);
            let shown: Vec<_> =
                entries.iter().map(|entry| (Todo::clone(&entry.record), entry.state.clone())).collect();
            assert_eq!(*rows, shown, "the diffs lead elsewhere than the view");
        }
    }
}

fn shift_op(key: &str, position: i64) -> RowOp {
    let set = serde_json::from_value(json!({"position": position})).unwrap();
    RowOp::Patch(Todo::COLLECTION.into(), key.into(), set)
}

fn refusal() -> syncline_core::Error {
    syncline_core::Error::new("not_today", "not today")
}

thread_local! {
    /// The subscription of each query on the connection there is.
    static SUBS: std::cell::RefCell<[u32; 2]> = const { std::cell::RefCell::new([0; 2]) };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_view_is_its_query_over_base_and_pending_writes(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in &steps {
            model.run(step);
            model.check();
        }
        model.check_diffs();
    }
}
