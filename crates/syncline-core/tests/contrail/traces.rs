//! Replays of what real services have said (`tests/traces`): at the end the watch shows what the service holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::Record;
use syncline_core::client::contrail::{Answer, record_uri, refusal, socket_closed};
use syncline_core::client::{TransportPreference, WatchId};

use crate::rig::{ALICE, Asked, Message, NSID, Reaction, Rig, newest};

/// An event of the recording, and who comes to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "event", key = uri)]
struct Party {
    uri: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "rsvp", key = uri)]
struct Rsvp {
    uri: String,
    subject: String,
    status: String,
}

/// The messages that the service holds, by uri, as the recording's own control lines say.
#[derive(Default)]
struct Truth(BTreeMap<String, String>);

impl Truth {
    fn control(&mut self, line: &Value) {
        let args = &line["args"];
        let is_message = args.get("collection").is_none_or(|collection| collection == NSID);
        match line["type"].as_str().unwrap() {
            "create" if is_message => {
                let (did, rkey) = (&line["body"]["authorDid"], &line["body"]["rkey"]);
                let uri = record_uri(did.as_str().unwrap(), NSID, rkey.as_str().unwrap());
                self.0.insert(uri, args["text"].as_str().unwrap().to_owned());
            }
            "delete" if is_message => {
                let did = args["did"].as_str().unwrap_or(ALICE);
                self.0.remove(&record_uri(did, NSID, args["rkey"].as_str().unwrap()));
            }
            "bulk" => {
                let prefix = args["prefix"].as_str().unwrap_or("m");
                for n in 0..args["n"].as_u64().unwrap() {
                    let uri = record_uri(ALICE, NSID, &format!("{prefix}{n:04}"));
                    self.0.insert(uri, format!("message {n}"));
                }
            }
            _ => {}
        }
    }
}

/// One client of a recording, over all its attempts.
struct Replay {
    rig: Rig,
    watch: Option<WatchId>,
    line: Option<Asked>,
    truth: Truth,
    /// What was answered last.
    status: u16,
}

/// Replays what one client was told, over its attempts.
fn replay(trace: &str, attempts: &[&str]) -> Replay {
    replay_until(trace, attempts, "")
}

/// The same, up to a note of whoever recorded it.
fn replay_until(trace: &str, attempts: &[&str], note: &str) -> Replay {
    let mut replay = Replay { rig: Rig::new(), watch: None, line: None, truth: Truth::default(), status: 0 };
    for line in trace.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let dir = line["dir"].as_str().unwrap();
        if line["data"] == note {
            break;
        }
        if dir == "control" {
            replay.truth.control(&line);
        } else if attempts.contains(&line["client"].as_str().unwrap()) {
            if line["type"] == "client-closes" {
                break;
            }
            replay.step(dir, &line);
        }
    }
    replay
}

impl Replay {
    fn step(&mut self, dir: &str, line: &Value) {
        let kind = line["type"].as_str().unwrap_or_default();
        match (dir, kind) {
            ("req", "upgrade") => {
                if self.watch.is_none() {
                    // it went straight for the socket, which our client never does
                    self.begin(line["url"].as_str().unwrap(), TransportPreference::WebSocket);
                    self.line = Some(self.rig.asked());
                }
                // the handshake's body is not in the recording: what the service held, and where its socket is
                let asked = self.line.take().unwrap();
                let url = line["url"].as_str().unwrap();
                let records =
                    self.truth.0.iter().filter(|(uri, _)| uri.contains("/m0")).map(|(uri, text)| {
                        let rkey = uri.rsplit('/').next().unwrap();
                        json!({"uri": uri, "did": ALICE, "rkey": rkey, "time_us": 1, "value": {"text": text}})
                    });
                self.rig.handshake(&asked, &records.collect::<Vec<_>>(), None, url);
                let socket = self.rig.asked();
                assert_eq!(socket.call.answer, Answer::Socket);
                assert_eq!(format!("/{}", socket.call.address.as_str()), url);
                self.line = Some(socket);
            }
            ("req", _) => self.request(line["url"].as_str().unwrap()),
            ("res", "") => {
                self.status = line["status"].as_u64().unwrap() as u16;
                if self.status == 200 {
                    self.opened();
                }
            }
            ("res", "body") => {
                let body = line["raw"].as_str().or(line["data"].as_str()).unwrap();
                let asked = self.line.take().unwrap();
                self.rig.closed(&asked, Some(refusal(self.status, body.as_bytes())));
            }
            ("event", "upgrade") => self.opened(),
            ("event", "stream-end" | "stream-aborted") => {
                if let Some(asked) = self.line.take() {
                    self.rig.closed(&asked, None);
                }
            }
            ("recv", "close-frame") => {
                let asked = self.line.take().unwrap();
                let code = line["code"].as_u64().unwrap() as u16;
                self.rig.closed(&asked, Some(socket_closed(code, line["reason"].as_str().unwrap())));
            }
            ("recv", "pong") => {}
            ("recv", _) => self.receive(line),
            _ => {}
        }
    }

    fn begin(&mut self, url: &str, transport: TransportPreference) {
        let params = form_urlencoded::parse(url.split_once('?').unwrap().1.as_bytes());
        let space = params.clone().find(|(name, _)| name == "spaceUri").unwrap().1.into_owned();
        let param =
            |name: &str| params.clone().find(|(given, _)| given == name).map(|(_, value)| value.into_owned());
        let (ticket, invite) = (param("ticket"), param("inviteToken"));
        self.rig = Rig::with(|config| {
            config.transport = transport;
            if let Some(service) = &mut config.contrail {
                (service.has_access, service.invite) = (ticket.is_some(), invite);
            }
        });
        let mut query = newest(&space);
        if url.contains("hydrateReactions") {
            query = query.include(Reaction::subject.children().limit(10).counted());
        }
        self.watch = Some(self.rig.watch(&query));
        if let Some(ticket) = ticket {
            self.rig.give_ticket(&ticket);
        }
    }

    fn request(&mut self, url: &str) {
        if self.watch.is_some() {
            self.rig.wait_for_deadline();
        } else if url.contains("mode=ws") {
            self.begin(url, TransportPreference::WebSocket);
        } else {
            self.begin(url, TransportPreference::Auto);
        }
        let asked = self.rig.asked();
        let (path, ours) = asked.call.address.as_str().split_once('?').unwrap();
        let (recorded, theirs) = url.split_once('?').unwrap();
        assert_eq!(format!("/{path}"), recorded);
        for (name, value) in form_urlencoded::parse(theirs.as_bytes()) {
            let mut ours = form_urlencoded::parse(ours.as_bytes());
            assert!(ours.any(|pair| pair == (name.clone(), value.clone())), "{name} is not asked for");
        }
        self.line = Some(asked);
    }

    fn opened(&mut self) {
        if let Some(asked) = self.line.clone().filter(|asked| asked.call.answer != Answer::Json) {
            self.rig.opened(&asked);
        }
    }

    fn receive(&mut self, line: &Value) {
        let asked = self.line.clone().unwrap();
        match line["raw"].as_str() {
            Some(event) => {
                let (kind, data) = event.split_once("\ndata: ").unwrap();
                let kind = kind.strip_prefix("event: ").unwrap();
                self.rig.frame(&asked, &format!(r#"{{"kind":"{kind}","data":{data}}}"#));
            }
            None => self.rig.frame(&asked, line["data"].as_str().unwrap()),
        }
    }

    fn watch(&self) -> WatchId {
        self.watch.unwrap()
    }

    fn texts(&self) -> BTreeMap<String, String> {
        let entries = self.rig.core.entries::<Message>(self.watch());
        entries.iter().map(|entry| (entry.record.uri.clone(), entry.record.text.clone())).collect()
    }

    fn shows_the_truth(&self) {
        assert_eq!(self.texts(), self.truth.0);
        let times = self.rig.core.entries::<Message>(self.watch());
        // of the handshake's records, which are not in the recording, the time is made up
        assert!(
            times
                .iter()
                .all(|entry| entry.record.time_us > 1_795_000_000_000_000 || entry.record.time_us == 1000)
        );
    }
}

#[test]
fn a_snapshot() {
    let replay = replay(include_str!("../traces/contrail-sse-snapshot.jsonl"), &["A"]);
    replay.shows_the_truth();
    assert_eq!(replay.rig.shown(replay.watch()), ["m0002", "m0001", "m0000"]);
    assert_eq!(replay.rig.status(replay.watch()), "live");
}

#[test]
fn live_events() {
    let replay = replay(include_str!("../traces/contrail-sse-live.jsonl"), &["A"]);
    replay.shows_the_truth();
    assert_eq!(replay.texts().len(), 23);
}

#[test]
fn somebody_is_removed_from_the_space() {
    let replay = replay(include_str!("../traces/contrail-sse-live.jsonl"), &["B"]);
    assert_eq!(replay.rig.status(replay.watch()), "failed");
    assert_eq!(replay.rig.error(replay.watch()).as_deref(), Some("forbidden"));
    assert!(replay.texts().is_empty());
    // and is not let in again
    let again = self::replay(include_str!("../traces/contrail-sse-live.jsonl"), &["B2"]);
    assert_eq!(again.rig.error(again.watch()).as_deref(), Some("forbidden"));
    assert_eq!(again.rig.core.deadline(), None);
}

#[test]
fn somebody_is_removed_from_the_space_over_sockets() {
    for trace in [
        include_str!("../traces/contrail-ws-durable-object.jsonl"),
        include_str!("../traces/contrail-ws-in-memory.jsonl"),
    ] {
        let replay = replay(trace, &["B"]);
        assert_eq!(replay.rig.status(replay.watch()), "failed");
        assert_eq!(replay.rig.error(replay.watch()).as_deref(), Some("forbidden"));
        assert!(replay.texts().is_empty());
        assert_eq!(replay.rig.core.deadline(), None);
    }
}

#[test]
fn reconnects() {
    let replay = replay(include_str!("../traces/contrail-sse-reconnect.jsonl"), &["A1", "A2", "A3"]);
    replay.shows_the_truth();
    assert_eq!(replay.texts().len(), 4);
}

#[test]
fn a_socket_of_a_durable_object() {
    let replay = replay(include_str!("../traces/contrail-ws-durable-object.jsonl"), &["A"]);
    replay.shows_the_truth();
    assert_eq!(replay.texts().len(), 7);
}

#[test]
fn a_socket_of_the_in_memory_server() {
    let replay = replay(include_str!("../traces/contrail-ws-in-memory.jsonl"), &["A"]);
    replay.shows_the_truth();
    assert_eq!(replay.texts().len(), 7);
}

#[test]
fn hydration() {
    let trace = include_str!("../traces/contrail-sse-hydration.jsonl");
    let before = replay_until(trace, &["A"], "delete of the live one");
    assert_eq!(before.rig.reactions(before.watch(), "m0000"), ("👍".into(), 1));
    assert_eq!(before.rig.reactions(before.watch(), "m0001"), ("🎉".into(), 1));
    let between = replay_until(trace, &["A"], "the parent is deleted: is there an event for the child?");
    assert_eq!(between.rig.reactions(between.watch(), "m0000"), (String::new(), 0));
    assert_eq!(between.rig.reactions(between.watch(), "new"), ("1".into(), 1));
    let after = replay(trace, &["A"]);
    after.shows_the_truth();
    assert_eq!(after.rig.reactions(after.watch(), "new"), (String::new(), 0));
}

/// A Durable Object tells of children of what came live, and of no others.
#[test]
fn hydration_over_sockets() {
    for (trace, of_the_snapshot) in [
        (include_str!("../traces/contrail-ws-durable-object.jsonl"), ""),
        (include_str!("../traces/contrail-ws-in-memory.jsonl"), "1"),
    ] {
        let replay = replay(trace, &["A"]);
        assert_eq!(replay.rig.reactions(replay.watch(), "m0000").0, of_the_snapshot);
        assert_eq!(replay.rig.reactions(replay.watch(), "p2").0, "");
    }
}

/// It is asked for without a handshake, at an address that has been used before.
#[test]
fn the_address_of_a_socket_is_used_again() {
    for trace in [
        include_str!("../traces/contrail-ws-durable-object.jsonl"),
        include_str!("../traces/contrail-ws-in-memory.jsonl"),
    ] {
        let replay = replay(trace, &["A2"]);
        replay.shows_the_truth();
        assert_eq!((replay.texts().len(), replay.rig.status(replay.watch())), (6, "live"));
    }
}

#[test]
fn good_tickets_and_invitations() {
    for client in ["ok", "again", "invite"] {
        let replay = replay(include_str!("../traces/contrail-tickets.jsonl"), &[client]);
        replay.shows_the_truth();
        assert_eq!((replay.texts().len(), replay.rig.status(replay.watch())), (1, "live"), "{client}");
    }
}

/// Children that come in groups, by a field of theirs.
#[test]
fn grouped_hydration() {
    let mut rig = Rig::new();
    let (mut line, mut watch) = (None, None);
    for step in include_str!("../traces/contrail-sse-hydration.jsonl").lines() {
        let step: Value = serde_json::from_str(step).unwrap();
        if step["client"] != "B" {
            continue;
        }
        match (step["dir"].as_str().unwrap(), step["type"].as_str().unwrap_or_default()) {
            ("req", _) => {
                let (_, params) = step["url"].as_str().unwrap().split_once('?').unwrap();
                let mut params = form_urlencoded::parse(params.as_bytes());
                let space = params.find(|(name, _)| name == "spaceUri").unwrap().1.into_owned();
                let rsvps = Rsvp::subject.children().limit(5).counted();
                watch = Some(rig.watch(&Party::in_space(&*space).include(rsvps)));
                let asked = rig.asked();
                assert!(asked.call.address.as_str().starts_with("xrpc/test.rt.event.watchRecords?"));
                assert_eq!(asked.param("hydrateRsvps").as_deref(), Some("5"));
                line = Some(asked);
            }
            ("res", _) => rig.opened(line.as_ref().unwrap()),
            ("recv", _) => {
                let (kind, data) = step["raw"].as_str().unwrap().split_once("\ndata: ").unwrap();
                let kind = kind.strip_prefix("event: ").unwrap();
                rig.frame(line.as_ref().unwrap(), &format!(r#"{{"kind":"{kind}","data":{data}}}"#));
            }
            ("event", "client-closes") => break,
            other => panic!("{other:?}"),
        }
    }
    let watch = watch.unwrap();
    let parties = rig.core.entries::<Party>(watch);
    assert_eq!((parties.len(), &*parties[0].record.name), (1, "party"));
    let related = rig.core.take_related::<Rsvp>(watch, 0);
    let rsvps = related.children.iter().flat_map(|(_, rsvps)| rsvps);
    let rsvps: Vec<_> = rsvps.map(|entry| entry.record.status.as_str()).collect();
    assert_eq!(rsvps, ["app.event.rsvp#notgoing"]);
    assert_eq!(related.counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1]);
}

/// Every refusal of the recorded service, with what it means here.
#[test]
fn refusals() {
    let trace = include_str!("../traces/contrail-tickets.jsonl");
    let mut status = 0;
    let mut seen = Vec::new();
    for line in trace.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["dir"] == "res" && line.get("status").is_some() {
            status = line["status"].as_u64().unwrap() as u16;
        }
        if line["type"] == "body" {
            let body = line["raw"].as_str().or(line["data"].as_str()).unwrap();
            seen.push((line["client"].as_str().unwrap().to_owned(), refusal(status, body.as_bytes())));
        }
    }
    let seen: Vec<_> = seen.iter().map(|(client, error)| (client.as_str(), error.code())).collect();
    let expected = [
        ("noauth", "unauthenticated"),
        ("garbage", "unauthenticated"),
        ("tampered", "unauthenticated"),
        ("otherspace", "unauthenticated"),
        ("othercoll", "unauthenticated"),
        ("rtticket", "unauthenticated"),
        ("wronglxm", "unauthenticated"),
        ("expjwt", "unauthenticated"),
        ("stranger", "forbidden"),
        ("nospace", "unknown_space"),
        ("nouri", "bad_query"),
        ("actor", "unsupported_protocol"),
        ("nocoll", "unknown_space"),
        ("badinvite", "forbidden"),
    ];
    assert_eq!(seen, expected);
}
