//! Subscriptions come and go.

use std::sync::Arc;

use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::query::{CompiledQuery, CompiledRelation, QuerySpec, RelationSpec};
use crate::space::connection::{Holds, Subscription};
use crate::space::engine::Engine;
use crate::space::families::RelationKey;
use crate::space::feed::Owed;
use crate::space::io::ConnId;
use crate::wire::{Failed, MAX_HELD, ServerMessage, SubId, Subscribe, User};

/// The most keys that a connection's subscriptions may have said they hold and wait for an answer to; 8 bytes each.
const MAX_HELD_OF_CONNECTION: usize = MAX_HELD;

/// A query that can be answered.
struct Checked {
    collection: &'static str,
    query: Arc<CompiledQuery>,
    relations: Vec<(RelationKey, Arc<CompiledRelation>)>,
}

impl Engine {
    pub(super) fn subscribe(&mut self, conn: ConnId, subscribe: Subscribe) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let Some(user) = connection.user().cloned() else { return };
        let Subscribe { sub, query: spec, cursor, held } = subscribe;
        if let Some(open) = connection.subs.get(&sub) {
            if open.spec != spec {
                let error =
                    Error::new(code::BAD_FRAME, "the number of a subscription is used for one query only");
                self.fail(conn, sub, error.with_field("sub"));
            }
            return;
        }
        if connection.subs.len() >= self.config.limits.subscriptions {
            return self.fail(
                conn,
                sub,
                Error::new(code::TOO_MANY, "no more subscriptions fit on one connection"),
            );
        }
        let Checked { collection, query, relations } = match self.check_query(&user, &spec) {
            Ok(checked) => checked,
            Err(error) => return self.fail(conn, sub, error.shortened()),
        };
        let remembered: usize = connection.subs.values().map(|subscription| subscription.holds.len()).sum();
        let room = MAX_HELD_OF_CONNECTION.saturating_sub(remembered);
        let holds = match held {
            None => Holds::Unsaid,
            Some(held) if held.len() > room => Holds::TooMuch,
            Some(held) => Holds::Said(held),
        };
        let space = spec.space.clone();
        self.host(&space).subs.insert((conn, sub));
        if let Some(connection) = self.connections.get_mut(&conn) {
            let subscription =
                Subscription { spec, collection, query, relations, cursor, holds, shape: None };
            connection.subs.insert(sub, Box::new(subscription));
            connection.feed.owe(Owed { space, sub: Some(sub) });
        }
        self.pump(conn);
    }

    fn check_query(&self, user: &User, spec: &QuerySpec) -> Result<Checked, Error> {
        let space = SpaceId::checked(spec.space.as_str())?;
        self.access.open(user, &space)?;
        let def = self.schema.collection(&spec.collection)?;
        let query = Arc::new(CompiledQuery::new(spec, def.fields)?);
        let relation = |spec: &RelationSpec| {
            let def = self.schema.collection(&spec.collection)?;
            let relation = CompiledRelation::new(spec, def.fields)?;
            Ok((RelationKey::new(def.name, spec, &relation), Arc::new(relation)))
        };
        let relations = spec.relations.iter().map(relation).collect::<Result<_, Error>>()?;
        Ok(Checked { collection: def.name, query, relations })
    }

    pub(super) fn unsubscribe(&mut self, conn: ConnId, sub: SubId) {
        self.drop_subscription(conn, sub);
        self.pump(conn);
    }

    /// Closes a subscription, if it is open, and tells the client why.
    pub(super) fn fail(&mut self, conn: ConnId, sub: SubId, error: Error) {
        self.drop_subscription(conn, sub);
        if let Some(connection) = self.connections.get(&conn) {
            connection.feed.control(&ServerMessage::Failed(Failed { sub, error }), &mut self.outputs);
        }
    }

    fn drop_subscription(&mut self, conn: ConnId, sub: SubId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let was_owed = connection.feed.forget(sub, &mut self.outputs);
        let Some(subscription) = connection.subs.remove(&sub) else { return };
        // acknowledgements may have been thrown away because the answer was to tell of the writes; where the space could not
        // be read, the answer to whoever asks again does
        let space = &subscription.spec.space;
        let is_silent = connection.subs.values().all(|other| other.spec.space != *space);
        if was_owed
            && is_silent
            && connection.writers.of(space).next().is_some()
            && let Some(hosted) = self.spaces.get_mut(space)
        {
            connection.feed.owe(Owed { space: space.clone(), sub: None });
            hosted.asking.insert(conn);
        }
        self.let_go(conn, sub, &subscription);
    }

    /// Takes a subscription, which its connection no longer has, out of its space.
    pub(super) fn let_go(&mut self, conn: ConnId, sub: SubId, subscription: &Subscription) {
        let id = &subscription.spec.space;
        let Some(space) = self.spaces.get_mut(id) else { return };
        space.subs.remove(&(conn, sub));
        if let (Some(set), Some(shape)) = (&mut space.set, &subscription.shape) {
            set.detach(conn, sub, shape);
        }
        self.look_after_space(id);
    }
}
