//! A client of a contrail service, over a connector whose other end the test holds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use syncline::contrail::{Allowance, Answer, Call, Contrail, record_uri, refusal};
use syncline::storage::MemoryStorage;
use syncline::transport::{ConnectRequest, Connector, Link, memory};
use syncline::{
    BoxFuture, Client, ClientBuilder, Error, Query, Record, Status, TransportPreference, Watch, code,
};

const SPACE: &str = "ats://did:plc:alice/space/s";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "message", key = uri)]
struct Message {
    uri: String,
    rkey: String,
    time_us: i64,
    text: String,
}

/// Every call arrives at the test.
struct Calls(mpsc::UnboundedSender<(Call, Link)>);

impl Connector for Calls {
    fn connect(&self, _: ConnectRequest) -> BoxFuture<Result<Link, Error>> {
        Box::pin(async { Err(Error::new(code::CONNECTION, "no Syncline server here")) })
    }

    fn call(&self, url: &str, call: Call) -> BoxFuture<Result<Link, Error>> {
        assert_eq!(url, "https://service.example");
        let (client, server) = memory::link_pair();
        let sent = self.0.unbounded_send((call, server));
        Box::pin(async move { sent.map(|()| client).map_err(|_| refusal(500, b"")) })
    }
}

fn rig(service: Contrail) -> (Client, mpsc::UnboundedReceiver<(Call, Link)>) {
    rig_with(service, |builder| builder)
}

fn rig_with(
    service: Contrail,
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Client, mpsc::UnboundedReceiver<(Call, Link)>) {
    let (sender, calls) = mpsc::unbounded();
    let builder =
        Client::builder("https://service.example").connector(Calls(sender)).contrail(service).seed(1);
    (change(builder).build(), calls)
}

fn event(kind: &str, data: &str) -> String {
    format!(r#"{{"kind":"{kind}","data":{data}}}"#)
}

fn record(rkey: &str) -> String {
    let uri = record_uri("did:plc:alice", "app.event.message", rkey);
    format!(
        r#"{{"record":{{"uri":"{uri}","did":"did:plc:alice","rkey":"{rkey}","time_us":1,"value":{{"text":"{rkey}"}}}}}}"#
    )
}

async fn snapshot(link: &mut Link, rkeys: &[&str]) {
    link.send(event("snapshot.start", "{}")).await.unwrap();
    for rkey in rkeys {
        link.send(event("snapshot.record", &record(rkey))).await.unwrap();
    }
    link.send(event("snapshot.end", "{}")).await.unwrap();
}

async fn shows(watch: &Watch<Message>, rkeys: &[&str]) {
    let shown = || watch.entries().iter().map(|entry| entry.record.rkey.clone()).collect::<Vec<_>>();
    while shown() != rkeys {
        watch.next().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn rows_come_live_and_stay_through_a_reconnect() {
    let (client, mut calls) = rig(Contrail::new("app.event"));
    let watch = client.watch(Message::in_space(SPACE).order_by(Message::rkey));
    let (call, mut link) = calls.next().await.unwrap();
    assert_eq!(call.answer, Answer::Events);
    assert!(call.address.as_str().starts_with("xrpc/app.event.message.watchRecords?spaceUri=ats"));
    snapshot(&mut link, &["a"]).await;
    watch.loaded().await.unwrap();
    link.send(event("record.created", &record("b"))).await.unwrap();
    shows(&watch, &["a", "b"]).await;
    assert_eq!((watch.status(), client.connection().status), (Status::Live, Status::Live));
    drop(link);
    let (_, mut link) = calls.next().await.unwrap();
    shows(&watch, &["a", "b"]).await;
    assert_eq!(watch.status(), Status::Reconnecting);
    snapshot(&mut link, &["b"]).await;
    shows(&watch, &["b"]).await;
}

#[tokio::test(start_paused = true)]
async fn every_attempt_asks_for_a_ticket_and_for_credentials() {
    let asked = Arc::new(Mutex::new(0));
    let (sender, mut calls) = mpsc::unbounded();
    let count = Arc::clone(&asked);
    let service = Contrail::new("app.event").ticket_with(move |query| {
        *count.lock().unwrap() += 1;
        let ticket = format!("t{}-{}", count.lock().unwrap(), query.collection);
        async move { ticket }
    });
    let builder = Client::builder("https://service.example").connector(Calls(sender)).contrail(service);
    let client = builder.credentials(|| async { "jwt" }).build();
    let _watch = client.watch(Message::in_space(SPACE));
    for attempt in 1..=3 {
        let (call, link) = calls.next().await.unwrap();
        assert!(
            call.address.as_str().contains(&format!("ticket=t{attempt}-message")),
            "{}",
            call.address.as_str()
        );
        assert_eq!(call.bearer.0.as_deref(), Some("jwt"));
        drop(link);
    }
    assert_eq!(*asked.lock().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_never_comes_is_asked_for_again() {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let service = Contrail::new("app.event").ticket_with(move |_| {
        *count.lock().unwrap() += 1;
        futures::future::pending::<String>()
    });
    let (client, mut calls) = rig(service);
    let watch = client.watch(Message::in_space(SPACE));
    while *asked.lock().unwrap() < 3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(watch.status(), Status::Reconnecting);
    assert!(calls.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn several_queries_have_a_stream_each_and_end_with_their_watches() {
    let (client, mut calls) = rig(Contrail::new("app.event"));
    let first = client.watch(Message::in_space(SPACE).order_by(Message::rkey).limit(1));
    let second = client.watch(Message::in_space(SPACE).order_by(Message::rkey).limit(2));
    let (_, mut one) = calls.next().await.unwrap();
    let (_, mut two) = calls.next().await.unwrap();
    snapshot(&mut two, &["a", "b"]).await;
    snapshot(&mut one, &["a"]).await;
    shows(&first, &["a"]).await;
    shows(&second, &["a", "b"]).await;
    drop(first);
    assert_eq!(one.receive().await, Ok(None));
    two.send(event(
        "record.deleted",
        &format!(r#"{{"uri":"{}"}}"#, record_uri("did:plc:alice", "app.event.message", "a")),
    ))
    .await
    .unwrap();
    shows(&second, &["b"]).await;
    client.close();
    assert_eq!(two.receive().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_refused_at_once() {
    let (client, _calls) = rig(Contrail::new("app.event"));
    let row = Message { uri: "at://x".into(), rkey: "x".into(), time_us: 1, text: String::new() };
    assert_eq!(client.put(SPACE, row).await.unwrap_err().code(), code::BAD_WRITE);
}

fn list() -> Query<Message> {
    Message::in_space(SPACE).order_by(Message::rkey)
}

/// A visit of somebody that has seen these records and ends.
async fn visit(storage: &MemoryStorage, person: &str, rkeys: &[&str]) {
    let service = Contrail::new("app.event").identity(person);
    let (client, mut calls) = rig_with(service, |builder| builder.storage(storage.clone()));
    let watch = client.watch(list());
    let (_, mut link) = calls.next().await.unwrap();
    snapshot(&mut link, rkeys).await;
    shows(&watch, rkeys).await;
    drop((watch, client));
    assert_eq!(link.receive().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn rows_are_kept_for_the_person_who_saw_them() {
    let storage = MemoryStorage::new();
    visit(&storage, "did:plc:alice", &["a", "b"]).await;
    visit(&storage, "did:plc:bob", &["c"]).await;
    let next = |service: Contrail| {
        let (client, calls) = rig_with(service, |builder| builder.storage(storage.clone()));
        let watch = client.watch(list());
        (client, calls, watch)
    };
    let (client, mut calls, watch) = next(Contrail::new("app.event").identity("did:plc:alice"));
    // nobody has answered, and nobody will
    watch.loaded().await.unwrap();
    shows(&watch, &["a", "b"]).await;
    assert!(watch.state().cached && watch.status() == Status::Connecting);
    client.set_identity(Some("did:plc:bob".into()));
    shows(&watch, &[]).await;
    shows(&watch, &["c"]).await;
    let mut calls_of_bob = 0;
    while let Some((_, mut link)) = calls.next().now_or_never().flatten() {
        // the stream before is closed, the new one open
        calls_of_bob += usize::from(link.receive().now_or_never().is_none());
    }
    assert_eq!(calls_of_bob, 1);

    let strangers = [
        Contrail::new("app.event"),
        Contrail::new("app.event").identity("did:plc:carol"),
        Contrail::new("app.other").identity("did:plc:alice"),
    ];
    for stranger in strangers {
        let (_client, _calls, watch) = next(stranger);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(watch.entries().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_identity_storage_is_not_even_opened() {
    let storage = MemoryStorage::new();
    let (client, mut calls) =
        rig_with(Contrail::new("app.event"), |builder| builder.storage(storage.clone()));
    let watch = client.watch(list());
    let (_, mut link) = calls.next().await.unwrap();
    snapshot(&mut link, &["a"]).await;
    shows(&watch, &["a"]).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(storage.is_empty());
    // from now on it is somebody
    client.set_identity(Some("did:plc:alice".into()));
    let (_, mut link) = calls.next().await.unwrap();
    snapshot(&mut link, &["a"]).await;
    shows(&watch, &["a"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!storage.is_empty());
    // until they leave
    client.wipe_storage().await.unwrap();
    link.send(event("record.created", &record("b"))).await.unwrap();
    shows(&watch, &["a", "b"]).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(storage.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_when_one_of_another_client_ends() {
    let service = Contrail::new("app.event").event_streams(Allowance::new(1));
    let only_sse = |builder: ClientBuilder| builder.transport(TransportPreference::Sse);
    let (first, mut calls_of_first) = rig_with(service.clone(), only_sse);
    let (second, mut calls_of_second) = rig_with(service, only_sse);
    let watch = first.watch(list());
    let _link = calls_of_first.next().await.unwrap();
    let waiting = second.watch(list());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(calls_of_second.next().now_or_never().is_none());
    drop(watch);
    let (_, mut link) = calls_of_second.next().await.unwrap();
    snapshot(&mut link, &["a"]).await;
    shows(&waiting, &["a"]).await;
}
