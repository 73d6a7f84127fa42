//! Group commit: what waits while storage is busy goes to it together.

use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use syncline_core::space::Commit;
use tokio::sync::mpsc;

use crate::hub::{Event, answer};
use crate::jobs::{self, Bell};
use crate::storage::{Storage, failed};

/// The most commits of one group.
const GROUP: usize = 256;

/// Hands commits to storage until there are no more to come.
pub(super) async fn run<S: Storage>(
    storage: Arc<S>,
    mut commits: mpsc::UnboundedReceiver<Commit>,
    answers: mpsc::WeakUnboundedSender<Event>,
    bell: Bell,
) {
    let mut group = Vec::new();
    while commits.recv_many(&mut group, GROUP).await > 0 {
        let name = |commit: &Commit| (commit.space.clone(), commit.id, jobs::names(commit));
        let ids: Vec<_> = group.iter().map(name).collect();
        tracing::trace!(spaces = ids.len(), "committing");
        let stored = AssertUnwindSafe(storage.commit(mem::take(&mut group))).catch_unwind().await;
        let mut results = stored.unwrap_or_default().into_iter();
        for (space, commit, jobs) in ids {
            let result = results.next().unwrap_or_else(|| Err(failed()));
            if result.is_ok() && !jobs.is_empty() {
                bell.ring(&jobs);
            }
            answer(&answers, Event::Committed { space, commit, result });
        }
    }
}
