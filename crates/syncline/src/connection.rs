//! How the connection stands, as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use crate::ConnectionState;
use crate::notify::Listener;
use crate::shared::Shared;

/// The states of a client's connection; made by [`Client::connection_changes`](crate::Client::connection_changes). A
/// reader that was away gets the newest one only.
#[must_use = "streams do nothing unless polled"]
pub struct ConnectionChanges {
    shared: Arc<Shared>,
    listener: Listener,
    started: bool,
}

impl ConnectionChanges {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let listener = shared.connection_listener();
        Self { shared, listener, started: false }
    }
}

impl Stream for ConnectionChanges {
    type Item = ConnectionState;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.started, true) {
            return Poll::Ready(Some(self.shared.connection_state()));
        }
        let this = self.get_mut();
        this.listener.poll_changed(cx).map(|changed| changed.then(|| this.shared.connection_state()))
    }
}

impl fmt::Debug for ConnectionChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionChanges").finish_non_exhaustive()
    }
}
