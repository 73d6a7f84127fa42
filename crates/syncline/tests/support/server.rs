//! A server in the test's own process: the real space engine behind memory links, over storage that only pretends.
//! The tests of the adapters use it too.
#![allow(dead_code, reason = "no test program uses all of it")]

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures::stream::{self, LocalBoxStream, SelectAll};
use futures::{SinkExt, StreamExt, select};
use syncline::transport::Link;
use syncline::transport::memory::{self, MemoryConnector, MemoryListener};
use syncline::{Error, FrameSink, Record, SpaceId, User};
use syncline_core::record::AnyRow;
use syncline_core::space::{
    Access, Config, ConnId, Engine, Gauges, Identity, Input, Output, SpaceImage, StoredRow,
};
use syncline_core::{Incarnation, Schema};

/// A server that has not started yet: spawn [`serve`](Self::serve).
pub(crate) struct Server {
    listener: MemoryListener,
    space: Space,
}

/// The engine and its surroundings.
struct Space {
    engine: Engine,
    stored: BTreeMap<SpaceId, SpaceImage>,
    senders: BTreeMap<ConnId, FrameSink>,
    gauges: Arc<Mutex<Gauges>>,
}

impl Server {
    /// A server of one collection, and the way to it.
    pub(crate) fn new<R: Record>() -> (Self, MemoryConnector) {
        let (connector, listener) = memory::pair();
        let mut schema = Schema::default();
        schema.add::<R>();
        let engine = Engine::new(Config::default(), schema, Arc::new(Everybody), 1);
        let space =
            Space { engine, stored: BTreeMap::new(), senders: BTreeMap::new(), gauges: Arc::default() };
        (Self { listener, space }, connector)
    }

    /// Rows that are in a space before anybody looks.
    pub(crate) fn store<R: Record>(&mut self, space: &str, rows: impl IntoIterator<Item = R>) {
        let image = self.space.stored.entry(space.into()).or_default();
        image.incarnation = Some(Incarnation(1));
        image.rows.extend(rows.into_iter().map(|row| StoredRow {
            collection: R::COLLECTION.into(),
            key: row.key().into(),
            version: 0,
            json: serde_json::to_vec(&row).unwrap(),
        }));
    }

    /// What the server holds, from now on.
    pub(crate) fn gauges(&self) -> impl Fn() -> Gauges + Clone + Send + Sync + 'static {
        let gauges = Arc::clone(&self.space.gauges);
        move || *gauges.lock().unwrap()
    }

    /// Serves until nobody can connect any more and everybody has gone.
    pub(crate) async fn serve(self) {
        let Self { listener, mut space } = self;
        let mut frames = SelectAll::<LocalBoxStream<'static, (ConnId, Option<Vec<u8>>)>>::new();
        let arrivals = stream::unfold(listener, async |mut listener| {
            let incoming = listener.accept().await?;
            Some((incoming, listener))
        });
        let mut arrivals = pin!(arrivals.fuse());
        let mut next = 0;
        loop {
            select! {
                incoming = arrivals.select_next_some() => {
                    next += 1;
                    frames.push(space.connect(next, incoming.accept()).await);
                }
                (conn, frame) = frames.select_next_some() => space.receive(conn, frame).await,
                complete => return,
            }
        }
    }
}

impl Space {
    async fn connect(
        &mut self,
        conn: ConnId,
        link: Link,
    ) -> LocalBoxStream<'static, (ConnId, Option<Vec<u8>>)> {
        self.senders.insert(conn, link.sender);
        self.handle(Input::Connected { conn, link: None }).await;
        let frames = link.receiver.map(move |frame| (conn, frame.ok()));
        frames.chain(stream::iter([(conn, None)])).boxed_local()
    }

    async fn receive(&mut self, conn: ConnId, frame: Option<Vec<u8>>) {
        match frame {
            Some(bytes) => self.handle(Input::Frame { conn, bytes }).await,
            None => {
                self.senders.remove(&conn);
                self.handle(Input::Disconnected { conn }).await;
            }
        }
    }

    async fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.engine.handle(0, input);
            while let Some(output) = self.engine.poll_output() {
                inputs.extend(self.answer(output).await);
            }
        }
        *self.gauges.lock().unwrap() = self.engine.gauges();
    }

    async fn answer(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Authenticate { conn, .. } => {
                let user = User { id: "somebody".into(), name: None };
                Some(Input::Authenticated { conn, result: Ok(Identity::from(user)) })
            }
            Output::Send { conn, frame, drained, .. } => {
                if let Some(sender) = self.senders.get_mut(&conn) {
                    // a client that has gone shows as the end of its frames
                    let _ = sender.send(frame.to_vec()).await;
                }
                drained.then_some(Input::Drained { conn })
            }
            Output::Close { conn, .. } => {
                self.senders.remove(&conn);
                None
            }
            Output::Load { space } => {
                let image = self.stored.get(&space).cloned().unwrap_or_default();
                Some(Input::Loaded { space, result: Ok(image) })
            }
            Output::Commit(commit) => {
                Some(Input::Committed { space: commit.space.clone(), commit: commit.id, result: Ok(()) })
            }
            Output::Acted { .. } | Output::Unreadable { .. } => None,
        }
    }
}

/// Everybody may do everything.
struct Everybody;

impl Access for Everybody {
    fn open(&self, _: &User, _: &SpaceId) -> Result<(), Error> {
        Ok(())
    }

    fn read(&self, _: &User, _: &SpaceId, _: &'static str, _: &dyn AnyRow) -> bool {
        true
    }

    fn write(
        &self,
        _: &User,
        _: &SpaceId,
        _: &'static str,
        _: Option<&dyn AnyRow>,
        _: Option<&dyn AnyRow>,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn reads_everything(&self, _: &'static str) -> bool {
        true
    }
}
