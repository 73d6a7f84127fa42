//! Whatever happens, in whatever order: once it is quiet, everybody has been told the truth.
//!
//! A few tabs write, watch, leave and come back; the disk dawdles and fails; readers stop reading; the server dies.
//! What the engine told each of them is then held against a naive reading of what is on the disk.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use syncline_core::ops::{RowOp, RowOps};
use syncline_core::space::{Config, INSIDE};
use syncline_core::wire::{Limits, User};
use syncline_core::{Error, QuerySpec, Record as _, query};

use crate::channel::Act;
use crate::page::Sub;
use crate::rig::{Rig, identify, note, secret};
use crate::rules::{Note, Rules, Secret};

const SPACES: [&str; 2] = ["list-1", "room"];
/// The person of each tab. Ada has two.
const PEOPLE: [&str; 4] = ["ada", "ada", "bob", "cem"];

#[derive(Clone, Debug)]
enum Step {
    Join(usize, bool),
    Leave(usize),
    Subscribe(usize, usize, usize),
    Unsubscribe(usize, usize),
    Write(usize, usize, Vec<Op>),
    Act(usize, usize, Act),
    /// An action from inside, which happens once when it has a number.
    Inside(usize, bool, Act),
    /// The last numbered one again, as after an answer that was lost.
    InsideAgain(usize),
    /// Sends a write again that may have been handled.
    Again(usize, usize, u64),
    /// Sends a write whose predecessor the server has not seen.
    Skip(usize, usize),
    Rename(usize, bool),
    Expire(usize),
    StopReading(usize),
    /// Takes so many frames.
    Read(usize, usize),
    CatchUp(usize),
    Lag(usize),
    Load(bool),
    Commit(bool),
    /// The disk has it, but the server dies before it says so.
    CrashAfterCommit,
    Wait(u64),
}

#[derive(Clone, Debug)]
enum Op {
    PutNote(u8, i64, bool, u8),
    PatchNote(u8, i64),
    DeleteNote(u8),
    PutSecret(u8, usize, i64, u8),
    DeleteSecret(u8),
}

const OWNERS: [&str; 4] = ["ada", "bob", "cem", "members"];

impl Op {
    fn row_op(&self) -> RowOp {
        match *self {
            Self::PutNote(_, n, true, _) => note("rude", "rude", n),
            Self::PutNote(key, n, false, parent) => note(&format!("n{key}"), &family(parent), n),
            Self::PatchNote(key, n) => {
                let before = Note { id: format!("n{key}"), text: String::new(), n: n - 1 };
                RowOp::patch(&before, &Note { n, ..before.clone() }).unwrap().unwrap()
            }
            Self::DeleteNote(key) => RowOp::delete::<Note>(&format!("n{key}")),
            Self::PutSecret(key, owner, n, parent) => {
                secret(&format!("s{key}"), OWNERS[owner], &family(parent), n)
            }
            Self::DeleteSecret(key) => RowOp::delete::<Secret>(&format!("s{key}")),
        }
    }
}

/// What makes a row a child: its text is the key of a parent.
fn family(parent: u8) -> String {
    format!("{}{}", if parent % 4 == 3 { "s" } else { "n" }, parent / 2)
}

fn query(space: usize, which: usize) -> QuerySpec {
    let (notes, secrets) = (Note::in_space(SPACES[space]), Secret::in_space(SPACES[space]));
    match which {
        0 => notes.spec().clone(),
        1 => notes.order_by(Note::n).limit(3).spec().clone(),
        2 => notes.filter(Note::n.gt(0)).order_by(Note::n.desc()).spec().clone(),
        3 => notes.order_by(Note::n.desc()).limit(1).spec().clone(),
        4 => secrets.spec().clone(),
        5 => secrets.order_by(Secret::n).limit(2).spec().clone(),
        6 => secrets.filter(Secret::n.lt(2)).limit(2).spec().clone(),
        7 => {
            let hidden = Secret::text.children().order_by(Secret::n.desc()).limit(2).counted();
            notes.order_by(Note::n).limit(3).include(hidden).spec().clone()
        }
        8 => {
            let replies = Note::text.children().filter(Note::n.gt(0)).limit(1).counted();
            let all = Note::text.children().limit(0).counted();
            notes.include(replies).include(all).spec().clone()
        }
        _ => {
            let secrets = secrets.order_by(Secret::n.desc()).limit(2);
            secrets.include(Note::text.children().order_by(Note::n)).include(Secret::text).spec().clone()
        }
    }
}

/// A tab: what survives of a page when its connection does not.
struct Tab {
    person: &'static str,
    name: bool,
    client: String,
    online: bool,
    /// Its connection, when it is online.
    conn: u64,
    next_sub: u32,
    subs: Vec<Sub>,
    spaces: [Writes; 2],
}

#[derive(Default)]
struct Writes {
    /// Everything that was ever written, by id from 1.
    written: Vec<Intent>,
    verdicts: BTreeMap<u64, Result<(), Error>>,
    outputs: BTreeMap<u64, String>,
}

#[derive(Clone)]
enum Intent {
    Rows(Vec<RowOp>),
    Act(Act),
}

/// The client that acts from inside with numbers; one a space.
const JOBS: &str = "job:model";

/// Actions from inside a space.
#[derive(Default)]
struct Inside {
    /// Those with a number, by it from 1.
    numbered: Vec<Act>,
    /// The calls that asked for each of them.
    calls: BTreeMap<u64, u64>,
    /// The calls of those without; all of them count.
    counts: BTreeSet<u64>,
}

impl Tab {
    fn token(&self) -> String {
        if self.name { format!("{}:Name", self.person) } else { self.person.to_owned() }
    }

    fn user(&self) -> User {
        identify(Some(&self.token())).unwrap().user
    }
}

struct World {
    rig: Rig,
    tabs: Vec<Tab>,
    conns: u64,
    inside: [Inside; 2],
    calls: u64,
}

impl World {
    fn new() -> Self {
        let config = Config {
            limits: Limits { writes_in_flight: 8, subscriptions: 6, ..Limits::default() },
            chunk_bytes: 60,
            backlog_bytes: 600,
            log_retention: 6,
            queue_writes: 12,
            ..Config::default()
        };
        let tab = |(number, person): (usize, &&'static str)| Tab {
            person,
            name: false,
            client: format!("client-{number}"),
            online: false,
            conn: 0,
            next_sub: 1,
            subs: Vec::new(),
            spaces: Default::default(),
        };
        let tabs = PEOPLE.iter().enumerate().map(tab).collect();
        let mut rig = Rig::with(config);
        rig.disk_waits = true;
        let mut world = Self { rig, tabs, conns: 0, inside: Default::default(), calls: 0 };
        for tab in 0..PEOPLE.len() {
            world.take(Step::Join(tab, true));
            world.take(Step::Subscribe(tab, 0, tab));
        }
        world
    }

    fn conn(&self, tab: usize) -> u64 {
        self.tabs[tab].conn
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join(tab, reads) if !self.tabs[tab].online => {
                self.join(tab);
                if !reads {
                    self.rig.stop_reading(self.conn(tab));
                }
            }
            Step::Leave(tab) if self.tabs[tab].online => {
                self.salvage(tab);
                self.tabs[tab].online = false;
                self.rig.disconnect(self.conn(tab));
            }
            Step::Subscribe(tab, space, which) if self.tabs[tab].online => {
                let sub = self.next_sub(tab);
                self.rig.subscribe_spec(self.conn(tab), sub, query(space, which), None);
            }
            Step::Unsubscribe(tab, which) if self.tabs[tab].online => {
                let conn = self.conn(tab);
                let sub = self.rig.page(conn).subs.keys().nth(which).copied();
                sub.into_iter().for_each(|sub| self.rig.unsubscribe(conn, sub));
            }
            Step::Write(tab, space, ops) => {
                let ops = ops.iter().map(Op::row_op).collect();
                self.intend(tab, space, Intent::Rows(ops));
            }
            Step::Act(tab, space, act) => self.intend(tab, space, Intent::Act(act)),
            Step::Inside(space, true, act) => {
                self.inside[space].numbered.push(act);
                self.act_inside(space);
            }
            Step::InsideAgain(space) => self.act_inside(space),
            Step::Inside(space, false, _) => {
                self.calls += 1;
                self.inside[space].counts.insert(self.calls);
                self.rig.act_inside(self.calls, SPACES[space], None, &Act::Count);
            }
            Step::Again(tab, space, id) => self.send(tab, space, id),
            Step::Skip(tab, space) if self.tabs[tab].online => {
                let id = self.tabs[tab].spaces[space].written.len() as u64 + 2;
                let (conn, client) = (self.conn(tab), self.tabs[tab].client.clone());
                self.rig.write_as(conn, SPACES[space], &client, id, vec![note("skipped", "x", 1)]);
            }
            Step::Rename(tab, name) => {
                self.tabs[tab].name = name;
                self.authenticate(tab);
            }
            Step::Expire(tab) if self.tabs[tab].online => {
                let token = format!("{}@{}", self.tabs[tab].token(), self.rig.now + 1);
                self.rig.say(self.conn(tab), json!({"auth": {"token": token}}));
                self.rig.wait(1);
            }
            Step::StopReading(tab) if self.tabs[tab].online => self.rig.stop_reading(self.conn(tab)),
            Step::Read(tab, frames) if self.tabs[tab].online => self.rig.read_some(self.conn(tab), frames),
            Step::CatchUp(tab) if self.tabs[tab].online => self.rig.catch_up(self.conn(tab)),
            Step::Lag(tab) if self.tabs[tab].online => self.rig.lag(self.conn(tab)),
            Step::Load(true) if !self.rig.loads.is_empty() => self.rig.load(),
            Step::Load(false) if !self.rig.loads.is_empty() => self.rig.fail_load(),
            Step::Commit(true) if !self.rig.commits.is_empty() => self.rig.commit(),
            Step::Commit(false) if !self.rig.commits.is_empty() => self.rig.fail_commit(),
            Step::CrashAfterCommit => {
                self.rig.store();
                (0..self.tabs.len()).for_each(|tab| self.salvage(tab));
                self.rig.crash();
                self.tabs.iter_mut().for_each(|tab| tab.online = false);
            }
            Step::Wait(ms) => self.rig.wait(ms),
            _ => {}
        }
        for tab in 0..self.tabs.len() {
            let conn = self.conn(tab);
            if self.tabs[tab].online && self.rig.lines[&conn].closed.is_some() {
                self.salvage(tab);
                self.tabs[tab].online = false;
                self.rig.lines.remove(&conn);
            }
        }
    }

    fn intend(&mut self, tab: usize, space: usize, intent: Intent) {
        self.tabs[tab].spaces[space].written.push(intent);
        let id = self.tabs[tab].spaces[space].written.len() as u64;
        self.send(tab, space, id);
    }

    /// Does those with a number that have no final answer yet, in their order; the last one again if they all have.
    fn act_inside(&mut self, space: usize) {
        for number in 1..=self.inside[space].numbered.len() as u64 {
            let is_last = number == self.inside[space].numbered.len() as u64;
            if self.inside_result(space, number).is_some() && !is_last {
                continue;
            }
            self.calls += 1;
            self.inside[space].calls.insert(self.calls, number);
            let act = self.inside[space].numbered[number as usize - 1].clone();
            self.rig.act_inside(self.calls, SPACES[space], Some((JOBS, number)), &act);
        }
    }

    /// What came of a numbered action from inside: the same whoever asked.
    fn inside_result(&self, space: usize, number: u64) -> Option<Result<Option<String>, String>> {
        let calls = self.inside[space].calls.iter().filter(|(_, of)| **of == number).map(|(call, _)| call);
        let said = calls.filter_map(|call| match self.rig.acted.get(call)? {
            Ok((_, output)) => Some(Ok(output.clone())),
            Err(error) if ["storage", "too_many", "write_gap"].contains(&error.code()) => None,
            Err(error) => Some(Err(error.code().to_owned())),
        });
        let said: Vec<_> = said.collect();
        assert!(said.windows(2).all(|two| two[0] == two[1]), "what came of it never changes: {said:?}");
        said.into_iter().next()
    }

    fn join(&mut self, tab: usize) {
        self.conns += 1;
        let conn = self.conns;
        self.tabs[tab].conn = conn;
        self.rig.connect(conn);
        let Tab { client, .. } = &self.tabs[tab];
        let hello = json!({"protocol": 1, "client": client, "token": self.tabs[tab].token()});
        self.rig.say(conn, json!({"hello": hello}));
        self.tabs[tab].online = true;
        for kept in std::mem::take(&mut self.tabs[tab].subs) {
            let (sub, cursor) = (self.next_sub(tab), kept.cursor);
            if sub.is_multiple_of(2) {
                self.rig.subscribe_holding(conn, sub, kept, cursor);
            } else {
                self.rig.subscribe_again(conn, sub, kept, cursor);
            }
        }
        self.send_unanswered(tab);
    }

    fn next_sub(&mut self, tab: usize) -> u32 {
        self.tabs[tab].next_sub += 1;
        self.tabs[tab].next_sub
    }

    fn authenticate(&mut self, tab: usize) {
        if self.tabs[tab].online {
            let token = self.tabs[tab].token();
            self.rig.say(self.conn(tab), json!({"auth": {"token": token}}));
        }
    }

    fn send(&mut self, tab: usize, space: usize, id: u64) {
        let writes = &self.tabs[tab].spaces[space];
        let Some(intent) = id.checked_sub(1).and_then(|index| writes.written.get(index as usize)) else {
            return;
        };
        if self.tabs[tab].online {
            let (conn, client) = (self.conn(tab), self.tabs[tab].client.clone());
            match intent.clone() {
                Intent::Rows(ops) => self.rig.write_as(conn, SPACES[space], &client, id, ops),
                Intent::Act(act) => self.rig.act_as(conn, SPACES[space], &client, id, &act),
            }
        }
    }

    fn send_unanswered(&mut self, tab: usize) {
        for space in 0..SPACES.len() {
            for id in 1..=self.tabs[tab].spaces[space].written.len() as u64 {
                if !self.tabs[tab].spaces[space].verdicts.contains_key(&id) {
                    self.send(tab, space, id);
                }
            }
        }
    }

    /// Takes over from the page what it has been told, and checks that nobody ever told it otherwise.
    fn salvage(&mut self, tab: usize) {
        if !self.tabs[tab].online {
            return;
        }
        let conn = self.conn(tab);
        let page = self.rig.page(conn);
        let Tab { subs, spaces, client, .. } = &mut self.tabs[tab];
        *subs = page.subs.values().map(Sub::kept).collect();
        for ((space, author, id), verdict) in &page.verdicts {
            assert_eq!(author, client, "nobody else's writes are told of");
            let space = SPACES.iter().position(|it| it == space).expect("a space");
            if let Some(before) = spaces[space].verdicts.insert(*id, verdict.clone()) {
                assert_eq!(&before, verdict, "a verdict never changes");
            }
        }
        for ((space, author, id), output) in &page.outputs {
            assert_eq!(author, client, "nobody else's outputs are told");
            let space = SPACES.iter().position(|it| it == space).expect("a space");
            if let Some(before) = spaces[space].outputs.insert(*id, output.clone()) {
                assert_eq!(&before, output, "an output never changes");
            }
        }
    }

    /// Lets everything come to its end.
    fn quiet(&mut self) {
        self.rig.disk_waits = false;
        for _ in 0..100 {
            for tab in 0..self.tabs.len() {
                self.take(Step::Join(tab, true));
                self.authenticate(tab);
                self.take(Step::CatchUp(tab));
            }
            self.rig.wait(1);
            (0..self.tabs.len()).for_each(|tab| self.salvage(tab));
            let open = |tab: &Tab| tab.spaces.iter().any(|it| it.verdicts.len() < it.written.len());
            let inside = (0..SPACES.len()).filter(|&space| {
                let numbers = 1..=self.inside[space].numbered.len() as u64;
                numbers.into_iter().any(|number| self.inside_result(space, number).is_none())
            });
            let inside: Vec<_> = inside.collect();
            let all_here = self.tabs.iter().all(|tab| tab.online);
            if !self.tabs.iter().any(open) && all_here && inside.is_empty() {
                return;
            }
            inside.into_iter().for_each(|space| self.act_inside(space));
            (0..self.tabs.len()).for_each(|tab| self.send_unanswered(tab));
        }
        panic!("it never becomes quiet");
    }

    fn check(&self) {
        for (index, space) in SPACES.iter().enumerate() {
            self.check_history(index, space);
        }
        for (tab, it) in self.tabs.iter().enumerate() {
            let page = self.rig.page(self.conn(tab));
            for sub in page.subs.values() {
                assert!(sub.live, "every subscription is answered");
                let query = sub.query.as_ref().unwrap();
                let expected = self.expected(query, &it.user());
                assert_eq!(sub.rows, expected, "tab {tab}, {query:?}");
                let (mut related, mut counts) = (Vec::new(), BTreeMap::new());
                for (relation, spec) in query.relations.iter().enumerate() {
                    let mut all = BTreeMap::new();
                    for parent in sub.rows.keys() {
                        let (collection, order) = (spec.collection.clone(), spec.order.clone());
                        let (filter, space) = (spec.filter.clone(), query.space.clone());
                        let (limit, relations) = (None, Vec::new());
                        let children = QuerySpec { space, collection, filter, order, limit, relations };
                        let mut children = self.ordered(&children, &it.user());
                        children.retain(|row| row["text"] == *parent);
                        if spec.count && !children.is_empty() {
                            counts.insert((relation, parent.clone()), children.len() as u64);
                        }
                        children.truncate(spec.limit as usize);
                        all.extend(
                            children.into_iter().map(|row| (row["id"].as_str().unwrap().to_owned(), row)),
                        );
                    }
                    related.push(all);
                }
                assert_eq!((&sub.related, &sub.counts), (&related, &counts), "tab {tab}, {query:?}");
            }
            for failed in page.failed.values() {
                assert!(["too_many", "storage"].contains(&failed.code()), "{failed}");
            }
        }
    }

    /// Every write happened once or was refused, as its author was told; and the rows are what they make.
    fn check_history(&self, index: usize, space: &str) {
        let Some(stored) = self.rig.disk.get(space) else { return };
        let mut rows = BTreeMap::<(String, String), Value>::new();
        let (mut applied, mut outputs, mut jobs) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        for (client, write) in &self.rig.history[space] {
            if (client.as_str(), *write) == (INSIDE, 0) {
                continue;
            }
            assert!(applied.insert((client.clone(), *write)), "once");
            let intent = if client == JOBS {
                Intent::Act(self.inside[index].numbered[*write as usize - 1].clone())
            } else {
                let tab = self.tabs.iter().find(|tab| tab.client == *client).expect("a tab");
                tab.spaces[index].written[*write as usize - 1].clone()
            };
            match intent {
                Intent::Rows(ops) => replay(&mut rows, &RowOps { ops }),
                Intent::Act(act) => {
                    let output = replay_act(&mut rows, &mut jobs, &act);
                    outputs.insert((client.clone(), *write), output);
                }
            }
        }
        let left: Vec<_> =
            stored.jobs.iter().map(|job| (job.name.to_string(), job.payload.to_string())).collect();
        assert_eq!(left, jobs, "jobs come of what was applied, and of nothing else");
        for number in 1..=self.inside[index].numbered.len() as u64 {
            let result = self.inside_result(index, number).expect("an answer");
            let happened = outputs.get(&(JOBS.to_owned(), number));
            assert_eq!(result.ok().as_ref(), happened, "{number}");
        }
        for call in &self.inside[index].counts {
            if let Some(Err(error)) = self.rig.acted.get(call) {
                assert!(["storage", "too_many"].contains(&error.code()), "{error}");
            }
        }
        let stored_rows: BTreeMap<_, _> = stored
            .rows
            .iter()
            .map(|(place, json)| (place.clone(), serde_json::from_slice(json).unwrap()))
            .collect();
        assert_eq!(rows, stored_rows);
        for tab in &self.tabs {
            for (id, verdict) in &tab.spaces[index].verdicts {
                let happened = applied.contains(&(tab.client.clone(), *id));
                assert_eq!(happened, verdict.is_ok(), "{} {id}: {verdict:?}", tab.client);
                assert!(stored.clients[&tab.client].last >= *id);
            }
            for (id, output) in &tab.spaces[index].outputs {
                assert_eq!(outputs[&(tab.client.clone(), *id)].as_ref(), Some(output), "what it was then");
            }
        }
    }

    fn expected(&self, query: &QuerySpec, user: &User) -> BTreeMap<String, Value> {
        let rows = self.ordered(query, user).into_iter();
        rows.map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect()
    }

    fn ordered(&self, query: &QuerySpec, user: &User) -> Vec<Value> {
        let Some(stored) = self.rig.disk.get(query.space.as_str()) else { return Vec::new() };
        let rows = stored.rows.iter().filter(|((collection, _), _)| *collection == *query.collection);
        let mut rows: Vec<Value> = rows.map(|(_, json)| serde_json::from_slice(json).unwrap()).collect();
        rows.retain(|row| {
            let secret = serde_json::from_value::<Secret>(row.clone());
            secret.map_or(true, |secret| Rules::sees(user, &secret))
        });
        rows.retain(|row| match &query.filter {
            None => true,
            Some(query::Filter::Compare(query::FilterOp::Gt, _, _)) => row["n"].as_i64() > Some(0),
            Some(query::Filter::Compare(query::FilterOp::Lt, _, _)) => row["n"].as_i64() < Some(2),
            other => panic!("{other:?}"),
        });
        rows.sort_by(|a, b| {
            let by_n = match query.order.first().map(|order| order.direction) {
                None => Ordering::Equal,
                Some(query::Direction::Asc) => a["n"].as_i64().cmp(&b["n"].as_i64()),
                Some(query::Direction::Desc) => b["n"].as_i64().cmp(&a["n"].as_i64()),
            };
            by_n.then_with(|| a["id"].as_str().cmp(&b["id"].as_str()))
        });
        rows.truncate(query.limit.map_or(usize::MAX, |limit| limit as usize));
        rows
    }
}

fn replay(rows: &mut BTreeMap<(String, String), Value>, ops: &RowOps) {
    for op in &ops.ops {
        match op {
            RowOp::Put(collection, json) => {
                let row: Value = serde_json::from_str(json.get()).unwrap();
                rows.insert((collection.to_string(), row["id"].as_str().unwrap().to_owned()), row);
            }
            RowOp::Patch(collection, key, set) => {
                let row = rows.get_mut(&(collection.to_string(), key.to_string())).expect("a row to patch");
                set.iter().for_each(|(name, json)| row[&**name] = serde_json::from_str(json.get()).unwrap());
            }
            RowOp::Delete(collection, key) => {
                rows.remove(&(collection.to_string(), key.to_string()));
            }
        }
    }
}

/// What an action does and gives back, the plain way.
fn replay_act(
    rows: &mut BTreeMap<(String, String), Value>,
    jobs: &mut Vec<(String, String)>,
    act: &Act,
) -> Option<String> {
    match act {
        Act::Add(id, n) => {
            rows.insert(("notes".into(), id.clone()), json!({"id": id, "text": "", "n": n}));
            None
        }
        Act::Bump(id) => {
            let row = rows.get_mut(&("notes".to_owned(), id.clone())).expect("a row to bump");
            let n = row["n"].as_i64().unwrap() + 1;
            row["n"] = n.into();
            if n % 2 == 0 {
                jobs.push(("even".into(), json!([id, n]).to_string()));
            }
            Some(n.to_string())
        }
        Act::Count => Some(rows.keys().filter(|(of, _)| of == "notes").count().to_string()),
        other => panic!("{other:?} is not in the model, or is always refused"),
    }
}

fn act() -> impl Strategy<Value = Act> {
    let key = || (0..8_u8).prop_map(|key| format!("n{key}"));
    prop_oneof![
        2 => (key(), -3..6_i64).prop_map(|(key, n)| Act::Add(key, n)),
        4 => key().prop_map(Act::Bump),
        2 => Just(Act::Count),
        1 => (0..3_usize).prop_map(Act::Refuse),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..8_u8, -3..6_i64, prop::bool::weighted(0.1), 0..8_u8)
            .prop_map(|(key, n, rude, parent)| Op::PutNote(key, n, rude, parent)),
        2 => (0..8_u8, -3..6_i64).prop_map(|(key, n)| Op::PatchNote(key, n)),
        4 => (0..8_u8).prop_map(Op::DeleteNote),
        4 => (0..6_u8, 0..4_usize, -3..6_i64, 0..8_u8)
            .prop_map(|(key, owner, n, parent)| Op::PutSecret(key, owner, n, parent)),
        1 => (0..6_u8).prop_map(Op::DeleteSecret),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (tab, space) = (0..PEOPLE.len(), 0..SPACES.len());
    prop_oneof![
        4 => (tab.clone(), any::<bool>()).prop_map(|(tab, reads)| Step::Join(tab, reads)),
        1 => tab.clone().prop_map(Step::Leave),
        5 => (tab.clone(), space.clone(), 0..10_usize).prop_map(|(tab, space, query)| Step::Subscribe(tab, space, query)),
        1 => (tab.clone(), 0..6_usize).prop_map(|(tab, which)| Step::Unsubscribe(tab, which)),
        12 => (tab.clone(), space.clone(), prop::collection::vec(op(), 1..4))
            .prop_map(|(tab, space, ops)| Step::Write(tab, space, ops)),
        8 => (tab.clone(), space.clone(), act()).prop_map(|(tab, space, act)| Step::Act(tab, space, act)),
        2 => (space.clone(), any::<bool>(), act()).prop_map(|(space, once, act)| Step::Inside(space, once, act)),
        1 => space.clone().prop_map(Step::InsideAgain),
        1 => (tab.clone(), space.clone(), 1..10_u64).prop_map(|(tab, space, id)| Step::Again(tab, space, id)),
        1 => (tab.clone(), space).prop_map(|(tab, space)| Step::Skip(tab, space)),
        1 => (tab.clone(), any::<bool>()).prop_map(|(tab, name)| Step::Rename(tab, name)),
        1 => tab.clone().prop_map(Step::Expire),
        5 => tab.clone().prop_map(Step::StopReading),
        10 => (tab.clone(), 1..4_usize).prop_map(|(tab, frames)| Step::Read(tab, frames)),
        2 => tab.clone().prop_map(Step::CatchUp),
        1 => tab.prop_map(Step::Lag),
        8 => prop::bool::weighted(0.95).prop_map(Step::Load),
        14 => prop::bool::weighted(0.85).prop_map(Step::Commit),
        // one in a hundred and some, so that most lives are long
        1 => prop::bool::weighted(0.4).prop_map(|crash| if crash { Step::CrashAfterCommit } else { Step::Commit(true) }),
        1 => (1..20_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn once_quiet_everybody_was_told_the_truth(steps in prop::collection::vec(step(), 1..160)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.take(step));
        world.quiet();
        world.check();
    }
}
