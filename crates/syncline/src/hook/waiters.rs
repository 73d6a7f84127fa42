//! Who waits for a hook to have loaded.

use std::sync::Arc;

use crate::notify::Notifier;

/// Those who wait for something about a hook, outside of its framework's reactive graph. A clone is the same.
#[derive(Clone, Default)]
pub struct Waiters(Arc<Notifier>);

impl Waiters {
    /// Lets everybody look again.
    pub fn notify(&self) {
        self.0.notify();
    }

    /// The hook is gone: nobody has to wait any more.
    pub fn close(&self) {
        self.0.close();
    }

    /// Waits until `done`, which is asked now and after each [`notify`](Self::notify).
    pub async fn wait(self, done: impl Fn() -> bool) {
        let mut changes = self.0.listen();
        while !done() && changes.changed().await {}
    }
}
