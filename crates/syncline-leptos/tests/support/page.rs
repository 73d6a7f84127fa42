//! What stands in for a page: a runtime, and an owner for each component.
#![allow(dead_code, reason = "no test program uses all of it")]

use std::time::Duration;

use leptos::prelude::*;
use syncline::Client;
use syncline_leptos::provide_syncline;

/// Runs a test as the one thread of a page would.
pub(crate) fn run(test: impl Future<Output = ()>) {
    // all tests of this program share the choice of the executor; the first one makes it
    let _ = any_spawner::Executor::init_tokio();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(test));
}

/// Mounts a component; dropping the owner unmounts it.
pub(crate) fn mount<T>(client: &Client, component: impl FnOnce() -> T) -> (Owner, T) {
    let owner = Owner::new();
    let hook = owner.with(|| {
        provide_syncline(client.clone());
        component()
    });
    (owner, hook)
}

/// Lets the page go on until it is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(120), wait).await.is_ok(), "never: {what}");
}

/// Lets everything run that is ready to.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
