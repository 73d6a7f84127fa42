//! A streaming fetch, and POSTs the other way.

use syncline::{Backoff, Record as _, Status, Transport, TransportPreference, code};
use wasm_bindgen_test::wasm_bindgen_test;

use crate::fakes::{Asked, Fetches, until};
use crate::{SNAPSHOT, Todo, WELCOME, builder, todo};

const SSE: TransportPreference = TransportPreference::Sse;

/// A frame as an event.
fn event(frame: &str) -> String {
    frame.lines().map(|line| format!("data: {line}\n")).collect::<String>() + "\n"
}

#[wasm_bindgen_test]
async fn frames_come_as_events_and_go_in_posts() {
    let fetches = Fetches::fake();
    let client = builder("/sync").transport(SSE).build();
    let watch = client.watch(Todo::in_space("l"));
    let stream = fetches.next().await;
    assert!(stream.url().ends_with("/sync/stream"), "{}", stream.url());
    assert_eq!(stream.header("accept").as_deref(), Some("text/event-stream"));
    assert_eq!(stream.credentials(), "include");
    assert!(stream.body().await.starts_with(r#"{"hello""#));
    stream.answer_stream();
    stream.push(&event(WELCOME));

    let post = fetches.next().await;
    assert!(post.url().ends_with("/sync/send"), "{}", post.url());
    assert_eq!(post.header("x-syncline-link").as_deref(), Some("l-1"));
    assert!(post.body().await.starts_with(r#"{"subscribe""#));
    post.answer(204, "");
    for piece in event(SNAPSHOT).as_bytes().chunks(7) {
        stream.push(std::str::from_utf8(piece).unwrap());
    }
    watch.loaded().await.unwrap();
    assert_eq!((watch.entries()[0].record.text.as_str(), watch.status()), ("Milk", Status::Live));
    assert_eq!(client.connection().transport, Some(Transport::Sse));

    // one POST at a time; what waits meanwhile goes together
    drop(client.put("l", todo("1")));
    let first = fetches.next().await;
    drop(client.put("l", todo("2")));
    drop(client.put("l", todo("3")));
    gloo_timers::future::TimeoutFuture::new(0).await;
    assert_eq!((first.body().await.lines().count(), fetches.count()), (1, 0));
    first.answer(204, "");
    let second = fetches.next().await;
    let body = second.body().await;
    assert_eq!(body.lines().filter(|line| line.starts_with(r#"{"write""#)).count(), 2);

    drop((watch, client));
    until(|| stream.is_aborted() && second.is_aborted()).await;
}

async fn refused(status: u16, body: &str) -> syncline::Error {
    let fetches = Fetches::fake();
    let client = builder("/sync").transport(SSE).build();
    let watch = client.watch(Todo::in_space("l"));
    fetches.next().await.answer(status, body);
    until(|| client.connection().last_error.is_some()).await;
    drop(watch);
    client.connection().last_error.unwrap()
}

#[wasm_bindgen_test]
async fn a_refusal_is_the_servers_own_error_where_it_gives_one() {
    // something on the way said it, which may let it pass the next time
    assert_eq!(refused(403, "<h1>Sign in to the hotel's network</h1>").await.code(), "connection");
    let error = refused(403, r#"{"code":"forbidden_origin","message":"not from this page"}"#).await;
    assert_eq!((error.code(), error.message()), (code::FORBIDDEN_ORIGIN, "not from this page"));
    assert_eq!(refused(401, "<h1>no</h1>").await.code(), code::UNAUTHENTICATED);
    assert_eq!(refused(503, "").await.code(), code::CONNECTION);
    // as of a page that is served for every address there is
    let page = refused(200, "<h1>welcome</h1>").await;
    assert_eq!(page.code(), code::CONNECTION);
    assert!(page.message().starts_with("there is no such server"), "{page}");
}

#[wasm_bindgen_test]
async fn a_server_without_the_route_is_one_failure() {
    // a real request: the page's own server has no such route
    let attempts = Backoff { attempts: Some(1), ..Backoff::default() };
    let client = builder("/nowhere").transport(SSE).backoff(attempts).build();
    let watch = client.watch(Todo::in_space("l"));
    let error = watch.loaded().await.unwrap_err();
    assert_eq!((error.code(), watch.status()), (code::CONNECTION, Status::Failed));
    assert!(error.message().contains("404"), "{error}");
}

async fn open(fetches: &Fetches) -> Asked {
    let stream = fetches.next().await;
    stream.answer_stream();
    stream.push(&event(WELCOME));
    stream
}

#[wasm_bindgen_test]
async fn the_end_of_the_stream_is_one_reconnect() {
    let fetches = Fetches::fake();
    let client = builder("/sync").transport(SSE).build();
    let _watch = client.watch(Todo::in_space("l"));
    let stream = open(&fetches).await;
    fetches.next().await.answer(204, "");
    stream.end();
    let _next = open(&fetches).await;
    let post = fetches.next().await;
    assert!(post.body().await.starts_with(r#"{"subscribe""#));
    assert_eq!(fetches.count(), 0);
}

#[wasm_bindgen_test]
async fn a_post_that_fails_ends_the_connection() {
    let fetches = Fetches::fake();
    let client = builder("/sync").transport(SSE).build();
    let _watch = client.watch(Todo::in_space("l"));
    let stream = open(&fetches).await;
    fetches.next().await.answer(404, r#"{"code":"unknown_link","message":"not open any more"}"#);
    until(|| stream.is_aborted()).await;
    open(&fetches).await;
    assert!(fetches.next().await.url().ends_with("/send"));
}

#[wasm_bindgen_test]
async fn a_page_is_no_answer_to_what_was_sent() {
    let fetches = Fetches::fake();
    let client = builder("/sync").transport(SSE).build();
    let _watch = client.watch(Todo::in_space("l"));
    let stream = open(&fetches).await;
    // somebody on the way wants a person to sign in
    fetches.next().await.answer(200, "<h1>Sign in</h1>");
    until(|| stream.is_aborted()).await;
    assert_eq!(client.connection().last_error.unwrap().code(), code::CONNECTION);
}

#[wasm_bindgen_test]
async fn what_goes_together_is_no_more_than_the_server_takes() {
    let fetches = Fetches::fake();
    let client = builder("/sync").transport(SSE).build();
    let _watch = client.watch(Todo::in_space("l"));
    let stream = fetches.next().await;
    stream.answer_stream();
    stream.push(&event(&WELCOME.replace("2097152", "3000")));
    let first = fetches.next().await;
    for id in 0..40 {
        drop(client.put("l", Todo { text: "x".repeat(200), ..todo(&id.to_string()) }));
    }
    first.answer(204, "");
    let mut sent = 0;
    while sent < 40 {
        let post = fetches.next().await;
        let body = post.body().await;
        assert!(body.len() <= 3_000, "{} bytes", body.len());
        sent += body.lines().filter(|line| line.starts_with(r#"{"write""#)).count();
        post.answer(204, "");
    }
}

#[wasm_bindgen_test]
async fn a_password_in_an_address_is_neither_used_nor_shown() {
    let fetches = Fetches::fake();
    let attempts = Backoff { attempts: Some(1), ..Backoff::default() };
    let client = builder("https://ada:secret@example.org/sync").transport(SSE).backoff(attempts).build();
    let watch = client.watch(Todo::in_space("l"));
    let error = watch.loaded().await.unwrap_err();
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    assert_eq!(fetches.count(), 0);
}

#[wasm_bindgen_test]
async fn a_connection_that_is_given_up_while_it_opens_leaves_no_request() {
    let fetches = Fetches::fake();
    let client = builder("/sync").transport(SSE).build();
    let watch = client.watch(Todo::in_space("l"));
    let stream = fetches.next().await;
    drop((watch, client));
    until(|| stream.is_aborted()).await;
}
