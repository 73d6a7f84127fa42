//! Native: tokio's tasks and time, no hints, no memory from the last start.

use std::sync::{Arc, Weak};
use std::time::Duration;
pub(crate) use std::time::SystemTime;

use tokio::runtime::Handle;
pub(crate) use tokio::time::Instant;

use crate::contrail::Allowance;
use crate::shared::Shared;
use crate::storage::Storage;
use crate::transport::Connector;
#[cfg(feature = "net")]
use crate::transport::TokioConnector;
use crate::{BoxFuture, Transport};

/// Starts the driver's task, as soon as there is a runtime for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spawner {
    handle: Option<Handle>,
}

impl Spawner {
    pub(crate) fn on(handle: Handle) -> Self {
        Self { handle: Some(handle) }
    }

    /// Whether the task was started: on the given runtime, or on the one that this is called from.
    pub(crate) fn spawn(&self, task: impl FnOnce() -> BoxFuture<()>) -> bool {
        let Some(handle) = self.handle.clone().or_else(|| Handle::try_current().ok()) else { return false };
        handle.spawn(task());
        true
    }
}

pub(crate) fn sleep(duration: Duration) -> BoxFuture<()> {
    Box::pin(tokio::time::sleep(duration))
}

/// Only to a whole address: there is no page that another one would be relative to.
#[cfg(feature = "net")]
pub(crate) fn default_connector(url: &str) -> Option<Arc<dyn Connector>> {
    TokioConnector::reaches(url).then(|| Arc::new(TokioConnector::new()) as Arc<dyn Connector>)
}

/// There is no way to connect unless the application brings one.
#[cfg(not(feature = "net"))]
pub(crate) fn default_connector(_: &str) -> Option<Arc<dyn Connector>> {
    None
}

/// Nothing is kept unless the application says where.
pub(crate) fn default_storage() -> Option<Arc<dyn Storage>> {
    None
}

/// A native program is told nothing about being online or visible.
pub(crate) struct Hints;

impl Hints {
    pub(crate) fn listen(_: Weak<Shared>) -> Self {
        Self
    }
}

pub(crate) fn remembered(_: &str) -> Option<Transport> {
    None
}

pub(crate) fn remember(_: &str, _: Transport) {}

/// Nobody counts the connections of a native program together.
pub(crate) fn event_streams(_: &str) -> Allowance {
    Allowance::default()
}
