//! A core that watches a contrail service, and the lines on which a test says what the service says.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::client::contrail::{Access, AccessRequest, Answer, Call, Service, record_uri};
use syncline_core::client::{ClientCore, Config, Input, Output, WatchId};
use syncline_core::{
    ClientId, Error, Field, FieldDef, Query, QuerySpec, Record, RowState, ScalarRef, UserId,
};

pub(crate) const SPACE: &str = "ats://did:plc:alice/tools.atmo.event.space/s";
pub(crate) const ALICE: &str = "did:plc:alice";
pub(crate) const BOB: &str = "did:plc:bob";
/// What the collection is called in records; in the method's name it is `message`.
pub(crate) const NSID: &str = "app.event.message";
/// A time as snapshots have it, in ms.
pub(crate) const TIME_MS: i64 = 1_795_165_400_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) uri: String,
    pub(crate) did: String,
    pub(crate) rkey: String,
    pub(crate) time_us: i64,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) n: i64,
}

#[allow(non_upper_case_globals)]
impl Message {
    pub(crate) const rkey: Field<Self, String> = Field::new(2);
    pub(crate) const time_us: Field<Self, i64> = Field::new(3);
    pub(crate) const n: Field<Self, i64> = Field::new(5);

    pub(crate) fn of(did: &str, rkey: &str, text: &str) -> Self {
        let uri = record_uri(did, NSID, rkey);
        let (did, rkey, text) = (did.into(), rkey.into(), text.into());
        Self { uri, did, rkey, time_us: (TIME_MS + 999_999) * 1000, text, n: 0 }
    }
}

impl Record for Message {
    const COLLECTION: &'static str = "message";
    const FIELDS: &'static [FieldDef] = &[
        FieldDef { name: "uri", queryable: true, aliases: &[] },
        FieldDef { name: "did", queryable: true, aliases: &[] },
        FieldDef { name: "rkey", queryable: true, aliases: &[] },
        FieldDef { name: "time_us", queryable: true, aliases: &[] },
        FieldDef { name: "text", queryable: true, aliases: &[] },
        FieldDef { name: "n", queryable: true, aliases: &[] },
    ];
    const KEY_FIELD: &'static str = "uri";

    fn key(&self) -> &str {
        &self.uri
    }

    fn field(&self, index: usize) -> ScalarRef<'_> {
        match index {
            0 => ScalarRef::Text(&self.uri),
            1 => ScalarRef::Text(&self.did),
            2 => ScalarRef::Text(&self.rkey),
            3 => ScalarRef::Int(self.time_us),
            4 => ScalarRef::Text(&self.text),
            5 => ScalarRef::Int(self.n),
            _ => ScalarRef::Null,
        }
    }
}

/// A child of a message: its parent's uri stands in `subject`, wherever the record has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reaction {
    pub(crate) uri: String,
    pub(crate) subject: String,
    pub(crate) emoji: String,
    /// Of a child that is told of live, nothing is said of it.
    #[serde(default)]
    pub(crate) time_us: i64,
}

#[allow(non_upper_case_globals)]
impl Reaction {
    pub(crate) const subject: Field<Self, String> = Field::new(1);
    pub(crate) const emoji: Field<Self, String> = Field::new(2);

    pub(crate) fn to(message: &str, rkey: &str, emoji: &str) -> Self {
        let uri = record_uri(ALICE, "app.event.reaction", rkey);
        Self { uri, subject: record_uri(ALICE, NSID, message), emoji: emoji.into(), time_us: 0 }
    }

    /// As a service has it.
    pub(crate) fn record(&self) -> Value {
        let rkey = self.uri.rsplit('/').next();
        json!({
            "uri": self.uri, "did": ALICE, "rkey": rkey, "collection": "app.event.reaction",
            "value": {"subject": {"uri": self.subject}, "emoji": self.emoji},
        })
    }
}

impl Record for Reaction {
    const COLLECTION: &'static str = "reaction";
    const FIELDS: &'static [FieldDef] = &[
        FieldDef { name: "uri", queryable: true, aliases: &[] },
        FieldDef { name: "subject", queryable: true, aliases: &[] },
        FieldDef { name: "emoji", queryable: true, aliases: &[] },
        FieldDef { name: "time_us", queryable: true, aliases: &[] },
    ];
    const KEY_FIELD: &'static str = "uri";

    fn key(&self) -> &str {
        &self.uri
    }

    fn field(&self, index: usize) -> ScalarRef<'_> {
        match index {
            0 => ScalarRef::Text(&self.uri),
            1 => ScalarRef::Text(&self.subject),
            2 => ScalarRef::Text(&self.emoji),
            3 => ScalarRef::Int(self.time_us),
            _ => ScalarRef::Null,
        }
    }
}

/// As contrail sorts.
pub(crate) fn newest(space: &str) -> Query<Message> {
    Message::in_space(space).order_by(Message::time_us.desc()).order_by(Message::rkey.desc())
}

/// A record as a snapshot has it.
pub(crate) fn record(rkey: &str, after_ms: i64) -> Value {
    json!({
        "uri": record_uri(ALICE, NSID, rkey), "cid": null, "did": ALICE, "collection": NSID, "rkey": rkey,
        "time_us": TIME_MS + after_ms, "space": SPACE, "value": {"text": format!("text of {rkey}"), "n": after_ms},
    })
}

/// The same as a live event has it.
pub(crate) fn live(rkey: &str, after_ms: i64) -> Value {
    let mut record = record(rkey, after_ms);
    record["time_us"] = json!((TIME_MS + after_ms) * 1000);
    record["indexed_at"] = json!(TIME_MS + after_ms);
    record
}

/// A request that the core has made and that is not closed.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: u64,
    pub(crate) call: Call,
}

impl Asked {
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        let (_, params) = self.call.address.as_str().split_once('?')?;
        let mut params = form_urlencoded::parse(params.as_bytes());
        params.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

pub(crate) type Lists = Vec<(QuerySpec, Option<Vec<u8>>)>;

pub(crate) struct Rig {
    pub(crate) core: ClientCore,
    pub(crate) now: Duration,
    /// What is open, in the order in which it was asked for.
    pub(crate) open: Vec<Asked>,
    /// Attempts for which the application is asked for a ticket.
    pub(crate) asking: Vec<u64>,
    /// What each of all tickets is to be good for.
    pub(crate) requests: Vec<AccessRequest>,
    /// What storage was asked: the question, for whom.
    pub(crate) loads: Vec<(u64, Option<UserId>)>,
    /// What storage was given to keep.
    pub(crate) stores: Vec<(UserId, Lists)>,
    fresh: Vec<Asked>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(ClientId::from("client-1"), 7);
        config.contrail = Some(Service { namespace: "test.rt".into(), ..Service::default() });
        change(&mut config);
        let now = Duration::from_secs(100);
        let (open, asking, requests, loads, stores, fresh) = Default::default();
        Self { core: ClientCore::new(config), now, open, asking, requests, loads, stores, fresh }
    }

    pub(crate) fn with_tickets(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(|config| {
            if let Some(service) = &mut config.contrail {
                service.has_access = true;
            }
            change(config);
        })
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Call { attempt, call } => {
                    self.open.push(Asked { line: attempt, call });
                    self.fresh.extend(self.open.last().cloned());
                }
                Output::Close { attempt } => {
                    self.open.retain(|asked| asked.line != attempt);
                    self.fresh.retain(|asked| asked.line != attempt);
                    self.asking.retain(|asking| *asking != attempt);
                }
                Output::Access { attempt, request } => {
                    self.asking.push(attempt);
                    self.requests.push(request);
                }
                Output::Load { load, user, .. } => self.loads.push((load, user)),
                Output::Store { user, lists } => self.stores.push((user, lists)),
                Output::Open { .. } | Output::Send { .. } => panic!("not the protocol of a contrail service"),
                _ => {}
            }
        }
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.core.handle(self.now, input);
        self.drain();
    }

    pub(crate) fn watch<R: Record>(&mut self, query: &Query<R>) -> WatchId {
        let watch = self.core.watch(self.now, query);
        self.drain();
        watch
    }

    /// The one request since the last time.
    pub(crate) fn asked(&mut self) -> Asked {
        assert_eq!(self.fresh.len(), 1, "{:?}", self.fresh);
        self.fresh.remove(0)
    }

    /// The one request for this, among those since the last time.
    pub(crate) fn asked_for(&mut self, answer: Answer) -> Asked {
        let place = self.fresh.iter().position(|asked| asked.call.answer == answer);
        self.fresh.remove(place.unwrap_or_else(|| panic!("{:?}", self.fresh)))
    }

    pub(crate) fn asks_nothing(&self) -> bool {
        self.fresh.is_empty()
    }

    pub(crate) fn give_ticket(&mut self, ticket: &str) {
        let attempt = self.asking.remove(0);
        let access = Access { ticket: Some(ticket.into()), bearer: None };
        self.input(Input::Access { attempt, result: Ok(access) });
    }

    pub(crate) fn opened(&mut self, asked: &Asked) {
        self.input(Input::Opened { attempt: asked.line });
    }

    pub(crate) fn frame(&mut self, asked: &Asked, text: &str) {
        self.input(Input::Frame { attempt: asked.line, bytes: text.as_bytes() });
    }

    pub(crate) fn event(&mut self, asked: &Asked, kind: &str, data: Value) {
        self.frame(asked, &json!({"kind": kind, "data": data}).to_string());
    }

    pub(crate) fn closed(&mut self, asked: &Asked, error: Option<Error>) {
        self.open.retain(|open| open.line != asked.line);
        self.input(Input::Closed { attempt: asked.line, error });
    }

    /// A whole snapshot as events.
    pub(crate) fn snapshot(&mut self, asked: &Asked, records: &[Value], cursor: Option<&str>) {
        self.event(asked, "snapshot.start", json!({"spaceUri": SPACE, "collection": NSID}));
        for record in records {
            self.event(asked, "snapshot.record", json!({"record": record}));
        }
        self.event(asked, "snapshot.end", cursor.map_or(json!({}), |cursor| json!({"cursor": cursor})));
    }

    pub(crate) fn created(&mut self, asked: &Asked, record: Value) {
        self.event(asked, "record.created", json!({"record": record}));
    }

    pub(crate) fn deleted(&mut self, asked: &Asked, rkey: &str) {
        self.event(
            asked,
            "record.deleted",
            json!({"uri": record_uri(ALICE, NSID, rkey), "did": ALICE, "rkey": rkey}),
        );
    }

    /// Answers a request for a handshake, or for a page of a stream that goes over a socket.
    pub(crate) fn handshake(&mut self, asked: &Asked, records: &[Value], cursor: Option<&str>, socket: &str) {
        assert_eq!(asked.call.answer, Answer::Json);
        let body = json!({
            "transport": "ws", "snapshot": {"records": records, "cursor": cursor}, "ticketTtlMs": 120_000,
            "sinceTs": TIME_MS, "wsUrl": socket,
        });
        self.opened(asked);
        self.frame(asked, &body.to_string());
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.input(Input::Tick);
    }

    /// Waits until the core wants to be woken, and wakes it.
    pub(crate) fn wait_for_deadline(&mut self) -> Duration {
        let deadline = self.core.deadline().expect("the core waits for nothing");
        let waited = deadline.saturating_sub(self.now);
        self.wait(waited);
        waited
    }

    /// The record keys that a watch shows, with `?` behind pending ones and `!` behind failed ones.
    pub(crate) fn shown(&self, watch: WatchId) -> Vec<String> {
        let mark = |state: &RowState| match state {
            RowState::Confirmed => "",
            RowState::Pending => "?",
            RowState::Failed(_) => "!",
        };
        let entries = self.core.entries::<Message>(watch);
        entries.iter().map(|entry| format!("{}{}", entry.record.rkey, mark(&entry.state))).collect()
    }

    /// The emoji under a message, with `?` behind pending ones, and how many there are.
    pub(crate) fn reactions(&self, watch: WatchId, message: &str) -> (String, u64) {
        let parent = record_uri(ALICE, NSID, message);
        let children = self.core.children::<Reaction>(watch, 0, &parent);
        let mark = |state: &RowState| if *state == RowState::Confirmed { "" } else { "?" };
        let emoji = children.iter().map(|entry| format!("{}{}", entry.record.emoji, mark(&entry.state)));
        (emoji.collect(), self.core.count(watch, 0, &parent))
    }

    pub(crate) fn status(&self, watch: WatchId) -> &'static str {
        self.core.watch_state(watch).status.as_str()
    }

    pub(crate) fn error(&self, watch: WatchId) -> Option<String> {
        self.core.watch_state(watch).error.map(|error| error.code().to_owned())
    }
}
