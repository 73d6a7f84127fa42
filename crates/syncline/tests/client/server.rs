//! A server that says what the test tells it to.

use std::time::Duration;

use syncline::transport::Link;
use syncline::transport::memory::{self, Incoming, MemoryConnector, MemoryListener};
use syncline::{Error, SpaceId, User, Version};
use syncline_core::wire::{
    Ack, Auth, Changes, ClientMessage, Hello, Limits, PROTOCOL, Part, ServerMessage, Snapshot, SubId,
    Subscribe, Welcome, Write, encode, parse_client,
};
use syncline_core::{Cursor, Incarnation};

use crate::Todo;

/// Longer than anything in a test takes: who waits for so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Server {
    listener: MemoryListener,
}

impl Server {
    pub(crate) fn new() -> (MemoryConnector, Self) {
        let (connector, listener) = memory::pair();
        (connector, Self { listener })
    }

    /// The next connection, as it is asked for.
    pub(crate) async fn asked(&mut self) -> Incoming {
        let asked = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        asked.expect("the client does not connect").unwrap()
    }

    /// The next connection, opened, with the hello that came.
    pub(crate) async fn hello(&mut self) -> (Peer, Hello) {
        let mut peer = Peer { link: self.asked().await.accept() };
        match peer.next().await {
            ClientMessage::Hello(hello) => (peer, hello),
            other => panic!("expected a hello, got {other:?}"),
        }
    }

    /// The next connection, opened and welcomed.
    pub(crate) async fn welcome(&mut self) -> Peer {
        let (mut peer, _) = self.hello().await;
        peer.welcome(Limits::default()).await;
        peer
    }

    /// Whether somebody wants to connect within the next while.
    pub(crate) async fn is_asked_within(&mut self, while_: Duration) -> bool {
        tokio::time::timeout(while_, self.listener.accept()).await.is_ok_and(|incoming| incoming.is_some())
    }
}

/// The server's end of one connection.
pub(crate) struct Peer {
    pub(crate) link: Link,
}

impl Peer {
    /// The next message other than pings, which are answered.
    pub(crate) async fn next(&mut self) -> ClientMessage {
        loop {
            let frame =
                tokio::time::timeout(PATIENCE, self.link.receive()).await.expect("the client says nothing");
            let frame = frame.unwrap().expect("the client closed the connection");
            match parse_client(&frame, 1 << 20).unwrap() {
                ClientMessage::Ping(number) => self.say(&ServerMessage::Pong(number), &[]).await,
                message => return message,
            }
        }
    }

    pub(crate) async fn subscribed(&mut self) -> Subscribe {
        match self.next().await {
            ClientMessage::Subscribe(subscribe) => subscribe,
            other => panic!("expected a subscription, got {other:?}"),
        }
    }

    pub(crate) async fn written(&mut self) -> Write {
        match self.next().await {
            ClientMessage::Write(write) => write,
            other => panic!("expected a write, got {other:?}"),
        }
    }

    pub(crate) async fn authenticated(&mut self) -> Auth {
        match self.next().await {
            ClientMessage::Auth(auth) => auth,
            other => panic!("expected credentials, got {other:?}"),
        }
    }

    /// Waits until the client has closed the connection, whatever it says before.
    pub(crate) async fn closed(&mut self) {
        let closed = async { while self.link.receive().await.is_ok_and(|frame| frame.is_some()) {} };
        tokio::time::timeout(PATIENCE, closed).await.expect("the client keeps the connection open");
    }

    pub(crate) async fn say(&mut self, message: &ServerMessage, rows: &[Todo]) {
        let rows: Vec<Vec<u8>> = rows.iter().map(|row| serde_json::to_vec(row).unwrap()).collect();
        self.link.send(encode(message, rows.iter().map(Vec::as_slice))).await.unwrap();
    }

    pub(crate) async fn welcome(&mut self, limits: Limits) {
        self.welcome_as(User { id: "ada".into(), name: None }, limits).await;
    }

    pub(crate) async fn welcome_as(&mut self, user: User, limits: Limits) {
        let encoding = "json".into();
        let welcome =
            Welcome { protocol: PROTOCOL, user, encoding, heartbeat_ms: 30_000, limits, link: None };
        self.say(&ServerMessage::Welcome(welcome), &[]).await;
    }

    pub(crate) async fn snapshot(&mut self, sub: SubId, version: Version, rows: &[Todo]) {
        let cursor = Cursor { incarnation: Incarnation(1), schema: 0, epoch: 0, version };
        let total = rows.len() as u64;
        let writes = Vec::new();
        self.say(
            &ServerMessage::Snapshot(Snapshot {
                sub,
                cursor,
                chunk: 0,
                total,
                last: true,
                selective: false,
                fields: Vec::new(),
                related: Vec::new(),
                counts: Vec::new(),
                writes,
            }),
            rows,
        )
        .await;
    }

    /// One version more in the list `l`, with the rows it puts.
    pub(crate) async fn change(&mut self, sub: SubId, to: Version, rows: &[Todo]) {
        let part = Part { sub, put: (0..rows.len()).collect(), ..Part::default() };
        self.changes(to, vec![part], Vec::new(), rows).await;
    }

    /// The verdict on a write, with the row it leaves.
    pub(crate) async fn ack(&mut self, sub: SubId, to: Version, write: &Write, row: Todo) {
        let ack = Ack {
            client: write.client.clone(),
            id: write.id,
            error: None,
            expected: None,
            output: None,
            uncounted: false,
        };
        self.changes(to, vec![Part { sub, put: vec![0], ..Part::default() }], vec![ack], &[row]).await;
    }

    /// An action is done, and its handler gave this back.
    pub(crate) async fn acked(&mut self, write: &Write, output: &str) {
        let output = serde_json::value::RawValue::from_string(output.to_owned()).unwrap();
        let output = Some(output).filter(|output| output.get() != "null");
        let ack = Ack {
            client: write.client.clone(),
            id: write.id,
            error: None,
            expected: None,
            output,
            uncounted: false,
        };
        let changes = Changes { acks: vec![ack], ..Changes::new(write.space.clone(), 1, 1) };
        self.say(&ServerMessage::Changes(changes), &[]).await;
    }

    pub(crate) async fn refuse(&mut self, version: Version, write: &Write, error: Error) {
        let ack = Ack {
            client: write.client.clone(),
            id: write.id,
            error: Some(error),
            expected: None,
            output: None,
            uncounted: false,
        };
        let changes = Changes {
            space: write.space.clone(),
            from: version,
            to: version,
            parts: Vec::new(),
            acks: vec![ack],
            writes: Vec::new(),
        };
        self.say(&ServerMessage::Changes(changes), &[]).await;
    }

    pub(crate) async fn changes(&mut self, to: Version, parts: Vec<Part>, acks: Vec<Ack>, rows: &[Todo]) {
        let changes =
            Changes { space: SpaceId::from("l"), from: to - 1, to, parts, acks, writes: Vec::new() };
        self.say(&ServerMessage::Changes(changes), rows).await;
    }
}
