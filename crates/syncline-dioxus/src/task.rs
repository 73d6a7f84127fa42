//! Tasks that live as long as a component.

use dioxus::prelude::*;

/// Runs a task once the component is there, until it is gone. On a server tasks like this one are not polled, and under
/// the feature `ssr` there is none to begin with.
pub(crate) fn spawn_mounted<F: Future<Output = ()> + 'static>(task: impl FnOnce() -> F) {
    if cfg!(feature = "ssr") {
        return;
    }
    spawn(task());
}
