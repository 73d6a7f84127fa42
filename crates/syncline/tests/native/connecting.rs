//! Both transports, against a real server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syncline::{Client, Record as _, RowOp, RowOps, Status, Transport, TransportPreference, code};

use crate::server::{Between, Metered, Server};
use crate::{BOTH, Todo, shown, soon, stands, todo};

#[tokio::test]
async fn two_clients_see_each_other_over_either_transport() {
    for transport in BOTH {
        let server = Server::start().await;
        let (ada, ben) =
            (Client::builder(server.url()).transport(transport).build(), Client::new(server.url()));
        let list = ada.watch(Todo::in_space("l"));
        soon(list.loaded()).await.unwrap();
        assert_eq!(list.status(), Status::Live);
        soon(ben.put("l", todo("a"))).await.unwrap();
        shown(&list, &["a"]).await;
        for id in 0..20 {
            drop(ada.put("l", todo(&format!("b{id:02}"))));
        }
        let version = soon(ada.update::<Todo>("l", "a", |todo| todo.text = "another".into())).await.unwrap();
        assert_eq!(version, 22);
        let expected = match transport {
            TransportPreference::Sse => Transport::Sse,
            _ => Transport::WebSocket,
        };
        assert_eq!(ada.connection().transport, Some(expected));
    }
}

#[tokio::test]
async fn rows_larger_than_a_chunk_come_whole_over_either_transport() {
    let server = Server::start().await;
    let writer = Client::new(server.url());
    // each nearly as large as a row may be; many make more than one chunk
    let large = |id: &str| Todo { id: id.into(), text: id.repeat(900_000 / id.len()) };
    for id in ["a", "ü", "c"] {
        soon(writer.put("l", large(id))).await.unwrap();
    }
    for transport in BOTH {
        let client = Client::builder(server.url()).transport(transport).build();
        let list = client.watch(Todo::in_space("l"));
        soon(list.loaded()).await.unwrap();
        assert_eq!(list.entries().len(), 3);
        assert!(list.entries().iter().all(|entry| *entry.record == large(entry.key())));
        // and towards the server
        soon(client.put("l", large("a"))).await.unwrap();
    }
}

#[tokio::test]
async fn where_a_websocket_is_refused_a_stream_is_used_at_once() {
    let server = Server::without_websockets().await;
    let client = Client::new(server.url());
    let list = client.watch(Todo::in_space("l"));
    soon(client.put("l", todo("a"))).await.unwrap();
    shown(&list, &["a"]).await;
    assert_eq!(client.connection().transport, Some(Transport::Sse));
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 1)).await;
}

#[tokio::test]
async fn posts_share_a_connection_beside_the_stream() {
    let server = Server::start().await;
    let mut between = Between::start(server.address).await;
    let client = Client::builder(between.url("http")).transport(TransportPreference::Sse).build();
    let list = client.watch(Todo::in_space("l"));
    for id in ["a", "b", "c", "d"] {
        soon(client.put("l", todo(id))).await.unwrap();
    }
    shown(&list, &["a", "b", "c", "d"]).await;
    assert_eq!(between.counted().made, 2);
    between.open(2).await;
}

#[tokio::test]
async fn credentials_are_brought_and_renewed_over_either_transport() {
    for transport in BOTH {
        let good = Arc::new(Mutex::new("token 2".to_owned()));
        let server = Server::with_tokens(Arc::clone(&good)).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let client = Client::builder(server.url())
            .transport(transport)
            .credentials(move || {
                let asked = count.fetch_add(1, Ordering::Relaxed) + 1;
                async move { format!("token {asked}") }
            })
            .build();
        let list = client.watch(Todo::in_space("l"));
        // the first token is refused, the second one is good
        soon(list.loaded()).await.unwrap();
        assert_eq!((asked.load(Ordering::Relaxed), list.status()), (2, Status::Live), "{transport:?}");
        assert_eq!(client.connection().user.unwrap().id, *"ada");
        // in place
        *good.lock().unwrap() = "token 3".into();
        client.refresh_credentials();
        soon(client.put("l", todo("a"))).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        soon(server.syncline.gauges_when(|gauges| gauges.connections == 1)).await;
    }
}

#[tokio::test]
async fn whoever_has_no_good_credentials_is_asked_for_some_over_either_transport() {
    for transport in BOTH {
        let server = Server::with_tokens(Arc::new(Mutex::new("good".into()))).await;
        let client =
            Client::builder(server.url()).transport(transport).credentials(|| async { "bad" }).build();
        let _list = client.watch(Todo::in_space("l"));
        let state = stands(&client, |state| state.status == Status::NeedsAuth).await;
        assert_eq!(state.last_error.unwrap().code(), code::UNAUTHENTICATED);

        let client =
            Client::builder(server.url()).transport(transport).credentials(|| async { "forbidden" }).build();
        let list = client.watch(Todo::in_space("l"));
        let error = soon(list.loaded()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.message(), list.status()),
            (code::FORBIDDEN, "not you", Status::Failed)
        );
    }
}

#[tokio::test]
async fn a_client_comes_back_when_its_server_does() {
    let server = Server::start().await;
    let between = Between::start(server.address).await;
    let (address, url) = (between.address, between.url("ws"));
    let client = Client::builder(url).backoff(crate::at_once()).build();
    let list = client.watch(Todo::in_space("l"));
    soon(client.put("l", todo("a"))).await.unwrap();
    drop(between);
    stands(&client, |state| state.status == Status::Reconnecting).await;
    let write = client.put("l", todo("b"));
    let _back = Between::start_at(address, server.address).await;
    soon(write).await.unwrap();
    shown(&list, &["a", "b"]).await;
    assert_eq!(client.connection().last_error, None);
}

#[tokio::test]
async fn a_path_is_no_address_for_a_native_client() {
    // as where a page is rendered on a server
    let client = Client::new("/sync");
    let list = client.watch(Todo::in_space("l"));
    assert_eq!((list.status(), list.error().unwrap().code()), (Status::Idle, code::CONNECTION));
    tokio::task::yield_now().await;
    assert_eq!(list.status(), Status::Idle);
}

#[test]
fn a_client_with_an_address_waits_for_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let client = Client::builder(server.url()).answer_within(Duration::from_secs(30)).build();
    let list = client.watch(Todo::in_space("l"));
    assert_eq!(list.status(), Status::Connecting);
    runtime.block_on(async {
        client.retry_now();
        soon(list.loaded()).await.unwrap();
    });
}

/// All that travels, both ways: what HTTP says before the socket is one, hello and welcome, the question and the answer.
#[tokio::test]
async fn coming_back_to_10_000_rows_after_one_change_costs_less_than_a_kilobyte() {
    let server = Server::start().await;
    let writer = Client::new(server.url());
    writer.register::<Todo>();
    for thousand in 0..10 {
        let row = |n: usize| RowOp::put(&todo(&format!("{:05}", thousand * 1_000 + n))).unwrap();
        soon(writer.write("l", RowOps { ops: (0..1_000).map(row).collect() })).await.unwrap();
    }
    let bytes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bytes);
    let between = Between::wrapping(server.address, move |stream| {
        let stream = Metered::new(stream, &counted);
        async { Some(stream) }
    });
    let mut between = between.await;
    let client = Client::builder(between.url("ws")).transport(TransportPreference::WebSocket).build();
    let list = client.watch(Todo::in_space("l"));
    soon(list.loaded()).await.unwrap();
    assert_eq!(list.entries().len(), 10_000);
    client.set_online(false);
    between.open(0).await;
    let text = "a text as long as forty characters go on";
    soon(writer.put("l", Todo { text: text.into(), ..todo("05000") })).await.unwrap();
    let before = bytes.load(Ordering::Relaxed);
    client.set_online(true);
    while list.entries().iter().all(|entry| entry.record.text != text) {
        soon(list.next()).await.unwrap();
    }
    let spent = bytes.load(Ordering::Relaxed) - before;
    assert!(spent < 1_000, "{spent} bytes");
}
