//! Replays of what real servers have said (`tests/traces`), from both clients' sides: what a client shows is at every step
//! what the server holds, as far as it has been told.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use syncline_core::client::{WatchId, WriteRef};

use crate::rig::{Rig, Socket, Todo, TodoAction, all};

/// What a server holds by what it has said, in the order of the recording.
#[derive(Default)]
struct Truth(BTreeMap<String, (String, i64)>);

impl Truth {
    fn hear(&mut self, frame: &Value) {
        let rows = frame.get("result").or(frame.get("payload")).and_then(Value::as_array);
        if frame["type"] == "delete-all" {
            self.0.clear();
        }
        if frame["type"] != "success" {
            return;
        }
        for row in rows.into_iter().flatten() {
            let (id, text) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
            match row[5].is_null() {
                true => drop(self.0.insert(id.into(), (text.into(), row[2].as_i64().unwrap()))),
                false => drop(self.0.remove(id)),
            }
        }
    }
}

/// One client of a recording, over all its sockets.
struct Replay {
    rig: Rig,
    watch: WatchId,
    socket: Option<Socket>,
    /// What the recording calls an action, and what it is called here.
    actions: BTreeMap<String, (String, WriteRef)>,
    /// Questions for rows of the recording that have not been answered: whether they are for all rows.
    questions: Vec<bool>,
    outcomes: Vec<String>,
    syncs: usize,
}

fn replay(trace: &str, client: &str) -> (Replay, Truth) {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    let (actions, questions, outcomes) = Default::default();
    let mut replay = Replay { rig, watch, socket: None, actions, questions, outcomes, syncs: 0 };
    let mut truth = Truth::default();
    for line in trace.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let data = || line["data"].as_str().unwrap();
        let is_own = line["client"] == client;
        match line["dir"].as_str().unwrap() {
            "event" if is_own => replay.event(&line),
            "send" if is_own => replay.send(data()),
            "recv" => {
                let frame: Value = serde_json::from_str(data()).unwrap();
                truth.hear(&frame);
                if is_own {
                    replay.receive(data(), &frame);
                }
            }
            _ => {}
        }
    }
    (replay, truth)
}

impl Replay {
    fn event(&mut self, line: &Value) {
        match line["type"].as_str().unwrap() {
            "upgrade" => {
                while self.rig.asks_nothing() {
                    self.rig.wait_for_deadline();
                }
                let socket = self.rig.join();
                assert!(line["url"].as_str().unwrap().starts_with("ws://HOST/parties/todos"));
                self.socket = Some(socket);
            }
            "close" => {
                let socket = self.socket.take().unwrap();
                self.rig.closed(&socket);
                self.questions.clear();
                self.outcomes.extend(self.rig.outcomes().into_iter().map(|(_, code)| code));
            }
            _ => {}
        }
    }

    fn send(&mut self, data: &str) {
        let Ok(frame) = serde_json::from_str::<Value>(data) else { return };
        if frame["sync"] == true {
            let for_all = frame["from"].is_null() || frame["from"] == 0;
            if for_all && !self.questions.contains(&true) {
                // ours is asked when the line opens, and when it has been quiet
                while self.rig.syncs().is_empty() {
                    self.rig.wait_for_deadline();
                }
                self.syncs += 1;
            }
            self.questions.push(for_all);
            return;
        }
        let action: TodoAction = serde_json::from_value(frame["action"].clone()).unwrap();
        let write = self.rig.act(action);
        let sent = self.rig.actions();
        let [(id, action)] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(*action, frame["action"], "it looks on the wire as it did there");
        self.actions.insert(frame["id"].as_str().unwrap().to_owned(), (id.clone(), write));
    }

    fn receive(&mut self, data: &str, frame: &Value) {
        let socket = self.socket.clone().unwrap();
        if frame["sync"] == true {
            // that of a question which ours never asks says nothing of the others
            if self.questions.remove(0) {
                self.rig.frame(&socket, data);
            }
            return;
        }
        match frame.get("id").and_then(Value::as_str) {
            Some(theirs) => {
                let (ours, write) = self.actions[theirs].clone();
                let shown = self.texts();
                self.rig.frame(&socket, &data.replace(&format!("{theirs:?}"), &format!("{ours:?}")));
                let outcomes = self.rig.outcomes();
                assert_eq!(outcomes.len(), 1);
                assert_eq!(outcomes[0].0, write);
                if outcomes[0].1 == "ok" {
                    assert_eq!(self.texts(), shown, "what was shown is what it has become");
                }
                self.outcomes.push(outcomes[0].1.clone());
            }
            None => self.rig.frame(&socket, data),
        }
        assert_eq!(self.rig.core.watch_state(self.watch).error, None);
    }

    fn texts(&self) -> BTreeMap<String, (String, i64)> {
        let entries = self.rig.core.entries::<Todo>(self.watch);
        let entries = entries.iter().map(|entry| &entry.record);
        entries.map(|todo| (todo.id.clone(), (todo.text.clone(), todo.completed))).collect()
    }
}

#[test]
fn actions_with_times_in_ms() {
    let trace = include_str!("../traces/partysync-actions.jsonl");
    let (a, truth) = replay(trace, "A");
    assert_eq!(a.texts(), truth.0);
    assert_eq!(a.texts().keys().collect::<Vec<_>>(), ["t1", "t3"], "t4 is gone, although no sync said so");
    assert_eq!(a.outcomes, ["ok", "ok", "ok", "action_failed", "action_failed", "ok"]);
    assert_eq!(a.syncs, 4, "one for each line, and one in between");
    let (b, truth) = replay(trace, "B");
    assert_eq!(b.texts(), truth.0);
    assert_eq!(b.outcomes, ["ok"; 5]);
    assert_eq!(b.texts()["t1"], ("buy oat milk".into(), 1));
}

#[test]
fn actions_with_times_as_text() {
    let trace = include_str!("../traces/partysync-text-timestamps.jsonl");
    let (a, truth) = replay(trace, "A");
    assert_eq!(a.texts(), truth.0);
    assert_eq!(a.outcomes, ["ok", "ok", "ok", "action_failed", "action_failed", "ok"]);
    let times: Vec<_> =
        a.rig.core.entries::<Todo>(a.watch).iter().map(|entry| entry.record.updated_at).collect();
    assert_eq!(times, [1_795_165_070_000, 1_795_165_078_000], "in ms, as they are sorted");
    let (b, truth) = replay(trace, "B");
    assert_eq!(b.texts(), truth.0);
    assert_eq!(b.outcomes, ["ok"; 5]);
}

#[test]
fn everything_is_deleted() {
    let trace = include_str!("../traces/partysync-delete-all.jsonl");
    for (client, outcomes) in [("A", 4), ("B", 1)] {
        let (replay, truth) = replay(trace, client);
        assert!(replay.texts().is_empty() && truth.0.is_empty());
        assert_eq!(replay.outcomes, vec!["ok"; outcomes]);
    }
}

/// At the end of a recording a client that comes anew shows the same.
#[test]
fn whoever_comes_later_sees_the_same() {
    let trace = include_str!("../traces/partysync-actions.jsonl");
    let (_, truth) = replay(trace, "A");
    let rows = truth.0.iter().map(|(id, (text, completed))| json!([id, text, completed, 1, 1, null]));
    let (rig, _, watch) = Rig::live(&rows.collect::<Vec<_>>());
    assert_eq!(rig.shown(watch), ["t1", "t3"]);
}
