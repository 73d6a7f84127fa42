//! Where an app is rendered, there may be nothing to run on and nothing to connect with.

use futures::FutureExt;
use syncline::{Client, Record as _, RowState, Status, code};

use crate::{Todo, keys, rig, rig_with, todo};

#[test]
fn a_client_that_cannot_connect_is_idle_and_says_why() {
    let client = Client::new("/sync");
    let watch = client.watch(Todo::in_space("l"));
    client.put("l", todo("a"));
    client.retry_now();
    client.refresh_credentials();
    assert_eq!((watch.status(), client.connection().status), (Status::Idle, Status::Idle));
    assert_eq!(watch.error().unwrap().code(), code::CONNECTION);
    assert_eq!(client.connection().last_error.unwrap().code(), code::CONNECTION);
    assert_eq!(watch.loaded().now_or_never().unwrap().unwrap_err().code(), code::CONNECTION);
    assert_eq!((keys(&watch.entries()), &watch.entries()[0].state), (vec!["a"], &RowState::Pending));
}

#[test]
fn a_client_waits_for_a_runtime() {
    let (client, mut server) = rig();
    let watch = client.watch(Todo::in_space("l"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        client.retry_now();
        let mut peer = server.welcome().await;
        let subscribe = peer.subscribed().await;
        peer.snapshot(subscribe.sub, 1, &[todo("a")]).await;
        watch.loaded().await.unwrap();
    });
}

#[test]
fn a_client_goes_on_in_another_runtime() {
    let (client, mut server) = rig();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let watch = runtime().block_on(async {
        let watch = client.watch(Todo::in_space("l"));
        let mut peer = server.welcome().await;
        let subscribe = peer.subscribed().await;
        peer.snapshot(subscribe.sub, 1, &[todo("a")]).await;
        watch.loaded().await.unwrap();
        watch
    });
    assert_eq!(watch.status(), Status::Reconnecting);
    runtime().block_on(async {
        client.retry_now();
        server.welcome().await.subscribed().await;
    });
}

#[test]
fn a_client_may_be_given_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (builder, mut server) = rig_with();
    let client = builder.runtime(runtime.handle().clone()).build();
    let watch = client.watch(Todo::in_space("l"));
    runtime.block_on(async {
        let mut peer = server.welcome().await;
        let subscribe = peer.subscribed().await;
        peer.snapshot(subscribe.sub, 1, &[todo("a")]).await;
        watch.loaded().await.unwrap();
    });
}
