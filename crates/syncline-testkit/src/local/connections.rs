//! Connections of a local server.

use std::sync::Arc;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{SinkExt, StreamExt};
use syncline::transport::Link;
use syncline::transport::memory::Incoming;
use syncline::{FrameSink, FrameStream, Transport};
use syncline_core::space::{ConnId, Input};
use syncline_core::{Error, code};
use tokio::task::AbortHandle;

use crate::local::Shared;

/// A frame, and whether the engine is to be told once it has left.
type Leaving = (Arc<[u8]>, bool);

/// One connection. Dropping it cuts it.
pub(super) struct Connection {
    outbox: UnboundedSender<Leaving>,
    reader: AbortHandle,
    /// There is none when the connection is to end by itself.
    writer: Option<AbortHandle>,
}

impl Connection {
    pub(super) fn send(&self, frame: Arc<[u8]>, drained: bool) {
        // a writer that has ended has told the engine already
        let _ = self.outbox.unbounded_send((frame, drained));
    }

    /// Ends it once everything has left.
    pub(super) fn close(mut self) {
        self.writer = None;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

impl Shared {
    /// Takes a connection, or refuses it.
    pub(super) fn receive(self: &Arc<Self>, incoming: Incoming) {
        let hello =
            (incoming.request().transport == Transport::Sse).then(|| incoming.request().hello.clone());
        let mut state = self.lock();
        if state.engine.is_none() || state.refuses {
            incoming.refuse(Error::new(code::CONNECTION, "the server does not take connections"));
            return;
        }
        state.next_conn += 1;
        let conn = state.next_conn;
        let Link { sender, receiver } = incoming.accept();
        let (outbox, leaving) = unbounded();
        let reader = tokio::spawn(Arc::clone(self).read(conn, receiver)).abort_handle();
        let writer = tokio::spawn(Arc::clone(self).write(conn, leaving, sender)).abort_handle();
        state.connections.insert(conn, Connection { outbox, reader, writer: Some(writer) });
        drop(state);
        self.handle(Input::Connected { conn, link: None });
        if let Some(bytes) = hello {
            self.handle(Input::Frame { conn, bytes });
        }
    }

    async fn read(self: Arc<Self>, conn: ConnId, mut frames: FrameStream) {
        while let Some(Ok(bytes)) = frames.next().await {
            self.handle(Input::Frame { conn, bytes });
        }
        self.lock().connections.remove(&conn);
        self.handle(Input::Disconnected { conn });
    }

    async fn write(
        self: Arc<Self>,
        conn: ConnId,
        mut leaving: UnboundedReceiver<Leaving>,
        mut sender: FrameSink,
    ) {
        while let Some((frame, drained)) = leaving.next().await {
            if sender.send(frame.to_vec()).await.is_err() {
                return;
            }
            if drained {
                self.handle(Input::Drained { conn });
            }
        }
    }
}
