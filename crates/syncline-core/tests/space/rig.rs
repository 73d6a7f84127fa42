//! An engine with everything around it that a server would bring.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use syncline_core::ops::{RowOp, RowOps};
use syncline_core::space::{
    CallId, ClientRecord, Commit, Config, ConnId, Engine, Identity, Input, NewJob, Output, SpaceImage,
    StoredRow,
};
use syncline_core::wire::{ClientMessage, Frame, ServerMessage, SubId, User};
use syncline_core::{Error, Incarnation, Query, QuerySpec, Record, code};

use crate::channel::{Act, channels, payload};
use crate::page::{Page, Sub};
use crate::rules::{Note, Rules, Secret, schema};

pub(crate) const SPACE: &str = "list-1";

/// A space as the disk has it.
#[derive(Clone, Default)]
pub(crate) struct Stored {
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) version: u64,
    /// By collection and key.
    pub(crate) rows: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) clients: BTreeMap<String, ClientRecord>,
    pub(crate) log: Vec<syncline_core::space::LogEntry>,
    pub(crate) jobs: Vec<NewJob>,
}

/// What came of an action from inside: a version and what it gave back, or a code.
pub(crate) type Acted = Result<(u64, Option<String>), Error>;

/// What is at the other end of a connection number.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) page: Page,
    /// All frames that arrived.
    pub(crate) heard: Vec<Arc<[u8]>>,
    waiting: VecDeque<(Arc<[u8]>, bool, bool)>,
    reads: bool,
    pub(crate) closed: Option<Option<Error>>,
}

pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) now: u64,
    pub(crate) disk: BTreeMap<String, Stored>,
    pub(crate) lines: BTreeMap<ConnId, Line>,
    /// All writes that were ever committed, by client and id, in order, by space.
    pub(crate) history: BTreeMap<String, Vec<(String, u64)>>,
    /// Commits that the disk has not done yet.
    pub(crate) commits: VecDeque<Commit>,
    /// Spaces that the disk has not read yet.
    pub(crate) loads: VecDeque<String>,
    pub(crate) disk_waits: bool,
    pub(crate) unreadable: Vec<String>,
    /// Connections whose credentials nobody has looked at yet.
    pub(crate) unknown: VecDeque<(ConnId, Option<String>)>,
    pub(crate) doorman_waits: bool,
    /// What came of actions from inside.
    pub(crate) acted: BTreeMap<CallId, Acted>,
    ids: BTreeMap<(String, String), u64>,
    seed: u64,
    config: Config,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self {
            engine: engine(&config, 1),
            now: 1_000_000,
            disk: BTreeMap::new(),
            lines: BTreeMap::new(),
            history: BTreeMap::new(),
            commits: VecDeque::new(),
            loads: VecDeque::new(),
            disk_waits: false,
            unreadable: Vec::new(),
            unknown: VecDeque::new(),
            doorman_waits: false,
            acted: BTreeMap::new(),
            ids: BTreeMap::new(),
            seed: 1,
            config,
        }
    }

    // the server

    pub(crate) fn feed(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.drain();
    }

    pub(crate) fn rights_changed(&mut self, user: &str) {
        self.feed(Input::RightsChanged { user: user.into() });
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { conn, frame, lossy, drained } => {
                    let line = self.lines.get_mut(&conn).expect("a connection");
                    assert!(line.closed.is_none(), "nothing is sent after the close");
                    line.waiting.push_back((frame, lossy, drained));
                }
                Output::Close { conn, error } => {
                    let line = self.lines.get_mut(&conn).expect("a connection");
                    assert!(line.closed.replace(error).is_none(), "closed once");
                }
                Output::Authenticate { conn, token } => self.unknown.push_back((conn, token)),
                Output::Load { space } => self.loads.push_back(space.to_string()),
                Output::Commit(commit) => {
                    let waits = self.commits.iter().any(|other| other.space == commit.space);
                    assert!(!waits, "one commit of a space at a time");
                    self.commits.push_back(*commit);
                }
                Output::Acted { call, result } => {
                    let result = result.map(|(version, output)| (version, output.map(|it| it.to_string())));
                    assert!(self.acted.insert(call, result).is_none(), "a call is answered once");
                }
                Output::Unreadable { key, .. } => self.unreadable.push(key),
            }
        }
        self.go_on();
    }

    /// Everything that does not wait for the test.
    fn go_on(&mut self) {
        let conns: Vec<_> = self.lines.keys().copied().collect();
        for conn in conns {
            self.read(conn);
        }
        if !self.doorman_waits
            && let Some((conn, token)) = self.unknown.pop_front()
        {
            return self.feed(Input::Authenticated { conn, result: identify(token.as_deref()) });
        }
        if !self.disk_waits {
            if !self.loads.is_empty() {
                self.load();
            } else if !self.commits.is_empty() {
                self.commit();
            }
        }
    }

    fn read(&mut self, conn: ConnId) {
        while self.line(conn).reads && self.waiting(conn) > 0 {
            self.read_some(conn, 1);
        }
    }

    /// The client takes so many of the frames that wait for it.
    pub(crate) fn read_some(&mut self, conn: ConnId, frames: usize) {
        for _ in 0..frames {
            let line = self.line(conn);
            let Some((frame, _, drained)) = line.waiting.pop_front() else { return };
            line.page.hear(&frame);
            line.heard.push(frame);
            if drained {
                self.feed(Input::Drained { conn });
            }
        }
    }

    /// The disk reads the next space.
    pub(crate) fn load(&mut self) {
        let space = self.loads.pop_front().expect("a space to load");
        let stored = self.disk.get(&space).cloned().unwrap_or_default();
        let row = |((collection, key), json): ((String, String), Vec<u8>)| StoredRow {
            collection,
            key,
            version: 0,
            json,
        };
        let image = SpaceImage {
            incarnation: stored.incarnation,
            version: stored.version,
            rows: stored.rows.into_iter().map(row).collect(),
            log: stored.log,
            clients: stored.clients.into_values().collect(),
        };
        self.feed(Input::Loaded { space: space.into(), result: Ok(image) });
    }

    pub(crate) fn fail_load(&mut self) {
        let space = self.loads.pop_front().expect("a space to load");
        self.feed(Input::Loaded { space: space.into(), result: Err(Error::new(code::STORAGE, "no disk")) });
    }

    /// The disk does the next commit, and says so.
    pub(crate) fn commit(&mut self) {
        let done = self.store().expect("a commit");
        self.feed(done);
    }

    /// The disk does the next commit and has not said so yet.
    pub(crate) fn store(&mut self) -> Option<Input> {
        let commit = self.commits.pop_front()?;
        let stored = self.disk.entry(commit.space.to_string()).or_default();
        assert_eq!(stored.version, commit.from);
        let follows = commit.renews.unwrap_or(commit.incarnation);
        assert!(stored.incarnation.is_none_or(|it| it == follows));
        assert_eq!(commit.log.len() as u64, commit.to - commit.from, "a version for each write, and no gap");
        assert!(commit.log.iter().map(|entry| entry.version).eq(commit.from + 1..=commit.to));
        stored.incarnation = Some(commit.incarnation);
        stored.version = commit.to;
        for row in commit.rows {
            let place = (row.collection.to_owned(), row.key.to_string());
            match row.json {
                Some(json) => drop(stored.rows.insert(place, json.to_vec())),
                None => drop(stored.rows.remove(&place)),
            }
        }
        for client in commit.forgotten {
            stored.clients.remove(client.as_str());
        }
        for client in commit.clients {
            stored.clients.insert(client.client.to_string(), client);
        }
        let written = commit.log.iter().map(|entry| (entry.client.to_string(), entry.write));
        self.history.entry(commit.space.to_string()).or_default().extend(written);
        stored.log.extend(commit.log);
        stored.log.retain(|entry| entry.version > commit.log_floor);
        for job in commit.jobs {
            assert!((commit.from + 1..=commit.to).contains(&job.id.version), "a job is of its commit");
            assert!(stored.jobs.iter().all(|other| other.id != job.id), "an id is for one job");
            stored.jobs.push(job);
        }
        Some(Input::Committed { space: commit.space, commit: commit.id, result: Ok(()) })
    }

    /// The disk cannot do the next commit.
    pub(crate) fn fail_commit(&mut self) {
        let commit = self.commits.pop_front().expect("a commit");
        let result = Err(Error::new(code::STORAGE, "the disk is full"));
        self.feed(Input::Committed { space: commit.space, commit: commit.id, result });
    }

    pub(crate) fn commit_all(&mut self) {
        while !self.commits.is_empty() {
            self.commit();
        }
    }

    /// The server dies and starts again on the same disk. All connections are gone.
    pub(crate) fn crash(&mut self) {
        self.seed += 1;
        self.engine = engine(&self.config, self.seed);
        self.lines.clear();
        self.commits.clear();
        self.loads.clear();
        self.unknown.clear();
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(deadline) = self.engine.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.feed(Input::Tick);
        }
        self.now = end;
    }

    // the network

    pub(crate) fn connect(&mut self, conn: ConnId) {
        self.connect_by(conn, None);
    }

    pub(crate) fn connect_by(&mut self, conn: ConnId, link: Option<&str>) {
        let before = self.lines.insert(conn, Line { reads: true, ..Line::default() });
        assert!(before.is_none(), "a connection number is used once");
        self.feed(Input::Connected { conn, link: link.map(str::to_owned) });
    }

    /// A connection that has said hello; its client is `client-<user>`. `token` is a user, or `user:Name`, or
    /// `user@time` for credentials that grow old.
    pub(crate) fn join(&mut self, conn: ConnId, token: &str) {
        self.connect(conn);
        let user = token.split([':', '@']).next().unwrap_or(token);
        self.say(conn, json!({"hello": {"protocol": 1, "client": format!("client-{user}"), "token": token}}));
    }

    pub(crate) fn disconnect(&mut self, conn: ConnId) {
        self.lines.remove(&conn);
        self.feed(Input::Disconnected { conn });
    }

    pub(crate) fn say(&mut self, conn: ConnId, message: Value) {
        self.say_bytes(conn, message.to_string().into_bytes());
    }

    pub(crate) fn say_message(&mut self, conn: ConnId, message: &ClientMessage) {
        self.say_bytes(conn, serde_json::to_vec(message).unwrap());
    }

    pub(crate) fn say_bytes(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.feed(Input::Frame { conn, bytes });
    }

    pub(crate) fn stop_reading(&mut self, conn: ConnId) {
        self.line(conn).reads = false;
    }

    pub(crate) fn read_on(&mut self, conn: ConnId) {
        self.line(conn).reads = true;
        self.read(conn);
    }

    /// The driver throws away what waits for a connection.
    pub(crate) fn lag(&mut self, conn: ConnId) {
        self.line(conn).waiting.retain(|(_, lossy, _)| !lossy);
        self.feed(Input::Lagged { conn });
    }

    /// What waits for a connection has left after all.
    pub(crate) fn catch_up(&mut self, conn: ConnId) {
        self.read_on(conn);
        self.feed(Input::Drained { conn });
    }

    pub(crate) fn line(&mut self, conn: ConnId) -> &mut Line {
        self.lines.get_mut(&conn).expect("a connection")
    }

    /// How many frames wait for a connection that does not read.
    pub(crate) fn waiting(&self, conn: ConnId) -> usize {
        self.lines[&conn].waiting.len()
    }

    pub(crate) fn page(&self, conn: ConnId) -> &Page {
        &self.lines[&conn].page
    }

    /// The frames that arrived since this was last asked.
    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<ServerMessage> {
        let heard = std::mem::take(&mut self.line(conn).heard);
        heard.iter().map(|frame| Frame::parse(frame).expect("a frame").message).collect()
    }

    /// As [`heard`](Self::heard), as text.
    pub(crate) fn heard_text(&mut self, conn: ConnId) -> String {
        let heard = std::mem::take(&mut self.line(conn).heard);
        heard.iter().map(|frame| format!("{}\n", String::from_utf8_lossy(frame))).collect()
    }

    /// The kinds of the frames that arrived since this was last asked.
    pub(crate) fn heard_kinds(&mut self, conn: ConnId) -> Vec<&'static str> {
        self.heard(conn).iter().map(kind).collect()
    }

    // people

    pub(crate) fn subscribe<R: Record>(&mut self, conn: ConnId, sub: SubId, query: Query<R>) {
        self.subscribe_spec(conn, sub, query.spec().clone(), None);
    }

    pub(crate) fn subscribe_spec(
        &mut self,
        conn: ConnId,
        sub: SubId,
        spec: QuerySpec,
        cursor: Option<syncline_core::Cursor>,
    ) {
        self.line(conn).page.subscribe(sub, spec.clone());
        let subscribe = syncline_core::wire::Subscribe { sub, query: spec, cursor, held: None };
        self.say_message(conn, &ClientMessage::Subscribe(subscribe));
    }

    /// Subscribes with rows that were kept, as far as `cursor`.
    pub(crate) fn subscribe_again(
        &mut self,
        conn: ConnId,
        sub: SubId,
        kept: Sub,
        cursor: Option<syncline_core::Cursor>,
    ) {
        let query = kept.query.clone().expect("a query");
        self.line(conn).page.subs.insert(sub, kept);
        let subscribe = syncline_core::wire::Subscribe { sub, query, cursor, held: None };
        self.say_message(conn, &ClientMessage::Subscribe(subscribe));
    }

    /// As [`subscribe_again`](Self::subscribe_again), saying which rows were kept.
    pub(crate) fn subscribe_holding(
        &mut self,
        conn: ConnId,
        sub: SubId,
        mut kept: Sub,
        cursor: Option<syncline_core::Cursor>,
    ) {
        let query = kept.query.clone().expect("a query");
        kept.held = kept.rows.keys().cloned().collect();
        kept.held_children = kept.related.iter().map(|rows| rows.keys().cloned().collect()).collect();
        let mut held = syncline_core::wire::Held::new(42, kept.held.iter().map(String::as_str));
        for (relation, keys) in kept.held_children.iter().enumerate() {
            let count = |key: &String| kept.counts.get(&(relation, key.clone())).copied().unwrap_or_default();
            let counts: Vec<u64> = kept.held.iter().map(count).collect();
            held = held.with_children(keys.iter().map(String::as_str), counts);
        }
        self.line(conn).page.subs.insert(sub, kept);
        let subscribe = syncline_core::wire::Subscribe { sub, query, cursor, held: Some(held) };
        self.say_message(conn, &ClientMessage::Subscribe(subscribe));
    }

    pub(crate) fn unsubscribe(&mut self, conn: ConnId, sub: SubId) {
        self.line(conn).page.unsubscribe(sub);
        self.say(conn, json!({"unsubscribe": {"sub": sub}}));
    }

    /// A write of the next id.
    pub(crate) fn write(&mut self, conn: ConnId, client: &str, ops: Vec<RowOp>) -> u64 {
        let next = self.ids.entry((SPACE.to_owned(), client.to_owned())).or_default();
        *next += 1;
        let id = *next;
        self.write_as(conn, SPACE, client, id, ops);
        id
    }

    pub(crate) fn write_as(&mut self, conn: ConnId, space: &str, client: &str, id: u64, ops: Vec<RowOp>) {
        let payload = RowOps { ops }.to_payload().unwrap();
        self.envelope(conn, space, client, id, "rows", payload);
    }

    /// An action of the next id.
    pub(crate) fn act(&mut self, conn: ConnId, client: &str, act: &Act) -> u64 {
        let next = self.ids.entry((SPACE.to_owned(), client.to_owned())).or_default();
        *next += 1;
        let id = *next;
        self.act_as(conn, SPACE, client, id, act);
        id
    }

    pub(crate) fn act_as(&mut self, conn: ConnId, space: &str, client: &str, id: u64, act: &Act) {
        self.envelope(conn, space, client, id, "action", payload(act).to_payload().unwrap());
    }

    fn envelope(
        &mut self,
        conn: ConnId,
        space: &str,
        client: &str,
        id: u64,
        kind: &str,
        payload: Box<serde_json::value::RawValue>,
    ) {
        let (space, client, kind) = (space.into(), client.into(), kind.into());
        let write = syncline_core::wire::Write { space, client, id, settled: 0, kind, payload };
        self.say_message(conn, &ClientMessage::Write(write));
    }

    /// An action of Ada's from inside the process, once only when it has a number.
    pub(crate) fn act_inside(&mut self, call: CallId, space: &str, write: Option<(&str, u64)>, act: &Act) {
        let user = User { id: "ada".into(), name: None };
        let write = write.map(|(client, id)| (client.into(), id));
        self.feed(Input::Act { call, user, space: space.into(), write, action: payload(act) });
    }

    /// What an action to [`SPACE`] gave back, as its page heard it.
    pub(crate) fn output(&self, conn: ConnId, client: &str, id: u64) -> Option<&str> {
        let outputs = &self.page(conn).outputs;
        outputs.get(&(SPACE.to_owned(), client.to_owned(), id)).map(String::as_str)
    }

    pub(crate) fn put_note(&mut self, conn: ConnId, client: &str, id: &str, n: i64) {
        self.write(conn, client, vec![note(id, "", n)]);
    }

    /// The verdict that a page heard on a write to [`SPACE`].
    pub(crate) fn verdict(&self, conn: ConnId, client: &str, id: u64) -> Option<Result<(), String>> {
        let verdict = self.page(conn).verdicts.get(&(SPACE.to_owned(), client.to_owned(), id))?;
        Some(verdict.clone().map_err(|error| error.code().to_owned()))
    }

    /// The keys of a collection on the disk.
    pub(crate) fn stored(&self, collection: &str) -> Vec<&str> {
        let Some(space) = self.disk.get(SPACE) else { return Vec::new() };
        space.rows.keys().filter(|(of, _)| of == collection).map(|(_, key)| key.as_str()).collect()
    }

    /// The ids of all connections.
    pub(crate) fn conns(&self) -> BTreeSet<ConnId> {
        self.lines.keys().copied().collect()
    }
}

fn engine(config: &Config, seed: u64) -> Engine {
    Engine::new(config.clone(), schema(), Arc::new(Rules), seed).actions(Arc::new(channels()))
}

pub(crate) fn identify(token: Option<&str>) -> Result<Identity, Error> {
    let token = token.unwrap_or_default();
    if token.is_empty() || token == "bad" {
        return Err(Error::new(code::UNAUTHENTICATED, "who are you?"));
    }
    let (token, expires_at) = match token.split_once('@') {
        Some((token, at)) => (token, at.parse().ok()),
        None => (token, None),
    };
    let (id, name) = match token.split_once(':') {
        Some((id, name)) => (id, Some(name.to_owned())),
        None => (token, None),
    };
    Ok(Identity { user: User { id: id.into(), name }, expires_at })
}

pub(crate) fn kind(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::Welcome(_) => "welcome",
        ServerMessage::Snapshot(_) => "snapshot",
        ServerMessage::Resume(_) => "resume",
        ServerMessage::Changes(_) => "changes",
        ServerMessage::Reset(_) => "reset",
        ServerMessage::Failed(_) => "failed",
        ServerMessage::Expired(_) => "expired",
        ServerMessage::Error(_) => "error",
        ServerMessage::Ping(_) => "ping",
        ServerMessage::Pong(_) => "pong",
    }
}

pub(crate) fn note(id: &str, text: &str, n: i64) -> RowOp {
    RowOp::put(&Note { id: id.to_owned(), text: text.to_owned(), n }).unwrap()
}

pub(crate) fn secret(id: &str, owner: &str, text: &str, n: i64) -> RowOp {
    RowOp::put(&Secret { id: id.into(), owner: owner.into(), text: text.into(), n }).unwrap()
}

pub(crate) fn notes() -> Query<Note> {
    Note::in_space(SPACE).order_by(Note::n)
}

pub(crate) fn secrets() -> Query<Secret> {
    Secret::in_space(SPACE).order_by(Secret::n)
}
