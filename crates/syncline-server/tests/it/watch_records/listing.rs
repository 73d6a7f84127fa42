//! Limits, orders, filters, cursors.

use axum::Router;
use serde_json::Value;
use syncline_server::Syncline;

use crate::support::records::{Message, Records, Writer, app, message, messages, watch};

/// A room in which many messages have the same time.
async fn crowded(count: u64) -> (Syncline, Router) {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    let puts = (0..count).map(|number| {
        let message = message(&format!("m{number:04}"), &format!("text {}", number % 3), 5_000 + number / 97);
        serde_json::json!({ "put": ["messages", message] })
    });
    ada.write("room-a", puts.collect()).await;
    (syncline, app)
}

async fn page(app: &Router, further: &str) -> (Vec<String>, Option<String>) {
    let (keys, end) = Records::watch(app, "room-a", further).await.snapshot().await;
    (keys, end.get("cursor").map(|cursor| cursor.as_str().unwrap().to_owned()))
}

/// All pages, from the first to the last.
async fn pages(app: &Router, further: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let (keys, next) = page(app, &format!("{further}{cursor}")).await;
        pages.push(keys);
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
        assert!(pages.len() < 400, "it does not end");
    }
}

#[tokio::test]
async fn paging_loses_nothing_at_equal_times() {
    let (_syncline, app) = crowded(300).await;
    let newest_first: Vec<String> = (0..300).rev().map(|number| format!("m{number:04}")).collect();
    let oldest_first: Vec<String> = newest_first.iter().rev().cloned().collect();
    for limit in [1, 7, 50, 97, 200] {
        let limit = format!("&limit={limit}");
        assert_eq!(pages(&app, &limit).await.concat(), newest_first, "{limit}");
    }
    assert_eq!(pages(&app, "&order=asc&limit=60").await.concat(), oldest_first);
    let by_text = pages(&app, "&sort=text&order=asc&limit=60").await.concat();
    assert_eq!(by_text.len(), 300);
    assert_eq!(&by_text[..3], ["m0000", "m0003", "m0006"]);
    assert_eq!(pages(&app, "&text=text+1&limit=30").await.concat().len(), 100);
}

#[tokio::test]
async fn limits_are_clamped() {
    let (_syncline, app) = crowded(300).await;
    for (limit, count) in
        [("", 50), ("&limit=3", 3), ("&limit=0", 1), ("&limit=-9", 1), ("&limit=5000", 200), ("&limit=x", 50)]
    {
        assert_eq!(page(&app, limit).await.0.len(), count, "{limit}");
    }
}

#[tokio::test]
async fn cursors_that_are_none_are_ignored_and_contrails_are_understood() {
    let (_syncline, app) = crowded(300).await;
    let first = page(&app, "").await.0;
    for cursor in ["garbage", "%00", "e30", "eyJ0IjpudWxsfQ", &"x".repeat(6_000)] {
        assert_eq!(page(&app, &format!("&cursor={cursor}")).await.0, first, "{cursor}");
    }
    // a cursor of a list by time does not serve another order
    let (_, cursor) = page(&app, "&limit=5").await;
    let by_text = page(&app, &format!("&sort=text&cursor={}", cursor.unwrap())).await.0;
    assert_eq!(by_text, page(&app, "&sort=text").await.0);
    // the time alone, in ms: all of that time come, whatever came before
    assert_eq!(page(&app, "&cursor=5001").await.0[0], "m0193");
}

#[tokio::test]
async fn what_is_not_a_parameter_is_ignored() {
    let (_syncline, app) = crowded(60).await;
    let plain = page(&app, "").await;
    for further in
        ["&nonsense=1", "&sort=nonsense", "&order=sideways", "&hydrateNothing=5", "&limit=", "&text="]
    {
        assert_eq!(page(&app, further).await, plain, "{further}");
    }
}

#[tokio::test]
async fn fields_are_compared_with_whatever_a_text_may_mean() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &Message { pinned: true, ..message("m1", "7", 1) }).await;
    ada.put("room-a", &message("m2", "true", 7)).await;
    for (filter, keys) in [
        ("&pinned=true", &["m1"][..]),
        ("&pinned=false", &["m2"]),
        ("&text=7", &["m1"]),
        ("&text=true", &["m2"]),
        ("&sent_at=7", &["m2"]),
        ("&sent_at=7&pinned=true", &[]),
        ("&text=7&text=true", &["m1"]),
    ] {
        assert_eq!(page(&app, filter).await.0, keys, "{filter}");
    }
}

#[tokio::test]
async fn a_page_is_as_live_as_the_first_one() {
    let (_syncline, app) = crowded(10).await;
    let (_, cursor) = page(&app, "&limit=5").await;
    let mut second = Records::watch(&app, "room-a", &format!("&limit=5&cursor={}", cursor.unwrap())).await;
    second.snapshot().await;
    let mut ada = Writer::new(&app, "bob").await;
    // what is newer than the page is none of its business
    ada.put("room-a", &message("m9999", "new", 9_000)).await;
    ada.delete("room-a", "m0002").await;
    let deleted: Value = second.hear("record.deleted").await;
    assert_eq!(deleted["rkey"], "m0002");
}
