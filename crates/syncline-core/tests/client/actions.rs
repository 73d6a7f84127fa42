//! Actions: what a reducer makes of them is shown at once, run again over every newer state, and gone when they are
//! refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::client::{Applied, Output, WatchId, WriteRef};
use syncline_core::record::AnyRow;
use syncline_core::tx::ReadRows;
use syncline_core::{Channel, Draft, Error, Schema, Tx};

use crate::rig::{Rig, Todo, all, list, open};

/// What can be done with to-dos in these tests: something for every way of having to do with rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
enum Action {
    /// Writes one row, reads none.
    Create {
        id: String,
        position: i64,
    },
    /// Reads the row it writes.
    Toggle {
        id: String,
    },
    Remove {
        id: String,
    },
    /// Reads one row, writes another.
    Below {
        id: String,
        other: String,
    },
    /// Reads all rows, writes some.
    ClearCompleted,
    /// Writes a row of whatever key comes last.
    FinishLast,
    /// Reads one row, which says what others it writes.
    Follow {
        id: String,
    },
    /// Reads the row that it writes, and writes another one.
    Raise {
        id: String,
        beside: String,
    },
    /// Reads one row, and puts another one beside it.
    Copy {
        id: String,
        to: String,
    },
    /// What no row may be.
    Impossible {
        id: String,
    },
}

struct Todos;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

impl Channel for Todos {
    const NAME: &'static str = "todo-channel";
    type Record = Todo;
    type Action = Action;
    type Output = u64;
    type Error = Error;

    fn reduce(todos: &mut Draft<'_, Todo>, action: &Action) {
        match action {
            Action::Create { id, position } => todos.put(Todo::new(id, *position)),
            Action::Toggle { id } => drop(todos.update(id, |todo| todo.done = !todo.done)),
            Action::Remove { id } => drop(todos.remove(id)),
            Action::Below { id, other } => {
                if let Some(other) = todos.get(other) {
                    todos.update(id, |todo| todo.position = other.position + 1);
                }
            }
            Action::ClearCompleted => {
                for todo in todos.rows().iter().filter(|todo| todo.done) {
                    todos.remove(&todo.id);
                }
            }
            Action::FinishLast => {
                if let Some(last) = todos.rows().last() {
                    todos.update(&last.id, |todo| todo.done = true);
                }
            }
            Action::Follow { id } => {
                if let Some(row) = todos.get(id) {
                    let steps = [row.position, row.position / 3];
                    for at in steps.map(|step| step.rem_euclid(4) as usize) {
                        todos.update(KEYS[at], |todo| todo.text.push('!'));
                    }
                }
            }
            Action::Raise { id, beside } => {
                todos.update(id, |todo| todo.position += 1);
                todos.put(Todo::new(beside, 1_000));
            }
            Action::Copy { id, to } => {
                if let Some(row) = todos.get(id) {
                    todos.put(Todo::new(to, row.position));
                }
            }
            Action::Impossible { id } => {
                todos.remove(id);
                todos.put(Todo::new("", 0));
            }
        }
    }
}

impl Rig {
    fn act(&mut self, action: Action) -> WriteRef {
        self.core.send_action::<Todos>(self.now, &list(), action).unwrap()
    }

    fn refuse(&mut self, id: u64) {
        self.server(json!({"changes": {"space": "list", "from": self.version, "to": self.version, "acks": [
            {"client": "client-1", "id": id, "error": {"code": "no", "message": "not now"}},
        ]}}));
    }

    fn verdicts(&mut self) -> Vec<(WriteRef, Result<Applied, Error>)> {
        let settled = |output| match output {
            Output::Settled { write, result } => Some((write, result)),
            _ => None,
        };
        self.drain().into_iter().filter_map(settled).collect()
    }

    /// Each row shown: its key, whether it is done, whether it is pending.
    fn rows(&self, watch: WatchId) -> Vec<String> {
        let entries = self.core.entries::<Todo>(watch);
        let show = |entry: &syncline_core::Entry<Todo>| {
            let done = if entry.record.done { "+" } else { "" };
            let pending = if entry.state == syncline_core::RowState::Pending { "?" } else { "" };
            format!("{}{done}{pending}", entry.record.id)
        };
        entries.iter().map(show).collect()
    }
}

fn id(id: &str) -> String {
    id.into()
}

fn done(id: &str, position: i64) -> Todo {
    Todo { done: true, ..Todo::new(id, position) }
}

fn live(rows: &[Todo]) -> (Rig, WatchId) {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, rows);
    rig.drain();
    (rig, watch)
}

#[test]
fn an_action_is_shown_at_once_and_sent_as_it_is() {
    let (mut rig, watch) = live(&[Todo::new("a", 1)]);
    rig.act(Action::Toggle { id: id("a") });
    assert_eq!(rig.rows(watch), ["a+?"]);
    let sent = rig.sent();
    assert_eq!(sent[0]["write"]["kind"], "action");
    let payload = json!({"channel": "todo-channel", "action": {"type": "toggle", "payload": {"id": "a"}}});
    assert_eq!(sent[0]["write"]["payload"], payload);
}

#[test]
fn the_answer_brings_the_output() {
    let (mut rig, watch) = live(&[Todo::new("a", 1)]);
    let write = rig.act(Action::Toggle { id: id("a") });
    rig.drain();
    rig.version = 1;
    rig.server_rows(
        json!({"changes": {"space": "list", "from": 0, "to": 1, "parts": [{"sub": 1, "put": [0]}],
            "acks": [{"client": "client-1", "id": 1, "output": 17}]}}),
        &[serde_json::to_value(done("a", 1)).unwrap()],
    );
    let verdicts = rig.verdicts();
    assert_eq!(verdicts.len(), 1);
    let (settled, Ok(applied)) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert_eq!((*settled, applied.version, applied.output.as_ref().unwrap().get()), (write, 1, "17"));
    assert_eq!(rig.rows(watch), ["a+"]);
}

#[test]
fn a_lost_answer_comes_with_its_output_in_the_next_account() {
    let (mut rig, _) = live(&[Todo::new("a", 1)]);
    let (first, second) = (rig.act(Action::Toggle { id: id("a") }), rig.act(Action::Remove { id: id("b") }));
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    rig.version = 2;
    let account = json!([{"client": "client-1", "last": 2, "outputs": [{"id": 1, "output": 17}]}]);
    rig.snapshot_with(1, &[done("a", 1)], account);
    let outputs: Vec<_> = rig
        .verdicts()
        .into_iter()
        .map(|(write, result)| (write, result.unwrap().output.map(|output| output.get().to_owned())))
        .collect();
    assert_eq!(outputs, [(first, Some("17".into())), (second, None)]);
}

#[test]
fn what_others_do_and_what_is_pending_do_not_mix_up() {
    let (mut rig, watch) = live(&[Todo::new("a", 1)]);
    rig.act(Action::Toggle { id: id("a") });
    // somebody else has done the same: the reducer runs over that
    rig.change(1, &[done("a", 1)], &[], &[]);
    assert_eq!(rig.rows(watch), ["a?"]);
    rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
    assert_eq!(rig.rows(watch), ["a"]);
}

#[test]
fn a_refused_action_is_as_if_it_had_not_been_and_later_ones_stay() {
    let (mut rig, watch) = live(&[Todo::new("a", 1)]);
    let first = rig.act(Action::Create { id: id("b"), position: 2 });
    rig.act(Action::Create { id: id("c"), position: 3 });
    rig.act(Action::Toggle { id: id("b") });
    rig.act(Action::Toggle { id: id("c") });
    assert_eq!(rig.rows(watch), ["a", "b+?", "c+?"]);
    rig.drain();
    rig.refuse(1);
    assert_eq!(rig.rows(watch), ["a", "c+?"], "what was done to a row that never was is gone with it");
    let verdicts = rig.verdicts();
    assert!(matches!(&verdicts[..], [(write, Err(error))] if *write == first && error.code() == "no"));
}

#[test]
fn an_action_that_the_server_would_not_take_is_told_of_like_one_that_it_refuses() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    let create = Action::Create { id: "x".repeat(9_000), position: 1 };
    let write = rig.core.send_action::<Todos>(rig.now, &list(), create).unwrap();
    rig.accept();
    rig.welcome_with(8192);
    let told = |output| match output {
        Output::Refused { write, error } => Some((write, error.code().to_owned())),
        _ => None,
    };
    let told: Vec<_> = rig.drain().into_iter().filter_map(told).collect();
    assert_eq!(told, [(write, "value_too_large".into())]);
    assert!(rig.shown(watch).is_empty());
}

#[test]
fn a_reducer_that_looked_at_everything_runs_again_when_anything_changes() {
    let (mut rig, watch) = live(&[done("a", 1), Todo::new("b", 2)]);
    rig.act(Action::ClearCompleted);
    assert_eq!(rig.rows(watch), ["b"]);
    rig.change(1, &[done("b", 2), Todo::new("c", 3)], &[], &[]);
    assert_eq!(rig.rows(watch), ["c"]);
    rig.change(1, &[], &["a", "b"], &[1]);
    assert_eq!(rig.rows(watch), ["c"]);
}

#[test]
fn a_reducer_that_looks_at_everything_does_not_see_what_only_a_stopped_list_has() {
    let (mut rig, watch) = live(&[Todo::new("a", 1), Todo::new("b", 2)]);
    let stopped = rig.watch(&open());
    rig.snapshot(2, &[Todo::new("a", 1), Todo::new("b", 2)]);
    rig.core.stop(rig.now, stopped);
    rig.change(1, &[], &["b"], &[]);
    assert_eq!((rig.rows(watch), rig.rows(stopped)), (vec!["a".to_owned()], vec!["a".into(), "b".into()]));
    rig.act(Action::FinishLast);
    assert_eq!(rig.rows(watch), ["a+?"], "what is gone does not come back");
    // nobody knows better when all are stopped
    rig.core.stop(rig.now, watch);
    rig.act(Action::ClearCompleted);
    assert_eq!(rig.rows(watch), [""; 0]);
}

#[test]
fn a_reducer_that_read_another_row_runs_again_when_that_one_changes() {
    let (mut rig, watch) = live(&[Todo::new("a", 1), Todo::new("b", 5)]);
    rig.act(Action::Below { id: id("a"), other: id("b") });
    assert_eq!(rig.rows(watch), ["b", "a?"]);
    rig.change(1, &[Todo::new("b", 50)], &[], &[]);
    assert_eq!(rig.core.entries::<Todo>(watch)[1].record.position, 51);
}

#[test]
fn a_reducer_that_comes_upon_other_rows_than_before_is_followed_by_those_after_it() {
    let (mut rig, watch) = live(&[Todo::new("a", 1), Todo::new("b", 2)]);
    rig.act(Action::FinishLast);
    rig.act(Action::Toggle { id: id("a") });
    assert_eq!(rig.rows(watch), ["a+?", "b+?"]);
    // now `a` is the last one: it is finished first, and toggled after that
    rig.change(1, &[], &["b"], &[]);
    assert_eq!(rig.rows(watch), ["a?"]);
}

#[test]
fn a_reducer_that_looks_at_everything_does_not_see_what_comes_after_it() {
    let (mut rig, watch) = live(&[Todo::new("a", 1), Todo::new("b", 2), Todo::new("c", 3)]);
    rig.act(Action::FinishLast);
    rig.act(Action::Remove { id: id("b") });
    assert_eq!(rig.rows(watch), ["a", "c+?"]);
    // `b` was the last one when the first action was sent
    rig.change(1, &[], &["c"], &[]);
    assert_eq!(rig.rows(watch), ["a"]);
}

#[test]
fn what_cannot_be_done_does_nothing_and_is_sent_all_the_same() {
    let (mut rig, watch) = live(&[Todo::new("a", 1)]);
    rig.act(Action::Impossible { id: id("a") });
    assert_eq!(rig.rows(watch), ["a"], "not even the half that could be");
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn an_action_waits_while_away_and_goes_out_in_order_with_other_writes() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.act(Action::Create { id: id("a"), position: 1 });
    rig.put(&Todo::new("b", 2));
    rig.act(Action::Toggle { id: id("b") });
    assert_eq!(rig.rows(watch), ["a?", "b+?"]);
    rig.connect();
    let kinds: Vec<Value> =
        rig.sent().iter().filter_map(|frame| Some(frame.get("write")?["kind"].clone())).collect();
    assert_eq!(kinds, ["action", "rows", "action"]);
}

#[test]
fn what_is_done_is_not_done_again_to_rows_in_which_it_has_come() {
    let near = all().filter(Todo::position.lt(500));
    let positions = |rig: &Rig, watch| {
        let entries = rig.core.entries::<Todo>(watch);
        entries.iter().map(|entry| (entry.record.id.clone(), entry.record.position)).collect::<Vec<_>>()
    };
    let mut rig = Rig::new();
    let watch = rig.watch(&near);
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.act(Action::Raise { id: id("a"), beside: id("z") });
    assert_eq!(positions(&rig, watch), [(id("a"), 2)]);
    // it is done; the answer is lost, and another list is opened meanwhile
    rig.lose();
    let everything = rig.watch(&all());
    rig.wait_for_deadline();
    rig.connect();
    rig.act(Action::Toggle { id: id("z") });
    rig.snapshot_with(1, &[Todo::new("a", 2)], json!([{"client": "client-1", "last": 1}]));
    assert_eq!(positions(&rig, watch), [(id("a"), 2)]);
    assert_eq!(positions(&rig, everything), [(id("a"), 2), (id("z"), 1_000)], "what has not come yet stays");
    // somebody else changes it before the other list has come
    rig.change(1, &[Todo::new("a", 7)], &[], &[]);
    assert_eq!(positions(&rig, watch), [(id("a"), 7)]);
    rig.snapshot(2, &[Todo::new("a", 7), Todo::new("z", 1_000)]);
    assert_eq!(rig.shown(everything), ["a", "z?"]);
}

#[test]
fn a_row_that_an_action_has_only_read_says_nothing_of_what_it_wrote() {
    let mut rig = Rig::new();
    rig.watch(&all().filter(Todo::done.eq(true)));
    rig.connect();
    rig.snapshot(1, &[done("a", 5)]);
    rig.act(Action::Copy { id: id("a"), to: id("z") });
    rig.lose();
    let others = rig.watch(&open());
    rig.wait_for_deadline();
    rig.connect();
    let changed = Todo { text: "changed".into(), ..done("a", 5) };
    rig.snapshot_with(1, &[changed], json!([{"client": "client-1", "last": 1}]));
    assert_eq!(rig.rows(others), ["z?"], "its own list has yet to come");
    rig.snapshot(2, &[Todo::new("z", 5)]);
    assert_eq!(rig.rows(others), ["z"]);
}

#[test]
fn a_contrail_service_takes_no_actions() {
    let mut rig =
        Rig::with(|config| config.contrail = Some(syncline_core::client::contrail::Service::default()));
    let refused = rig.core.send_action::<Todos>(rig.now, &list(), Action::ClearCompleted).unwrap_err();
    assert_eq!(refused.code(), "bad_write");
}

/// Rows by key, as something to run reducers over.
#[derive(Clone, Default)]
struct Plain(BTreeMap<String, Todo>);

impl ReadRows for Plain {
    fn row(&self, _: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
        self.0.get(key).map(|row| Arc::new(row.clone()) as Arc<dyn AnyRow>)
    }

    fn all_rows(&self, _: &'static str) -> Vec<Arc<dyn AnyRow>> {
        self.0.values().map(|row| Arc::new(row.clone()) as Arc<dyn AnyRow>).collect()
    }
}

impl Plain {
    fn run(&mut self, schema: &Schema, action: &Action) {
        let base = self.clone();
        let mut tx = Tx::new(schema, &base);
        Todos::reduce(&mut tx.rows(), action);
        for ((_, key), row) in tx.finish().map(|finished| finished.touched).unwrap_or_default() {
            match row.and_then(|row| row.as_any().downcast_ref::<Todo>().cloned()) {
                Some(row) => drop(self.0.insert(key.as_str().into(), row)),
                None => drop(self.0.remove(key.as_str())),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Act(Action),
    /// The server does the oldest pending action, and something of somebody else's in the same version.
    Apply(Option<Action>),
    Refuse,
    /// Somebody else.
    Other(Action),
    Reconnect,
}

fn any_action() -> impl Strategy<Value = Action> {
    let key = || prop::sample::select(&KEYS[..]).prop_map(String::from);
    prop_oneof![
        2 => (key(), 0..9_i64).prop_map(|(id, position)| Action::Create { id, position }),
        1 => key().prop_map(|id| Action::Toggle { id }),
        1 => key().prop_map(|id| Action::Remove { id }),
        1 => (key(), key()).prop_map(|(id, other)| Action::Below { id, other }),
        1 => Just(Action::ClearCompleted),
        1 => Just(Action::FinishLast),
        2 => key().prop_map(|id| Action::Follow { id }),
        1 => key().prop_map(|id| Action::Impossible { id }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any_action().prop_map(Step::Act),
        2 => prop::option::of(any_action()).prop_map(Step::Apply),
        1 => Just(Step::Refuse),
        2 => any_action().prop_map(Step::Other),
        1 => Just(Step::Reconnect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// However little is replayed, it is as if all of it had been, in order, over the newest base.
    #[test]
    fn what_is_shown_is_the_base_with_all_pending_actions_in_order(steps in prop::collection::vec(any_step(), 1..24)) {
        let mut schema = Schema::default();
        schema.add::<Todo>();
        let (mut rig, watch) = live(&[]);
        let (mut server, mut pending, mut sub, mut next) = (Plain::default(), Vec::new(), 1, 1);
        for step in steps {
            let before = server.clone();
            let mut acks = Vec::new();
            match step {
                Step::Act(action) => {
                    rig.act(action.clone());
                    pending.push(action);
                }
                Step::Apply(other) => {
                    if pending.is_empty() {
                        continue;
                    }
                    server.run(&schema, &pending.remove(0));
                    other.iter().for_each(|other| server.run(&schema, other));
                    acks.push(next);
                    next += 1;
                }
                Step::Refuse => {
                    if pending.is_empty() {
                        continue;
                    }
                    pending.remove(0);
                    rig.refuse(next);
                    next += 1;
                }
                Step::Other(action) => server.run(&schema, &action),
                Step::Reconnect => {
                    rig.lose();
                    rig.wait_for_deadline();
                    rig.connect();
                    sub = rig.newest_sub();
                    let rows: Vec<_> = server.0.values().cloned().collect();
                    rig.snapshot(sub, &rows);
                }
            }
            let put: Vec<_> = server.0.values().filter(|row| before.0.get(&row.id) != Some(row)).cloned().collect();
            let gone: Vec<_> = before.0.keys().filter(|key| !server.0.contains_key(*key)).collect();
            if !put.is_empty() || !gone.is_empty() || !acks.is_empty() {
                let gone: Vec<_> = gone.into_iter().map(String::as_str).collect();
                rig.change(sub, &put, &gone, &acks);
            }
            let mut expected = server.clone();
            pending.iter().for_each(|action| expected.run(&schema, action));
            let mut expected: Vec<_> = expected.0.into_values().collect();
            expected.sort_by(|a, b| a.position.cmp(&b.position).then_with(|| a.id.cmp(&b.id)));
            let shown: Vec<_> =
                rig.core.entries::<Todo>(watch).iter().map(|entry| Todo::clone(&entry.record)).collect();
            prop_assert_eq!(shown, expected);
        }
    }
}
