//! One client: a connection of the engine with one subscription, whose frames become events.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::json;
use syncline_core::space::Identity;
use syncline_core::wire::{ClientMessage, Frame, Hello, PROTOCOL, ServerMessage, Subscribe, User, encode};
use syncline_core::{ClientId, Error, code};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::connection::{Connection, Shared, stopping};
use crate::problem::{INTERNAL, close_code, is_loss_of_rights};
use crate::watch_records::Face;
use crate::watch_records::encode::{Event, stream};
use crate::watch_records::holding::{Holding, Renamed};
use crate::watch_records::mapping::Collection;
use crate::watch_records::params::List;
use crate::watch_records::place::Place;
use crate::watch_records::refusal::Refusal;
use crate::watch_records::snapshot::Incoming;
use crate::watch_records::translation::{Group, Translated};

/// The close code of a socket whose client is not a member any more, and what it is told with it.
const REVOKED: CloseCode = CloseCode::Library(4003);

/// Who is at the other end, when that is known without asking the application.
pub(super) struct Visitor {
    /// Of a ticket or an invitation.
    pub(super) identity: Option<Identity>,
    /// What `authenticate` is asked with otherwise.
    pub(super) token: Option<String>,
}

/// Events that are to be sent.
pub(super) enum Told {
    /// To this client alone.
    Own(Vec<Event>),
    /// To others too.
    Shared(Arc<Translated>),
}

impl Told {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Own(events) => events.is_empty(),
            Self::Shared(translated) => translated.events.is_empty(),
        }
    }

    pub(super) fn stream(&self) -> Bytes {
        match self {
            Self::Own(events) => stream(events),
            Self::Shared(translated) => translated.stream(),
        }
    }

    pub(super) fn messages(&self) -> Vec<Bytes> {
        match self {
            Self::Own(events) => events.iter().map(Event::message).collect(),
            Self::Shared(translated) => translated.messages().to_vec(),
        }
    }
}

/// What comes next.
pub(super) enum Next {
    Told(Told),
    /// The engine wants to know whether the client is still there; to be answered with [`Watcher::alive`].
    Ping(u64),
    /// Nothing follows but this.
    End(End),
}

/// How a watch ends.
pub(super) struct End {
    /// Why, if it is not that the server ends.
    pub(super) error: Option<Error>,
    /// The last event, if there is anything to say.
    pub(super) event: Option<Event>,
    /// What a socket is closed with.
    pub(super) code: CloseCode,
    pub(super) reason: &'static str,
}

/// See the [module](self). Dropping it ends it.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    pub(super) connection: Connection,
    group: Arc<Group>,
    user: User,
    holding: Holding,
    incoming: Incoming,
    /// The first frame of the answer.
    first: Option<Arc<[u8]>>,
}

impl Watcher {
    /// Connects, authenticates and subscribes; comes back with the first rows on their way.
    ///
    /// # Errors
    /// When the person is not known or not let in, or the server takes nobody.
    pub(super) async fn open(
        (shared, face): (&Arc<Shared>, &Arc<Face>),
        headers: &HeaderMap,
        visitor: Visitor,
        (collection, place, list): (&Arc<Collection>, Place, List),
    ) -> Result<Self, Refusal> {
        let connection = Connection::open_as(shared, headers, visitor.identity)?;
        let client = new_client()?;
        let nothing = Hello { protocol: PROTOCOL, schema: 0, client, encodings: Vec::new(), token: None };
        say(&connection, shared, &ClientMessage::Hello(Hello { token: visitor.token, ..nothing })).await?;
        let user = loop {
            match message(&next(&connection).await?)? {
                ServerMessage::Welcome(welcome) => break welcome.user,
                ServerMessage::Error(error) => return Err(Refusal::unknown(error)),
                other => refused(other)?,
            }
        };
        let query = list.spec.clone();
        let subscribe = Subscribe { sub: 1, query, cursor: None, held: None };
        say(&connection, shared, &ClientMessage::Subscribe(subscribe)).await?;
        let first = loop {
            let frame = next(&connection).await?;
            match message(&frame)? {
                ServerMessage::Snapshot(_) => break frame,
                other => refused(other)?,
            }
        };
        Ok(Self {
            shared: Arc::clone(shared),
            connection,
            group: face.groups.join(collection, place, list),
            user,
            holding: Holding::new(),
            incoming: Incoming::default(),
            first: Some(first),
        })
    }

    pub(super) fn user(&self) -> &User {
        &self.user
    }

    /// When the credentials it was opened with grow old, if ever. Unix ms.
    pub(super) fn expires_at(&self) -> Option<u64> {
        self.connection.outbox.expires_at()
    }

    /// What comes next. Asking says that what came before has left.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let frame = match self.first.take() {
                Some(first) => Ok(first),
                None => self.connection.next().await,
            };
            let next = match frame {
                Ok(frame) => self.take(&frame),
                Err(error) => Some(Next::End(self.end(error.as_ref()))),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// Tells the engine that the client is still there.
    pub(super) async fn alive(&self, ping: u64) {
        // a connection that has ended says so itself
        let _ = say(&self.connection, &self.shared, &ClientMessage::Pong(ping)).await;
    }

    fn take(&mut self, frame: &[u8]) -> Option<Next> {
        let parsed = match Frame::parse(frame) {
            Ok(parsed) => parsed,
            Err(error) => return Some(Next::End(self.end(Some(&error)))),
        };
        let told = match &parsed.message {
            ServerMessage::Snapshot(snapshot) => {
                let (group, holding) = (&self.group, &mut self.holding);
                match self.incoming.take(group, holding, snapshot, parsed.rows()) {
                    Ok(events) => Told::Own(events),
                    Err(renamed) => return Some(Next::End(self.end(Some(&renamed.into())))),
                }
            }
            ServerMessage::Changes(changes) => {
                let rows =
                    frame.iter().position(|&byte| byte == b'\n').map_or(&[][..], |end| &frame[end + 1..]);
                let translated = self.group.translate(changes, rows, &self.holding);
                if translated.is_beyond_words {
                    return Some(Next::End(self.end(Some(&Renamed.into()))));
                }
                translated.apply(&mut self.holding);
                Told::Shared(translated)
            }
            ServerMessage::Ping(ping) => return Some(Next::Ping(*ping)),
            ServerMessage::Failed(failed) => return Some(Next::End(self.end(Some(&failed.error)))),
            ServerMessage::Expired(expired) => {
                let old = || Error::new(code::UNAUTHENTICATED, "the credentials are no longer good");
                return Some(Next::End(self.end(Some(&expired.error.clone().unwrap_or_else(old)))));
            }
            ServerMessage::Error(error) => return Some(Next::End(self.end(Some(error)))),
            // a reset is followed by a snapshot; and without a cursor nothing is resumed
            ServerMessage::Welcome(_)
            | ServerMessage::Pong(_)
            | ServerMessage::Reset(_)
            | ServerMessage::Resume(_) => return None,
        };
        Some(Next::Told(told)).filter(|next| !matches!(next, Next::Told(told) if told.is_empty()))
    }

    fn end(&self, error: Option<&Error>) -> End {
        let (event, code, reason) = match error {
            Some(error) if is_loss_of_rights(error) => {
                let data = json!({ "space": self.group.place.name(), "did": self.user.id });
                (Some(Event::new("member.removed", &data)), REVOKED, "membership-revoked")
            }
            Some(error) => {
                let event = Event::new("error", &json!({ "message": error.message() }));
                (Some(event), close_code(Some(error)), "")
            }
            None => (None, close_code(None), ""),
        };
        End { error: error.cloned(), event, code, reason }
    }
}

async fn next(connection: &Connection) -> Result<Arc<[u8]>, Refusal> {
    connection.next().await.map_err(|error| error.unwrap_or_else(stopping).into())
}

fn message(frame: &[u8]) -> Result<ServerMessage, Refusal> {
    Ok(Frame::parse(frame)?.message)
}

/// What the engine says instead of what was asked for.
fn refused(message: ServerMessage) -> Result<(), Refusal> {
    match message {
        ServerMessage::Expired(_) => Err(Refusal::auth_required()),
        ServerMessage::Failed(failed) => Err(failed.error.into()),
        ServerMessage::Error(error) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn say(connection: &Connection, shared: &Shared, message: &ClientMessage) -> Result<(), Refusal> {
    let sent = connection.inbound.frame(encode(message, []), &shared.config).await;
    sent.map_err(|_| stopping().into())
}

/// The engine wants to know who writes. Nobody does here, and nothing is kept of it.
fn new_client() -> Result<ClientId, Error> {
    let number = getrandom::u64().map_err(|_| Error::new(INTERNAL, "the system has no random numbers"))?;
    Ok(ClientId::from(format!("watch-{number:016x}")))
}
