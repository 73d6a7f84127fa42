//! Tasks that live as long as a component.

use futures::FutureExt as _;
use futures::future::abortable;
use leptos::prelude::*;
#[cfg(not(target_arch = "wasm32"))]
use leptos::task::spawn_local;
#[cfg(target_arch = "wasm32")]
use syncline::hook::spawn_local;

/// Runs a task once the component is there, until it is gone. On a server there are no effects, and so no task either.
pub(crate) fn spawn_mounted<F: Future<Output = ()> + 'static>(task: impl FnOnce() -> F + 'static) {
    if cfg!(feature = "ssr") {
        return;
    }
    let mut task = Some(task);
    Effect::new(move || {
        if let Some(task) = task.take() {
            let (task, handle) = abortable(untrack(task));
            on_cleanup(move || handle.abort());
            // not `spawn_local_scoped`: that one keeps the owner alive whose end is to end the task
            spawn_local(task.map(|_| ()));
        }
    });
}
