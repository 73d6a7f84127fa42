//! The event stream: snapshot, then what happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use syncline_server::Config;
use syncline_server::watch_records::{Mapping, WatchRecords};

use crate::support::records::{
    A_SECOND, MESSAGES, Message, Records, Writer, all_have_gone, app, ask, message, messages, request, watch,
};
use crate::support::{Server, soon};

#[tokio::test]
async fn a_snapshot_and_what_happens_then_read_as_contrails_do() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &message("m1", "grüße \n\r\n🍞 \"q\"", 1_000)).await;
    ada.put("room-a", &message("m2", "two", 2_000)).await;

    let mut records = Records::watch(&app, "room-a", "").await;
    assert_eq!(
        records.block().await.unwrap(),
        "event: snapshot.start\ndata: {\"collection\":\"app.example.message\",\"spaceUri\":\"room-a\"}"
    );
    let newest = records.hear("snapshot.record").await;
    let expected = json!({
        "uri": "at://ada/app.example.message/m2",
        "cid": newest["record"]["cid"],
        "value": {"id": "m2", "author": "ada", "text": "two", "pinned": false, "hidden": false, "sent_at": 2_000},
        "did": "ada",
        "collection": "app.example.message",
        "rkey": "m2",
        "time_us": 2_000_000,
        "space": "room-a",
    });
    assert_eq!(newest["record"], expected);
    assert!(newest["record"]["cid"].as_str().unwrap().starts_with("bafkrei"));
    assert_eq!(records.hear("snapshot.record").await["record"]["value"]["text"], "grüße \n\r\n🍞 \"q\"");
    assert_eq!(records.hear("snapshot.end").await, json!({}));

    ada.put("room-a", &message("m3", "three", 3_000)).await;
    let created = records.hear("record.created").await;
    let expected = json!({
        "uri": "at://ada/app.example.message/m3",
        "did": "ada",
        "rkey": "m3",
        "collection": "app.example.message",
        "cid": created["record"]["cid"],
        "value": {"id": "m3", "author": "ada", "text": "three", "pinned": false, "hidden": false, "sent_at": 3_000},
        "time_us": 3_000_000,
        "indexed_at": 3_000,
        "space": "room-a",
    });
    assert_eq!(created["record"], expected);
    // an update is the same event with another hash
    ada.put("room-a", &message("m3", "three, changed", 3_000)).await;
    let updated = records.hear("record.created").await;
    assert_eq!(updated["record"]["value"]["text"], "three, changed");
    assert_ne!(updated["record"]["cid"], created["record"]["cid"]);
    ada.delete("room-a", "m3").await;
    let deleted = json!({ "uri": "at://ada/app.example.message/m3", "did": "ada", "rkey": "m3" });
    assert_eq!(records.hear("record.deleted").await, deleted);
}

#[tokio::test]
async fn a_record_that_gets_another_author_gets_another_address() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &message("m1", "mine", 1_000)).await;
    let mut records = Records::watch(&app, "room-a", "").await;
    records.snapshot().await;
    ada.put("room-a", &Message { author: "bob".into(), ..message("m1", "his", 1_000) }).await;
    assert_eq!(records.hear("record.deleted").await["uri"], "at://ada/app.example.message/m1");
    assert_eq!(records.hear("record.created").await["record"]["uri"], "at://bob/app.example.message/m1");
    ada.delete("room-a", "m1").await;
    assert_eq!(records.hear("record.deleted").await["uri"], "at://bob/app.example.message/m1");
}

#[tokio::test]
async fn what_is_live_obeys_the_filter_and_the_limit() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    for (id, at) in [("m1", 1), ("m2", 2), ("m3", 3)] {
        ada.put("room-a", &Message { pinned: true, ..message(id, "pinned", at) }).await;
    }
    let mut records = Records::watch(&app, "room-a", "&pinned=true&limit=2").await;
    let (keys, _) = records.snapshot().await;
    assert_eq!(keys, ["m3", "m2"]);
    // not pinned: no event; a newer one pushes the oldest out
    ada.put("room-a", &message("m4", "loose", 4)).await;
    ada.put("room-a", &Message { pinned: true, ..message("m5", "pinned", 5) }).await;
    let heard = [records.event().await.unwrap(), records.event().await.unwrap()];
    assert!(heard.iter().any(|(kind, data)| kind == "record.deleted" && data["rkey"] == "m2"), "{heard:?}");
    assert!(heard.iter().any(|(kind, data)| kind == "record.created" && data["record"]["rkey"] == "m5"));
    // one that goes is replaced by the next one
    ada.delete("room-a", "m5").await;
    let heard = [records.event().await.unwrap(), records.event().await.unwrap()];
    assert!(heard.iter().any(|(kind, data)| kind == "record.deleted" && data["rkey"] == "m5"), "{heard:?}");
    assert!(heard.iter().any(|(kind, data)| kind == "record.created" && data["record"]["rkey"] == "m2"));
    // and one that is no longer wanted is gone
    ada.put("room-a", &message("m3", "loose", 3)).await;
    let heard = [records.event().await.unwrap(), records.event().await.unwrap()];
    assert!(heard.iter().any(|(kind, data)| kind == "record.deleted" && data["rkey"] == "m3"), "{heard:?}");
}

#[tokio::test]
async fn what_somebody_may_not_see_is_not_told_to_them() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &Message { hidden: true, ..message("m1", "between us", 1) }).await;
    let mut own = Records::watch(&app, "room-a", "").await;
    let mut others = Records::watch_as(&app, "room-a", "", "token-of-bob").await;
    assert_eq!(own.snapshot().await.0, ["m1"]);
    assert_eq!(others.snapshot().await.0, [""; 0]);
    ada.put("room-a", &Message { hidden: true, ..message("m2", "between us", 2) }).await;
    ada.put("room-a", &message("m3", "for all", 3)).await;
    assert_eq!(others.hear("record.created").await["record"]["rkey"], "m3");
    // what is hidden now is gone for others
    ada.put("room-a", &Message { hidden: true, ..message("m3", "between us", 3) }).await;
    assert_eq!(others.hear("record.deleted").await["rkey"], "m3");
}

#[tokio::test]
async fn one_change_is_translated_once_for_all_who_watch_the_same() {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let mapping = Mapping::new(
        move |message: &Message| {
            counter.fetch_add(1, Ordering::Relaxed);
            message.author.clone()
        },
        Message::sent_at,
    );
    let watch = WatchRecords::namespace("app.example").collection(mapping.named("message"));
    let syncline = messages(watch).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    let mut all = Vec::new();
    for number in 0..20 {
        // what does not concern them moves them to different versions
        ada.put("room-a", &message("loose", "not pinned", number)).await;
        let mut records =
            Records::watch_as(&app, "room-a", "&pinned=true", &format!("token-of-{number}")).await;
        records.snapshot().await;
        all.push(records);
    }
    let mut other = Records::watch(&app, "room-a", "&pinned=true&limit=7").await;
    other.snapshot().await;
    for change in 0..3 {
        let before = read.load(Ordering::Relaxed);
        ada.put("room-a", &Message { pinned: true, ..message("m1", &format!("{change}"), 1) }).await;
        let first = all[0].block().await.unwrap();
        for records in &mut all[1..] {
            assert_eq!(records.block().await.unwrap(), first);
        }
        other.hear("record.created").await;
        assert_eq!(read.load(Ordering::Relaxed) - before, 2, "once for each of two queries");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_every_15_seconds() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut records = Records::watch(&app, "room-a", "").await;
    records.snapshot().await;
    for _ in 0..12 {
        let since = tokio::time::Instant::now();
        assert_eq!(records.block().await.unwrap(), ": keepalive");
        assert_eq!(since.elapsed().as_secs(), 15);
    }
    // by then the engine has asked several times whether anybody is there
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &message("m1", "still here", 1)).await;
    records.hear("record.created").await;
}

#[tokio::test]
async fn a_reader_that_was_not_told_everything_is_told_the_difference() {
    let mut config = Config::default();
    // little enough for a reader that sleeps to fall behind
    config.engine.chunk_bytes = 1_024;
    config.engine.backlog_bytes = 1_024;
    config.outbox_bytes = 1_024 * 1_024 + 512 * 1024;
    let syncline = messages(watch()).config(config).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    for number in 0..10 {
        ada.put("room-a", &message(&format!("old{number}"), "stays", 1_000 + number)).await;
    }
    ada.put("room-a", &message("goes", "goes while nobody reads", 1)).await;
    let mut records = Records::watch(&app, "room-a", "").await;
    let mut told: Vec<String> = records.snapshot().await.0;
    let large = "x".repeat(20_000);
    for number in 0..200 {
        ada.put("room-a", &message("m1", &format!("{number} {large}"), 9_000)).await;
    }
    ada.delete("room-a", "goes").await;
    ada.put("room-a", &message("last", "the last one", 9_999)).await;
    let mut texts = 0;
    loop {
        let (kind, data) = records.event().await.expect("the stream goes on");
        match kind.as_str() {
            "record.created" => {
                let key = data["record"]["rkey"].as_str().unwrap().to_owned();
                assert!(!key.starts_with("old"), "what has not changed is not told again");
                texts += usize::from(key == "m1");
                if !told.contains(&key) {
                    told.push(key.clone());
                }
            }
            "record.deleted" => told.retain(|key| *key != data["rkey"]),
            _ => panic!("{kind} in a live stream"),
        }
        if told.contains(&"last".to_owned()) && !told.contains(&"goes".to_owned()) {
            break;
        }
    }
    assert!(texts < 200, "what waited was thrown away");
    told.sort();
    let mut expected: Vec<String> = (0..10).map(|number| format!("old{number}")).collect();
    expected.extend(["last".to_owned(), "m1".to_owned()]);
    expected.sort();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn nothing_is_left_of_watchers_that_have_gone() {
    // nor is it found out only when there is something to say
    let config = Config { keepalive: Duration::from_secs(3_600), ..Config::default() };
    let syncline = messages(watch()).config(config).build().await.unwrap();
    let app = app(&syncline);
    for round in 0..10 {
        let mut read = Records::watch(&app, "room-a", "").await;
        read.snapshot().await;
        let unread = Records::watch(&app, "room-b", &format!("&limit={round}")).await;
        // its task has come to where it waits for something to happen
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        drop((read, unread));
    }
    all_have_gone(&syncline).await;
}

#[tokio::test]
async fn watchers_count_among_the_connections_there_may_be() {
    let config = Config { connections: 2, ..Config::default() };
    let syncline = messages(watch()).config(config).build().await.unwrap();
    let app = app(&syncline);
    let (first, _second) = (Records::watch(&app, "a", "").await, Records::watch(&app, "b", "").await);
    let uri = format!("{}?spaceUri=c", MESSAGES);
    let (status, body) = ask(&app, request("GET", &uri, Some("token-of-ada"))).await;
    assert_eq!((status.as_u16(), &body["error"]), (429, &json!("RateLimitExceeded")));
    // gauges of before, when there was one, do not count
    soon(syncline.gauges_when(|gauges| gauges.connections == 2)).await;
    drop(first);
    soon(syncline.gauges_when(|gauges| gauges.connections == 1)).await;
    Records::watch(&app, "c", "").await;
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_ends_the_stream() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut records = Records::watch(&app, "room-a", "").await;
    records.snapshot().await;
    let hearing = async {
        assert!(records.hear("error").await["message"].is_string());
        assert!(records.event().await.is_none());
    };
    tokio::join!(syncline.shutdown(), hearing);
}

#[tokio::test]
async fn three_kinds_of_client_see_the_same_in_the_end() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut writers = [Writer::new(&app, "ada").await, Writer::new(&app, "bob").await];
    let mut own = Writer::new(&app, "eve").await;
    own.say(&json!({"subscribe": {"sub": 1, "query": {"space": "room-a", "collection": "messages"}}})).await;
    own.frame().await;
    let mut watchers =
        [Records::watch(&app, "room-a", "").await, Records::watch(&app, "room-a", "&limit=200").await];
    for number in 0..40_u64 {
        let id = format!("m{}", number % 7);
        let writer = &mut writers[(number % 2) as usize];
        if number % 5 == 4 {
            writer.delete("room-a", &id).await;
        } else {
            writer.put("room-a", &message(&id, &format!("{number}"), number)).await;
        }
    }
    writers[0].put("room-a", &message("end", "end", 999)).await;
    let mut expected = std::collections::BTreeMap::new();
    while !expected.contains_key("end") {
        let frame = own.frame().await;
        let part = &frame[0]["changes"]["parts"][0];
        for key in part["del"].as_array().into_iter().flatten() {
            expected.remove(key.as_str().unwrap());
        }
        for line in part["put"].as_array().into_iter().flatten() {
            let row: &Value = &frame[1 + line.as_u64().unwrap() as usize];
            expected.insert(row["id"].as_str().unwrap().to_owned(), row.clone());
        }
    }
    for watcher in &mut watchers {
        let mut seen = std::collections::BTreeMap::new();
        while !seen.contains_key("end") {
            let (kind, data) = watcher.event().await.unwrap();
            match kind.as_str() {
                "snapshot.record" | "record.created" => {
                    let record = &data["record"];
                    seen.insert(record["rkey"].as_str().unwrap().to_owned(), record["value"].clone());
                }
                "record.deleted" => drop(seen.remove(data["rkey"].as_str().unwrap())),
                _ => {}
            }
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_nothing_does_not_outlive_a_shutdown() {
    let config = Config { close_within: Duration::from_millis(50), ..Config::default() };
    let syncline = messages(watch()).config(config).build().await.unwrap();
    let app = app(&syncline);
    // what there is to read is never read
    let records = Records::watch(&app, "room-a", "").await;
    assert!(tokio::time::timeout(A_SECOND, syncline.shutdown()).await.is_ok());
    drop(records);
}

#[tokio::test]
async fn a_client_that_is_killed_leaves_nothing_behind() {
    let server = Server::of(messages(watch()).build().await.unwrap()).await;
    let url = format!("http://{}{MESSAGES}?spaceUri=room-a", server.address);
    let mut writer = Writer::new(&app(&server.syncline), "ada").await;
    for _ in 0..3 {
        let request = reqwest::Client::new().get(&url).bearer_auth("token-of-ada").send();
        let mut response = soon(request).await.unwrap();
        assert!(soon(response.chunk()).await.unwrap().is_some());
        writer.put("room-a", &message("m1", "one", 1)).await;
        // in the middle of an event
        drop(response);
    }
    drop(writer);
    all_have_gone(&server.syncline).await;
}
