//! Children that come along with records.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use syncline_server::{Config, Memory, Rules, Syncline, Visibility};

use crate::support::Server;
use crate::support::records::{
    MESSAGES, Message, Reaction, Records, RecordsSocket, Writer, app, ask, keys, message, messages, reaction,
    request, who, with_reactions,
};

/// A room with two messages, the first of which has a reaction.
async fn room() -> (Syncline, Router, Writer) {
    let syncline = messages(with_reactions().tickets(keys())).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &message("m0", "zero", 1_000)).await;
    ada.put("room-a", &message("m1", "one", 2_000)).await;
    ada.react("room-a", &reaction("ra", "m0", "👍", 3_000)).await;
    (syncline, app, ada)
}

#[tokio::test]
async fn children_come_with_the_records_of_a_snapshot() {
    let (_syncline, app, _ada) = room().await;
    let mut records = Records::watch(&app, "room-a", "&hydrateReactions=10").await;
    records.hear("snapshot.start").await;
    let without = records.hear("snapshot.record").await;
    assert!(
        without["record"].get("reactions").is_none() && without["record"].get("reactionsCount").is_none()
    );
    let with = records.hear("snapshot.record").await;
    let child = &with["record"]["reactions"][0];
    let expected = json!({
        "uri": "at://bob/app.example.reaction/ra",
        "cid": child["cid"],
        "value": {"id": "ra", "message": "m0", "by": "bob", "emoji": "👍", "at": 3_000},
        "did": "bob",
        "collection": "app.example.reaction",
        "rkey": "ra",
        "time_us": 3_000_000,
        "space": "room-a",
    });
    assert_eq!(child, &expected);
    assert_eq!(
        (&with["record"]["reactionsCount"], with["record"]["reactions"].as_array().unwrap().len()),
        (&json!(1), 1)
    );
    records.hear("snapshot.end").await;
    // whoever does not ask gets none, and hears of none
    let mut plain = Records::watch(&app, "room-a", "").await;
    plain.snapshot().await;
    let mut ada = Writer::new(&app, "eve").await;
    ada.react("room-a", &reaction("rb", "m1", "❤", 4_000)).await;
    ada.put("room-a", &message("m2", "two", 5_000)).await;
    assert_eq!(plain.hear("record.created").await["record"]["rkey"], "m2");
}

#[tokio::test]
async fn children_come_and_go() {
    let (_syncline, app, mut ada) = room().await;
    let mut records = Records::watch(&app, "room-a", "&hydrateReactions=10").await;
    assert_eq!(records.snapshot().await.0, ["m1", "m0"]);

    ada.react("room-a", &reaction("rb", "m1", "❤", 4_000)).await;
    let added = records.hear("hydration.added").await;
    let expected = json!({
        "parentUri": "at://ada/app.example.message/m1",
        "relation": "reactions",
        "child": {
            "uri": "at://bob/app.example.reaction/rb",
            "did": "bob",
            "rkey": "rb",
            "collection": "app.example.reaction",
            "cid": added["child"]["cid"],
            "value": {"id": "rb", "message": "m1", "by": "bob", "emoji": "❤", "at": 4_000},
            "space": "room-a",
        },
    });
    assert_eq!(added, expected);
    // put again, it comes again
    ada.react("room-a", &reaction("rb", "m1", "🎉", 4_000)).await;
    assert_eq!(records.hear("hydration.added").await["child"]["value"]["emoji"], "🎉");
    // one of a record that nobody has is nobody's business; one that moves leaves its old parent
    ada.react("room-a", &reaction("rc", "nowhere", "?", 5_000)).await;
    ada.react("room-a", &reaction("rb", "m0", "🎉", 4_000)).await;
    let removed = json!({
        "parentUri": "at://ada/app.example.message/m1",
        "relation": "reactions",
        "childRkey": "rb",
        "childDid": "bob",
    });
    assert_eq!(records.hear("hydration.removed").await, removed);
    assert_eq!(records.hear("hydration.added").await["parentUri"], "at://ada/app.example.message/m0");
    ada.take_back("room-a", "ra").await;
    assert_eq!(records.hear("hydration.removed").await["childRkey"], "ra");
    // an update of the parent says nothing of its children; of a parent that goes they are not named
    ada.put("room-a", &message("m0", "zero, changed", 1_000)).await;
    assert_eq!(records.hear("record.created").await["record"]["value"]["text"], "zero, changed");
    ada.delete("room-a", "m0").await;
    assert_eq!(records.hear("record.deleted").await["rkey"], "m0");
    // and a new one can have its own at once
    let put = vec![
        json!({"put": ["messages", message("m9", "nine", 9_000)]}),
        json!({"put": ["reactions", reaction("r9", "m9", "9", 9_000)]}),
    ];
    ada.write("room-a", put).await;
    records.hear("record.created").await;
    assert_eq!(records.hear("hydration.added").await["parentUri"], "at://ada/app.example.message/m9");
}

/// What is whispered is for those who did it.
struct Whispers;

impl Rules<Reaction> for Whispers {
    fn visibility(&self) -> Visibility<Reaction> {
        Visibility::by_row(|user, _, reaction: &Reaction| {
            reaction.emoji != "🤫" || reaction.by == user.id.as_str()
        })
    }
}

#[tokio::test]
async fn a_child_that_somebody_may_not_see_neither_comes_nor_counts_for_them() {
    let syncline = Syncline::builder().storage(Memory::new());
    let syncline = syncline.collection::<Message>(()).collection::<Reaction>(Whispers).authenticate(who);
    let syncline = syncline.watch_records(with_reactions()).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &message("m0", "zero", 1_000)).await;
    let mut bob = Writer::new(&app, "bob").await;
    bob.react("room-a", &reaction("ra", "m0", "👍", 3_000)).await;
    bob.react("room-a", &reaction("rb", "m0", "🤫", 4_000)).await;
    let of = |record: &Value| {
        let children = record["record"]["reactions"].as_array().unwrap();
        let rkeys = children.iter().map(|child| child["rkey"].as_str().unwrap().to_owned());
        (rkeys.collect::<Vec<_>>(), record["record"]["reactionsCount"].clone())
    };
    for (name, rkeys) in [("ada", vec!["ra"]), ("bob", vec!["ra", "rb"])] {
        let token = format!("token-of-{name}");
        let mut records = Records::watch_as(&app, "room-a", "&hydrateReactions=10", &token).await;
        records.hear("snapshot.start").await;
        let count = json!(rkeys.len());
        let (mut shown, counted) = of(&records.hear("snapshot.record").await);
        shown.sort();
        assert_eq!((shown, counted), (rkeys.iter().map(ToString::to_string).collect(), count), "{name}");
        records.hear("snapshot.end").await;
        // nor do they hear of one that comes or goes
        let (whisper, open) = (format!("w-{name}"), format!("x-{name}"));
        bob.react("room-a", &reaction(&whisper, "m0", "🤫", 5_000)).await;
        bob.take_back("room-a", &whisper).await;
        bob.react("room-a", &reaction(&open, "m0", "❤", 6_000)).await;
        let mut heard = Vec::new();
        loop {
            let (kind, data) = records.event().await.unwrap();
            let rkey = data["child"]["rkey"].as_str().or(data["childRkey"].as_str()).unwrap_or_default();
            heard.push(format!("{kind} {rkey}"));
            if rkey == open {
                break;
            }
        }
        assert_eq!(heard.iter().any(|event| event.contains(&whisper)), name == "bob", "{heard:?}");
        bob.take_back("room-a", &open).await;
    }
}

#[tokio::test]
async fn no_more_children_come_than_are_asked_for_and_all_are_counted() {
    let (_syncline, app, mut ada) = room().await;
    for number in 0..60 {
        ada.react("room-a", &reaction(&format!("x{number:02}"), "m1", "x", 10_000 + number)).await;
    }
    for (further, most) in [("2", 2), ("50", 50), ("9999", 50)] {
        let mut records = Records::watch(&app, "room-a", &format!("&hydrateReactions={further}")).await;
        records.hear("snapshot.start").await;
        let record = records.hear("snapshot.record").await;
        let children = record["record"]["reactions"].as_array().unwrap();
        assert_eq!((children.len(), &record["record"]["reactionsCount"]), (most, &json!(60)), "{further}");
        assert_eq!(children[0]["rkey"], "x00");
    }
    for nonsense in ["0", "-1", "true", "x", ""] {
        let mut records = Records::watch(&app, "room-a", &format!("&hydrateReactions={nonsense}")).await;
        records.hear("snapshot.start").await;
        assert!(records.hear("snapshot.record").await["record"].get("reactions").is_none(), "{nonsense}");
    }
    // the window is live: the next one takes the place of one that goes
    let mut records = Records::watch(&app, "room-a", "&hydrateReactions=2").await;
    records.snapshot().await;
    ada.take_back("room-a", "x00").await;
    assert_eq!(records.hear("hydration.removed").await["childRkey"], "x00");
    assert_eq!(records.hear("hydration.added").await["child"]["rkey"], "x02");
}

#[tokio::test]
async fn a_page_is_full_when_its_records_are_and_not_their_children() {
    let (_syncline, app, mut ada) = room().await;
    for number in 0..5 {
        ada.react("room-a", &reaction(&format!("x{number}"), "m1", "x", number)).await;
    }
    let (keys, end) = Records::watch(&app, "room-a", "&hydrateReactions=5&limit=3").await.snapshot().await;
    assert_eq!((keys.len(), end.get("cursor")), (2, None));
    let (keys, end) = Records::watch(&app, "room-a", "&hydrateReactions=5&limit=1").await.snapshot().await;
    let further = format!("&hydrateReactions=5&limit=1&cursor={}", end["cursor"].as_str().unwrap());
    assert_eq!(
        (keys, Records::watch(&app, "room-a", &further).await.snapshot().await.0),
        (vec!["m1".into()], vec!["m0".into()])
    );
}

#[tokio::test]
async fn a_ticket_is_for_what_comes_along_too() {
    let (syncline, app, mut ada) = room().await;
    let server = Server::of(syncline).await;
    let uri = format!("{MESSAGES}?spaceUri=room-a&hydrateReactions=10&mode=ws");
    let (_, handshake) = ask(&app, request("GET", &uri, Some("token-of-ada"))).await;
    let hydrate =
        json!({ "reactions": { "childCollection": "app.example.reaction", "matchField": "message" } });
    assert_eq!(handshake["querySpec"]["hydrate"], hydrate);
    assert_eq!(handshake["snapshot"]["records"][1]["reactions"][0]["rkey"], "ra");
    let ticket = handshake["ticket"].as_str().unwrap();
    for (hydrate, status) in [("", 401), ("&hydrateReactions=0", 401), ("&hydrateReactions=3", 200)] {
        let uri = format!("{MESSAGES}?spaceUri=room-a{hydrate}&mode=ws&ticket={ticket}");
        assert_eq!(
            ask(&app, request("GET", &uri, None)).await.0,
            StatusCode::from_u16(status).unwrap(),
            "{hydrate}"
        );
    }
    let mut socket = RecordsSocket::open(&server, handshake["wsUrl"].as_str().unwrap(), None).await.unwrap();
    socket.snapshot().await;
    ada.react("room-a", &reaction("rb", "m1", "❤", 4_000)).await;
    assert_eq!(socket.hear("hydration.added").await["child"]["rkey"], "rb");
}

#[tokio::test]
async fn a_record_with_children_that_gets_another_address_is_asked_for_anew() {
    let (_syncline, app, mut ada) = room().await;
    let mut records = Records::watch(&app, "room-a", "&hydrateReactions=10").await;
    records.snapshot().await;
    ada.put("room-a", &Message { author: "bob".into(), ..message("m0", "his", 1_000) }).await;
    assert!(records.hear("error").await["message"].is_string());
    assert!(records.event().await.is_none());
    let mut records = Records::watch(&app, "room-a", "&hydrateReactions=10").await;
    records.hear("snapshot.start").await;
    records.hear("snapshot.record").await;
    let record = records.hear("snapshot.record").await;
    assert_eq!(
        (&record["record"]["did"], &record["record"]["reactions"][0]["rkey"]),
        (&json!("bob"), &json!("ra"))
    );
}

#[tokio::test]
async fn so_it_is_when_the_reader_was_behind() {
    let mut config = Config::default();
    // little enough for a reader that sleeps to fall behind
    config.engine.chunk_bytes = 1_024;
    config.engine.backlog_bytes = 1_024;
    config.outbox_bytes = 1_024 * 1_024 + 512 * 1024;
    let syncline = messages(with_reactions()).config(config).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &message("m0", "zero", 1_000)).await;
    ada.react("room-a", &reaction("ra", "m0", "👍", 3_000)).await;
    let mut records = Records::watch(&app, "room-a", "&hydrateReactions=10").await;
    records.snapshot().await;
    let large = "x".repeat(20_000);
    for number in 0..200 {
        ada.put("room-a", &message("m1", &format!("{number} {large}"), 500)).await;
    }
    ada.put("room-a", &Message { author: "bob".into(), ..message("m0", "his", 1_000) }).await;
    let mut told = 0;
    loop {
        match records.event().await.expect("the stream says why it ends") {
            (kind, data) if kind == "record.created" => {
                assert_eq!(data["record"]["rkey"], "m1", "his would have no children");
                told += 1;
            }
            (kind, _) if kind == "error" => break,
            (kind, data) => panic!("{kind} {data}"),
        }
    }
    assert!(told < 200, "what waited was thrown away");
    assert!(records.event().await.is_none());
}

/// What a store makes of events: every record with the texts of its children.
#[derive(Default)]
struct Store {
    records: BTreeMap<String, (String, BTreeMap<String, String>)>,
}

impl Store {
    fn take(&mut self, kind: &str, data: &Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let child = |child: &Value| (text(&child["rkey"]), text(&child["value"]["emoji"]));
        match kind {
            "snapshot.record" => {
                let record = &data["record"];
                let children = record["reactions"].as_array().into_iter().flatten().map(child).collect();
                self.records.insert(text(&record["uri"]), (text(&record["value"]["text"]), children));
            }
            "record.created" => {
                let record = &data["record"];
                let entry = self.records.entry(text(&record["uri"])).or_default();
                entry.0 = text(&record["value"]["text"]);
            }
            "record.deleted" => drop(self.records.remove(data["uri"].as_str().unwrap())),
            "hydration.added" => {
                let parent = self
                    .records
                    .get_mut(data["parentUri"].as_str().unwrap())
                    .expect("a parent is there first");
                parent.1.extend([child(&data["child"])]);
            }
            "hydration.removed" => {
                let parent = self
                    .records
                    .get_mut(data["parentUri"].as_str().unwrap())
                    .expect("a parent is still there");
                assert!(parent.1.remove(data["childRkey"].as_str().unwrap()).is_some(), "it was told before");
            }
            _ => {}
        }
    }
}

/// Random writes, from a seed.
async fn scribble(writers: &mut [Writer], steps: u64, seed: u64) {
    let mut state = seed;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for step in 0..steps {
        let writer = &mut writers[(step % 2) as usize];
        let (id, child) = (format!("m{}", random(6)), format!("r{}", random(12)));
        match random(8) {
            0 => writer.delete("room-a", &id).await,
            1 | 2 => writer.put("room-a", &message(&id, &format!("{step}"), random(20))).await,
            3 => writer.take_back("room-a", &child).await,
            _ => {
                writer
                    .react("room-a", &Reaction { ..reaction(&child, &id, &format!("{step}"), random(20)) })
                    .await
            }
        }
    }
}

#[tokio::test]
async fn whoever_watches_from_the_beginning_sees_what_a_newcomer_sees() {
    let mut tight = Config::default();
    tight.engine.chunk_bytes = 256;
    tight.engine.backlog_bytes = 256;
    for (seed, config) in [(1, Config::default()), (2, Config::default()), (3, tight)] {
        let syncline = messages(with_reactions()).config(config).build().await.unwrap();
        let app = app(&syncline);
        let mut writers = [Writer::new(&app, "ada").await, Writer::new(&app, "ada2").await];
        scribble(&mut writers, 20, seed).await;
        let further = ["&hydrateReactions=50", "&hydrateReactions=2&limit=3"];
        let mut old = Vec::new();
        for further in further {
            old.push((Records::watch(&app, "room-a", further).await, Store::default()));
        }
        scribble(&mut writers, 150, seed + 100).await;
        writers[0].put("room-a", &message("end", "end", 9_999)).await;
        for ((old, store), further) in old.iter_mut().zip(further) {
            while !store.records.contains_key("at://ada/app.example.message/end") {
                let (kind, data) = old.event().await.expect("the stream goes on");
                store.take(&kind, &data);
            }
            let mut fresh = Store::default();
            let mut newcomer = Records::watch(&app, "room-a", further).await;
            loop {
                let (kind, data) = newcomer.event().await.unwrap();
                fresh.take(&kind, &data);
                if kind == "snapshot.end" {
                    break;
                }
            }
            // what belongs to the last event came with it
            while store.records != fresh.records {
                let (kind, data) = old.event().await.expect("the stream goes on");
                store.take(&kind, &data);
            }
        }
    }
}

/// A snapshot as a store has it: with the numbers that were told of reactions, and of what was told as news.
async fn snapshot_of(app: &Router, further: &str) -> (Store, BTreeMap<String, u64>, Vec<String>) {
    let mut records = Records::watch(app, "room-a", further).await;
    let (mut store, mut counts, mut news) = (Store::default(), BTreeMap::new(), Vec::new());
    loop {
        let (kind, data) = records.event().await.unwrap();
        store.take(&kind, &data);
        match kind.as_str() {
            "snapshot.record" => {
                let key = data["record"]["rkey"].as_str().unwrap().to_owned();
                counts.extend(data["record"]["reactionsCount"].as_u64().map(|count| (key, count)));
            }
            "hydration.added" => news.push(data["child"]["rkey"].as_str().unwrap().to_owned()),
            "snapshot.end" => return (store, counts, news),
            _ => {}
        }
    }
}

#[tokio::test]
async fn in_a_large_snapshot_too_records_come_with_their_children_and_how_many_there_are() {
    let (_syncline, app, mut ada) = room().await;
    let large = "x".repeat(900_000);
    for number in 2..6 {
        ada.put("room-a", &message(&format!("m{number}"), &large, 2_000 + number)).await;
    }
    ada.react("room-a", &reaction("rb", "m5", "❤", 4_000)).await;
    ada.react("room-a", &reaction("rc", "m5", "🎉", 5_000)).await;
    let (store, counts, news) = snapshot_of(&app, "&hydrateReactions=1").await;
    assert_eq!((store.records.len(), news), (6, Vec::new()));
    assert_eq!(counts, BTreeMap::from([("m0".to_owned(), 1), ("m5".to_owned(), 2)]));
    assert_eq!(store.records["at://ada/app.example.message/m0"].1["ra"], "👍");
    // the answer to a handshake has a bound, and the socket has not
    let uri = format!("{MESSAGES}?spaceUri=room-a&mode=ws");
    for number in 6..9 {
        ada.put("room-a", &message(&format!("m{number}"), &large, 2_000 + number)).await;
    }
    let request = request("GET", &uri, Some("token-of-ada"));
    let response = tower::ServiceExt::oneshot(app.clone(), request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 5 << 20).await.unwrap();
    let handshake: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(handshake["snapshot"]["records"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_record_that_is_too_large_to_wait_for_its_children_goes_ahead() {
    let (_syncline, app, mut ada) = room().await;
    let large = "x".repeat(900_000);
    for number in 0..5 {
        ada.react("room-a", &reaction(&format!("x{number}"), "m0", &large, 4_000 + number)).await;
    }
    ada.react("room-a", &reaction("rb", "m1", "❤", 4_000)).await;
    let (store, counts, news) = snapshot_of(&app, "&hydrateReactions=10").await;
    assert_eq!(news, ["x3", "x4"]);
    assert_eq!(store.records["at://ada/app.example.message/m0"].1.len(), 6);
    // what follows as news is counted by those who count
    assert_eq!(counts, BTreeMap::from([("m1".to_owned(), 1)]));
}
