//! Answers to subscriptions: a snapshot, or what was missed; and everything anew for whoever fell behind.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use crate::id::{ClientId, Cursor, Incarnation, SpaceId};
use crate::query::QuerySpec;
use crate::schema::{CollectionDef, Schema};
use crate::space::access::Access;
use crate::space::connection::{Connection, Connections, Holds, Subscription};
use crate::space::engine::Engine;
use crate::space::feed::{Outputs, Owed, Step};
use crate::space::hosted::Hosted;
use crate::space::io::ConnId;
use crate::space::rows::Row;
use crate::space::shape::{Answer, ShapeKey};
use crate::space::stream::{Missed, Stream};
use crate::space::working_set::WorkingSet;
use crate::wire::{self, Changes, Count, Held, Reset, ServerMessage, SubId, WriteState};

impl Engine {
    /// Gives a connection what it is owed, as far as it can take it now.
    pub(super) fn pump(&mut self, conn: ConnId) {
        loop {
            let Some(connection) = self.connections.get_mut(&conn) else { return };
            let ready = |space: &SpaceId| self.spaces.get(space).is_some_and(|space| space.set.is_some());
            match connection.feed.step(ready, &mut self.outputs) {
                None => return,
                Some(Step::Reset(subs)) => self.reset(conn, subs),
                Some(Step::Answer(Owed { space, sub: Some(sub) })) => self.answer(conn, &space, sub),
                Some(Step::Answer(Owed { space, sub: None })) => self.answer_writes(conn, &space),
            }
        }
    }

    pub(super) fn drained(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.feed.drained();
            self.pump(conn);
        }
    }

    pub(super) fn lagged(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.feed.lagged();
            self.fall_behind(conn);
        }
    }

    /// The connection cannot be told what it should be: as soon as it can take frames, all its subscriptions are
    /// answered anew.
    pub(super) fn fall_behind(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let Connection { subs, feed, .. } = &mut **connection;
        let mut void = Vec::new();
        for (&sub, subscription) in subs {
            let Some(shape) = subscription.shape.take() else { continue };
            let space = &subscription.spec.space;
            if let Some(set) = self.spaces.get_mut(space).and_then(|space| space.set.as_mut()) {
                set.detach(conn, sub, &shape);
            }
            feed.owe(Owed { space: space.clone(), sub: Some(sub) });
            void.push(sub);
        }
        feed.fall_behind(void);
    }

    fn reset(&mut self, conn: ConnId, subs: BTreeSet<SubId>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let Connection { subs: open, feed, writers, .. } = &mut **connection;
        feed.control(&ServerMessage::Reset(Reset { subs: subs.into_iter().collect() }), &mut self.outputs);
        // the answer to a subscription tells of the writes to its space; where there is none, something else must
        let answered: BTreeSet<_> = open.values().map(|subscription| &subscription.spec.space).collect();
        let silent: Vec<_> = writers.spaces().into_iter().filter(|space| !answered.contains(space)).collect();
        for space in &silent {
            feed.owe(Owed { space: space.clone(), sub: None });
        }
        for space in &silent {
            self.host(space).asking.insert(conn);
        }
    }

    pub(super) fn no_longer_asks(&mut self, conn: ConnId, space: &SpaceId) {
        if let Some(hosted) = self.spaces.get_mut(space) {
            hosted.asking.remove(&conn);
            self.look_after_space(space);
        }
    }

    /// A client has seen versions that the space does not have: its storage was restored from an older copy. Nobody can
    /// tell any more what a version of that history stands for, so it ends: durably, and for everybody.
    fn renew(&mut self, conn: ConnId, id: &SpaceId) {
        let fresh = Incarnation(self.rng.next_u64());
        let Some(space) = self.spaces.get_mut(id) else { return };
        let Some(set) = &mut space.set else { return };
        let told = set.renew(fresh);
        space.renewed = true;
        for one in told {
            self.fall_behind(one);
            if one != conn {
                self.pump(one);
            }
        }
        self.commit_next(id);
    }

    fn answer(&mut self, conn: ConnId, space: &SpaceId, sub: SubId) {
        let Some((connection, set)) = both(&mut self.connections, &mut self.spaces, conn, space) else {
            return;
        };
        let cursor = connection.subs.get(&sub).and_then(|subscription| subscription.cursor);
        if cursor.is_some_and(|cursor| set.is_behind(&cursor)) {
            self.renew(conn, space);
            // what it holds of the space already is void: it is told so first, and told no changes till then, not even those
            // behind this answer
            let Some(connection) = self.connections.get_mut(&conn) else { return };
            if connection.feed.is_behind() {
                return connection.feed.owe(Owed { space: space.clone(), sub: Some(sub) });
            }
        }
        let Self { connections, spaces, access, config, outputs, schema, .. } = self;
        let Some((connection, set)) = both(connections, spaces, conn, space) else { return };
        let Some(user) = connection.user().cloned() else { return };
        bring_up_to_date(conn, connection, set, outputs);
        let writes = write_states(connection, set);
        let packs = connection.packs();
        let Some(subscription) = connection.subs.get_mut(&sub) else { return };
        let shape = set.attach(conn, sub, subscription, &user, &**access);
        let (cursor, holds) = (subscription.cursor.take(), std::mem::take(&mut subscription.holds));
        let missed = cursor.and_then(|cursor| match holds {
            Holds::Said(held) => compared(set, cursor, subscription, &held, &shape, &**access),
            Holds::Unsaid => missed(set, cursor, subscription, &**access),
            Holds::TooMuch => None,
        });
        // what is missed may be more than there is: of many rows that are gone, each has to be named
        let missed = missed.filter(|missed| {
            let bytes = missed.bytes();
            bytes <= config.chunk_bytes || bytes <= set.result(&shape, &**access).bytes()
        });
        let (space, cursor) = (space.clone(), set.cursor());
        let packing = if packs { collections(&subscription.spec, schema) } else { Vec::new() };
        connection.feed.stream(match missed {
            Some(missed) => Stream::resume(sub, space, cursor, missed, packing, writes),
            None => {
                let selective = subscription.is_selective(&**access);
                let result = set.result(&shape, &**access);
                Stream::snapshot(sub, space, cursor, result, packing, selective, writes)
            }
        });
        subscription.shape = Some(shape);
    }

    fn answer_writes(&mut self, conn: ConnId, space: &SpaceId) {
        let Some((connection, set)) = both(&mut self.connections, &mut self.spaces, conn, space) else {
            return;
        };
        let writes = write_states(connection, set);
        connection.feed.stream(Stream::writes(space.clone(), set.cursor(), writes));
        self.no_longer_asks(conn, space);
    }
}

fn both<'a>(
    connections: &'a mut Connections,
    spaces: &'a mut BTreeMap<SpaceId, Hosted>,
    conn: ConnId,
    space: &SpaceId,
) -> Option<(&'a mut Connection, &'a mut WorkingSet)> {
    Some((connections.get_mut(&conn)?, spaces.get_mut(space)?.set.as_mut()?))
}

/// Those of a result's rows, then of the children of each relation.
fn collections(query: &QuerySpec, schema: &Schema) -> Vec<CollectionDef> {
    let children = query.relations.iter().map(|relation| &relation.collection);
    let names = std::iter::once(&query.collection).chain(children);
    // of all, or of none: the frame tells them apart by their places
    names.map(|name| schema.collection(name).ok().copied()).collect::<Option<_>>().unwrap_or_default()
}

/// What became of the writes of everyone who may have written over this connection.
fn write_states(connection: &Connection, set: &WorkingSet) -> Vec<WriteState> {
    let (Some(session), Some(user)) = (&connection.session, connection.user()) else { return Vec::new() };
    let others = connection.writers.of(&set.space).filter(|client| **client != session.client);
    let clients: Vec<&ClientId> = std::iter::once(&session.client).chain(others).collect();
    set.writes(clients.into_iter(), &user.id)
}

/// A client that already holds rows of the space is told that nothing of them has changed since, so that the
/// snapshot to come is of the version it stands at.
fn bring_up_to_date(conn: ConnId, connection: &mut Connection, set: &mut WorkingSet, outputs: &mut Outputs) {
    let (from, to) = (set.tell(conn), set.version);
    if from < to {
        let changes = Changes::new(set.space.clone(), from, to);
        connection.feed.answer(wire::encode(&ServerMessage::Changes(changes), []), outputs);
    }
}

/// What a result has become compared with the rows that a client says it holds as of `cursor`: the log tells which of
/// those have changed since, whoever may see them now and whatever a limit makes of them. `None` when the log does not
/// reach back.
fn compared(
    set: &WorkingSet,
    cursor: Cursor,
    subscription: &Subscription,
    held: &Held,
    shape: &ShapeKey,
    access: &dyn Access,
) -> Option<Missed> {
    let now = set.cursor();
    if (cursor.incarnation, cursor.schema) != (now.incarnation, now.schema) {
        return None;
    }
    let held_children = held.children();
    if held_children.len() != subscription.relations.len() {
        return None;
    }
    let mut touched: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (collection, key) in set.log.since(cursor.version, now.version)? {
        touched.entry(collection).or_default().insert(key.as_str());
    }
    let is_touched = |of: &str, key: &str| touched.get(of).is_some_and(|keys| keys.contains(key));
    let Answer { rows, related, counts, .. } = set.result(shape, access);
    let mut missed = Missed::default();
    let (mut list, mut places) = (held.checklist(), Vec::with_capacity(rows.len()));
    for row in &rows {
        let place = list.take(row.key());
        places.push(place);
        if place.is_none() || is_touched(subscription.collection, row.key()) {
            missed.news.rows.push(Arc::clone(row));
        }
    }
    missed.gone = list.left().into();
    let mut counts: BTreeMap<(usize, &str), u64> =
        counts.iter().map(|count| ((count.relation, &*count.parent), count.n)).collect();
    for (relation, ((mut list, held_counts), children)) in held_children.into_iter().zip(related).enumerate()
    {
        let (key, compiled) = &subscription.relations[relation];
        let is_held = |row: &Arc<Row>| {
            list.take(row.key()).is_some() && !is_touched(key.children.collection, row.key())
        };
        let (_, lacking): (Vec<_>, Vec<_>) = children.into_iter().partition(is_held);
        missed.news.related.push(lacking);
        missed.gone_children.extend(list.left().into_iter().map(|place| (relation, place)));
        for (row, place) in rows.iter().zip(&places).filter(|_| compiled.count) {
            let n = counts.remove(&(relation, row.key())).unwrap_or_default();
            let known = place.and_then(|place| held_counts.get(place as usize)).copied().unwrap_or_default();
            if n != u64::from(known) {
                missed.news.counts.push(Count { relation, parent: row.key().into(), n });
            }
        }
    }
    Some(missed)
}

/// What became, since `cursor`, of the rows of a subscription's collection. `None` when that cannot be told: the log
/// does not reach back, a limit makes other rows come and go than those that changed, nobody knows whose child a deleted
/// row was, or the keys of deleted rows are not for everybody.
fn missed(
    set: &WorkingSet,
    cursor: Cursor,
    subscription: &Subscription,
    access: &dyn Access,
) -> Option<Missed> {
    let Subscription { collection, query, relations, .. } = subscription;
    let now = set.cursor();
    if (cursor.incarnation, cursor.schema, cursor.epoch) != (now.incarnation, now.schema, now.epoch)
        || query.limit.is_some()
        || !relations.is_empty()
        || !access.reads_everything(collection)
    {
        return None;
    }
    let touched = set.log.since(cursor.version, now.version)?.filter(|(of, _)| of == collection);
    let mut missed = BTreeMap::<&str, Option<&Arc<Row>>>::new();
    for (_, key) in touched {
        let Entry::Vacant(place) = missed.entry(key.as_str()) else { continue };
        let row = set.rows.get(collection, key.as_str()).filter(|row| query.matches(&*row.typed));
        place.insert(row);
    }
    let rows = missed.values().flatten().map(|row| Arc::clone(row)).collect();
    let del = missed.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| (*key).into()).collect();
    Some(Missed { news: Answer { rows, ..Answer::default() }, del, ..Missed::default() })
}
