//! One client: a connection of the engine with one subscription for each channel, whose frames become messages.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::value::RawValue;
use syncline_core::channel::{ACTION, ActionPayload};
use syncline_core::wire::{
    ClientMessage, Frame, Hello, PROTOCOL, ServerMessage, SubId, Subscribe, Unsubscribe, Write, encode,
};
use syncline_core::{ClientId, Cursor, Error, QuerySpec, SpaceId, Version, WriteId, code};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::connection::{Connection, Shared, stopping};
use crate::credentials::bearer;
use crate::partysync::history::{Asked, InUse};
use crate::partysync::moment::From;
use crate::partysync::request::{Act, Request};
use crate::partysync::translation::Streaming;
use crate::partysync::{Face, Spoke, Spokes, reply};
use crate::problem::{INTERNAL, close_code, is_loss_of_rights};

/// The close code of a socket whose client may not be here any more.
const REVOKED: CloseCode = CloseCode::Library(4003);

/// The requests of one client that wait for their answers; further ones are not read before.
pub(super) const IN_FLIGHT: usize = 64;

/// The most characters of an action's name that an error repeats.
const MAX_NAME: usize = 256;

/// A message, or a part of one.
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) begins: bool,
    pub(super) ends: bool,
}

impl Piece {
    pub(super) fn whole(text: impl Into<Bytes>) -> Self {
        Self { bytes: text.into(), begins: true, ends: true }
    }
}

/// What comes next.
pub(super) enum Next {
    Told(Vec<Piece>),
    /// The engine wants to know whether the client is still there; to be answered with [`Guest::alive`].
    Ping(u64),
    /// Nothing follows but this.
    End {
        code: CloseCode,
        reason: String,
    },
}

/// What the client follows of one channel.
pub(super) struct Followed {
    /// The subscription whose changes it is told.
    pub(super) sub: SubId,
    /// The engine has answered it: what comes now is news.
    pub(super) is_live: bool,
    /// All rows of the collection are in it.
    pub(super) is_whole: bool,
    /// Subscriptions that answer syncs. The last one that is answered is the one to follow from then on.
    pub(super) syncs: VecDeque<Sync>,
}

pub(super) struct Sync {
    pub(super) sub: SubId,
    /// The client has rows: if it is given all, it is told before to let those go.
    pub(super) clears: bool,
}

/// An action that waits for its answer.
pub(super) struct Pending {
    pub(super) client: ClientId,
    pub(super) write: WriteId,
    pub(super) id: Box<RawValue>,
    pub(super) channel: usize,
}

/// See the [module](self). Dropping it ends it.
pub(super) struct Guest {
    shared: Arc<Shared>,
    pub(super) connection: Connection,
    pub(super) history: InUse,
    space: SpaceId,
    pub(super) spokes: Spokes,
    pub(super) followed: Vec<Followed>,
    /// Whose actions those are that the client does not count itself.
    pub(super) client: ClientId,
    pub(super) next_write: WriteId,
    pub(super) pending: VecDeque<Pending>,
    next_sub: SubId,
    pub(super) cursor: Cursor,
    /// The reply that is being sent in pieces.
    pub(super) streaming: Option<Streaming>,
    /// Subscriptions that are not followed any more.
    pub(super) superseded: Vec<SubId>,
    /// Up to which version it has been looked for actions that changed nothing.
    quiet_seen: Version,
}

impl Guest {
    /// Connects, authenticates and subscribes.
    ///
    /// # Errors
    /// When the person is not known or not let in, or the server takes nobody.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        face: &Face,
        headers: &HeaderMap,
        space: SpaceId,
        spokes: Spokes,
    ) -> Result<Self, Error> {
        let connection = Connection::open(shared, headers)?;
        let client = new_client()?;
        let hello = Hello {
            protocol: PROTOCOL,
            schema: 0,
            client: client.clone(),
            encodings: Vec::new(),
            token: bearer(headers),
        };
        say(&connection, shared, &ClientMessage::Hello(hello)).await?;
        heard(&connection, |message| matches!(message, ServerMessage::Welcome(_))).await?;
        // whether they may enter, and where it stands, before anything is read for them
        let Some(first) = spokes.first() else { return Err(stopping()) };
        let one = QuerySpec { limit: Some(1), ..(first.records)(space.clone()) };
        let subscribe = Subscribe { sub: 1, query: one, cursor: None, held: None };
        say(&connection, shared, &ClientMessage::Subscribe(subscribe)).await?;
        let snapshot = heard(&connection, |message| matches!(message, ServerMessage::Snapshot(_))).await?;
        let ServerMessage::Snapshot(snapshot) = snapshot else { return Err(stopping()) };
        say(&connection, shared, &ClientMessage::Unsubscribe(Unsubscribe { sub: 1 })).await?;
        let history = face.histories.of(shared, &space).await?;
        let quiet_seen = *history.quiet.borrow();
        let mut guest = Self {
            shared: Arc::clone(shared),
            connection,
            history,
            space,
            spokes,
            followed: Vec::new(),
            client,
            next_write: 1,
            pending: VecDeque::new(),
            next_sub: 2,
            cursor: snapshot.cursor,
            streaming: None,
            superseded: Vec::new(),
            quiet_seen,
        };
        for channel in 0..guest.spokes.len() {
            let sub = guest.subscribe(channel, Some(guest.cursor)).await?;
            let records = guest.records(channel);
            let is_whole = records.filter.is_none() && records.limit.is_none();
            guest.followed.push(Followed { sub, is_live: false, is_whole, syncs: VecDeque::new() });
        }
        Ok(guest)
    }

    /// Told when an action of others changed nothing.
    pub(super) fn quiet(&self) -> watch::Receiver<Version> {
        self.history.quiet.subscribe()
    }

    /// What comes next. Asking says that what came before has left.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let next = match self.connection.next().await {
                Ok(frame) => self.take(&frame),
                Err(error) => end(error.as_ref()),
            };
            if !matches!(&next, Next::Told(pieces) if pieces.is_empty()) {
                return next;
            }
        }
    }

    /// Tells the engine that the client is still there.
    pub(super) async fn alive(&self, ping: u64) {
        // a connection that has ended says so itself
        let _ = say(&self.connection, &self.shared, &ClientMessage::Pong(ping)).await;
    }

    /// A message is being sent in pieces: no other may begin.
    pub(super) fn is_streaming(&self) -> bool {
        self.streaming.is_some()
    }

    /// Whether a further request can be taken.
    pub(super) fn is_free(&self) -> bool {
        let syncs: usize = self.followed.iter().map(|followed| followed.syncs.len()).sum();
        !self.is_streaming() && self.pending.len() + syncs < IN_FLIGHT
    }

    /// Others did something that changed nothing.
    pub(super) fn quiet_news(&mut self) -> Vec<Piece> {
        let to = *self.history.quiet.borrow();
        let from = std::mem::replace(&mut self.quiet_seen, to);
        let others = self.history.between(from, to).into_iter().filter_map(|(_, entry)| {
            let is_own = entry.sender == Some(self.connection.inbound.conn);
            let channel = entry.channel.filter(|_| entry.is_quiet() && !is_own)?;
            self.spokes.iter().any(|spoke| spoke.name == channel.name).then_some(channel.name)
        });
        others.map(|channel| Piece::whole(reply::update(channel, &[]))).collect()
    }

    /// Does what the client asks. What it is told at once.
    pub(super) async fn ask(&mut self, request: Request) -> Option<Piece> {
        let refusal = match request {
            Request::Sync { channel, from } => self.sync(&channel, from).await.err()?,
            Request::Act(act) => self.act(act).await.err()?,
            Request::Unclear(why) => reply::exception(&why),
        };
        Some(Piece::whole(refusal))
    }

    async fn sync(&mut self, name: &str, from: Option<From>) -> Result<(), String> {
        let refuse = |error: Error| reply::sync_error(name, &error);
        let (channel, spoke) = self.spoke(name).map_err(refuse)?;
        let time = match from {
            Some(From::Nothing) => None,
            Some(From::Time(time)) => Some(time),
            None => return Err(refuse(Error::new(code::BAD_QUERY, "`from` is null or an `updated_at`"))),
        };
        let version = time.as_ref().and_then(|time| self.history.version_at(spoke.collection, time));
        // what is told of a version beyond that of the engine is taken for a history that was lost
        let cursor =
            version.map(|version| Cursor { version: version.min(self.cursor.version), ..self.cursor });
        let sub = self.subscribe(channel, cursor).await.map_err(refuse)?;
        if let Some(followed) = self.followed.get_mut(channel) {
            followed.syncs.push_back(Sync { sub, clears: time.is_some() });
        }
        Ok(())
    }

    async fn act(&mut self, act: Act) -> Result<(), String> {
        let Act { id, channel: name, action, once } = act;
        let payload = ActionPayload { channel: name.as_str().into(), action };
        let refuse = |error: Error| {
            // a name is whatever somebody has sent
            let about = || payload.name().chars().take(MAX_NAME).collect::<String>();
            let error = if error.field().is_some() { error } else { error.with_field(about()) };
            reply::call_error(&name, &id, &error)
        };
        let (channel, spoke) = self.spoke(&name).map_err(refuse)?;
        let asked = Asked { name: spoke.name, collection: spoke.collection };
        let (client, write) = match once {
            Some(once) => once.map_err(refuse)?,
            None => (self.client.clone(), self.next_write),
        };
        let settled = if client == self.client { self.settled() } else { 0 };
        let payload = payload.to_payload().map_err(refuse)?;
        let (space, kind) = (self.space.clone(), ACTION.into());
        let message =
            ClientMessage::Write(Write { space, client: client.clone(), id: write, settled, kind, payload });
        let frame = encode(&message, []);
        if frame.len() > self.shared.config.engine.limits.frame_bytes {
            return Err(refuse(Error::new(code::FRAME_TOO_LARGE, "the action is too large")));
        }
        self.history.sending(&client, write, self.connection.inbound.conn, asked);
        if client == self.client {
            self.next_write += 1;
        }
        self.pending.push_back(Pending { client, write, id, channel });
        // a connection that has ended says so itself
        let _ = self.connection.inbound.frame(frame, &self.shared.config).await;
        Ok(())
    }

    /// Up to which of its own actions the client has been answered.
    fn settled(&self) -> WriteId {
        let own = self.pending.iter().filter(|pending| pending.client == self.client);
        own.map(|pending| pending.write).min().unwrap_or(self.next_write).saturating_sub(1)
    }

    fn spoke(&self, name: &str) -> Result<(usize, &Spoke), Error> {
        let mut all = self.spokes.iter().enumerate();
        let unknown = || Error::new(code::UNKNOWN_CHANNEL, "there is no such channel");
        all.find(|(_, spoke)| spoke.name == name).ok_or_else(unknown)
    }

    fn records(&self, channel: usize) -> QuerySpec {
        (self.spokes[channel].records)(self.space.clone())
    }

    async fn subscribe(&mut self, channel: usize, cursor: Option<Cursor>) -> Result<SubId, Error> {
        let sub = self.next_sub;
        self.next_sub += 1;
        let subscribe = Subscribe { sub, query: self.records(channel), cursor, held: None };
        say(&self.connection, &self.shared, &ClientMessage::Subscribe(subscribe)).await?;
        Ok(sub)
    }

    /// Tells the engine which subscriptions have been followed by others.
    pub(super) async fn let_go(&mut self) {
        for sub in std::mem::take(&mut self.superseded) {
            // a connection that has ended says so itself
            let message = ClientMessage::Unsubscribe(Unsubscribe { sub });
            let _ = say(&self.connection, &self.shared, &message).await;
        }
    }

    /// Actions of the client get another name: of the one before some were not done, and none can follow on those.
    pub(super) fn rename(&mut self) {
        if let Ok(client) = new_client() {
            (self.client, self.next_write) = (client, 1);
        }
    }

    fn take(&mut self, frame: &[u8]) -> Next {
        let parsed = match Frame::parse(frame) {
            Ok(parsed) => parsed,
            Err(error) => return end(Some(&error)),
        };
        Next::Told(match &parsed.message {
            ServerMessage::Snapshot(snapshot) => self.snapshot(snapshot, parsed.rows()),
            ServerMessage::Resume(resume) => self.resume(resume, parsed.rows()),
            ServerMessage::Changes(changes) => self.changes(changes, parsed.rows()),
            ServerMessage::Reset(_) => self.reset(),
            ServerMessage::Ping(ping) => return Next::Ping(*ping),
            ServerMessage::Failed(failed) => match self.failed(failed) {
                Ok(pieces) => pieces,
                Err(error) => return end(Some(error)),
            },
            ServerMessage::Expired(expired) => {
                let old = || Error::new(code::UNAUTHENTICATED, "the credentials are no longer good");
                return end(Some(&expired.error.clone().unwrap_or_else(old)));
            }
            ServerMessage::Error(error) => return end(Some(error)),
            ServerMessage::Welcome(_) | ServerMessage::Pong(_) => Vec::new(),
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // what is on its way is done, and others are told of it; nobody waits for the answer
        for Pending { client, write, .. } in &self.pending {
            self.history.forsake(client, *write, self.connection.inbound.conn);
        }
    }
}

fn end(error: Option<&Error>) -> Next {
    match error {
        Some(error) if is_loss_of_rights(error) => Next::End { code: REVOKED, reason: "forbidden".into() },
        Some(error) => Next::End { code: close_code(Some(error)), reason: error.code().to_owned() },
        None => Next::End { code: close_code(None), reason: String::new() },
    }
}

/// The next message of a kind, unless there is a refusal instead.
async fn heard(
    connection: &Connection,
    is_it: impl Fn(&ServerMessage) -> bool,
) -> Result<ServerMessage, Error> {
    loop {
        let frame = connection.next().await.map_err(|error| error.unwrap_or_else(stopping))?;
        match Frame::parse(&frame)?.message {
            message if is_it(&message) => return Ok(message),
            ServerMessage::Expired(expired) => {
                let missing = || Error::new(code::UNAUTHENTICATED, "credentials are missing");
                return Err(expired.error.unwrap_or_else(missing));
            }
            ServerMessage::Failed(failed) => return Err(failed.error),
            ServerMessage::Error(error) => return Err(error),
            _ => {}
        }
    }
}

async fn say(connection: &Connection, shared: &Shared, message: &ClientMessage) -> Result<(), Error> {
    let sent = connection.inbound.frame(encode(message, []), &shared.config).await;
    sent.map_err(|_| stopping())
}

fn new_client() -> Result<ClientId, Error> {
    let number = getrandom::u64().map_err(|_| Error::new(INTERNAL, "the system has no random numbers"))?;
    Ok(ClientId::from(format!("party-{number:016x}")))
}
