//! Numbers that are no whole ones come back with the bits that they were made with.

use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline_core::Draft;
use syncline_macros::Record;
use syncline_server::watch_records::{Mapping, WatchRecords};
use syncline_server::{Channel, Error, Memory, Syncline, Tx, Who};

use crate::support::channel::ada;
use crate::support::records::{Records, Writer, app, request, who};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "scores", key = id)]
struct Score {
    id: String,
    by: String,
    score: f64,
    at: u64,
}

fn score(id: &str, score: f64) -> Score {
    Score { id: id.into(), by: "ada".into(), score, at: 1 }
}

/// The server works scores out by itself.
struct Scores;

#[derive(Serialize, Deserialize)]
struct Divide {
    id: String,
    dividend: u32,
    divisor: u32,
}

impl Channel for Scores {
    const NAME: &'static str = "scores";
    type Record = Score;
    type Action = Divide;
    type Output = ();
    type Error = Error;

    fn reduce(_: &mut Draft<'_, Score>, _: &Divide) {}
}

fn divide(tx: &mut Tx<'_>, action: Divide, _: &Who<'_>) -> Result<(), Error> {
    let Divide { id, dividend, divisor } = action;
    tx.rows().put(score(&id, f64::from(dividend) / f64::from(divisor)));
    Ok(())
}

async fn server() -> Syncline {
    let mapping = Mapping::new(|score: &Score| score.by.clone(), Score::at).named("score");
    let watch = WatchRecords::namespace("app.example").collection(mapping);
    let syncline = Syncline::builder().storage(Memory::new()).collection::<Score>(());
    let syncline = syncline.channel::<Scores>(divide).authenticate(who).watch_records(watch);
    syncline.build().await.unwrap()
}

#[tokio::test]
async fn pages_ordered_by_one_lose_nothing_and_repeat_nothing() {
    let syncline = server().await;
    for id in ["a", "b", "c"] {
        let action = Divide { id: id.into(), dividend: 20, divisor: 11 };
        syncline.send_action::<Scores>("room-a", ada(), action).await.unwrap();
    }
    let app = app(&syncline);
    for (order, keys) in [("desc", ["c", "b", "a"]), ("asc", ["a", "b", "c"])] {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        for _ in keys {
            let list = format!("spaceUri=room-a&sort=score&order={order}&limit=1{cursor}");
            let uri = format!("/xrpc/app.example.score.watchRecords?{list}");
            let mut records = Records::open(&app, request("GET", &uri, Some("token-of-ada"))).await;
            let (page, end) = records.snapshot().await;
            pages.extend(page);
            cursor = format!("&cursor={}", end["cursor"].as_str().unwrap_or_default());
        }
        assert_eq!(pages, keys, "{order}");
    }
}

#[tokio::test]
async fn what_a_client_writes_it_reads_back_the_same() {
    let app = app(&server().await);
    let mut ada = Writer::new(&app, "ada").await;
    let numbers = [2.0 / 13.0, 20.0 / 11.0, 0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX];
    let put =
        |(place, &number): (usize, &f64)| json!({ "put": ["scores", score(&format!("s{place}"), number)] });
    ada.write("room-a", numbers.iter().enumerate().map(put).collect()).await;
    let query = json!({ "space": "room-a", "collection": "scores", "order": [["id", "asc"]] });
    ada.say(&json!({ "subscribe": { "sub": 1, "query": query } })).await;
    let snapshot = ada.frame().await;
    let read: Vec<u64> = snapshot[1..].iter().map(|row| row["score"].as_f64().unwrap().to_bits()).collect();
    assert_eq!(read, numbers.map(f64::to_bits));
}
