//! A space in memory, as committed: what is shown to anyone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{ClientId, Cursor, Incarnation, SpaceId, UserId, Version};
use crate::schema::Schema;
use crate::space::access::Access;
use crate::space::children::Children;
use crate::space::clients::Clients;
use crate::space::connection::Subscription;
use crate::space::families::{AllChildren, AllTurns};
use crate::space::image::{SpaceImage, StoredRow};
use crate::space::io::ConnId;
use crate::space::listing::{Listing, ListingKey, Turn};
use crate::space::log::{Bounds, Log};
use crate::space::rows::{Row, RowTurn, Rows};
use crate::space::shape::{Answer, Delta, Shape, ShapeKey};
use crate::wire::{SubId, User, WriteState};

/// A row that storage has and that cannot be read.
pub(super) struct Unreadable {
    pub(super) collection: String,
    pub(super) key: String,
    pub(super) code: &'static str,
}

/// A shape's delta is compared with so many before it.
const ALIKE: usize = 16;

/// A part of what a commit means for a connection: the delta with this number, for this subscription.
pub(super) type Told = (ConnId, SubId, usize);

/// See the [module](self).
pub(super) struct WorkingSet {
    pub(super) space: SpaceId,
    pub(super) incarnation: Incarnation,
    /// The id that storage has for the history, until a commit has brought it the new one.
    pub(super) renews: Option<Incarnation>,
    /// Clients may hold versions of the history that storage has lost.
    may_be_restored: bool,
    pub(super) version: Version,
    pub(super) rows: Rows,
    /// By collection and key: rows that stay in storage as they are.
    unreadable: BTreeSet<(String, String)>,
    pub(super) log: Log,
    pub(super) clients: Clients,
    schema: u32,
    listings: BTreeMap<ListingKey, Listed>,
    /// The children that shapes look at.
    children: AllChildren,
    members: BTreeMap<ConnId, Member>,
}

/// A listing with the shapes that are made of it.
struct Listed {
    listing: Listing,
    shapes: BTreeMap<ShapeKey, Shape>,
}

/// A connection that is told of changes.
struct Member {
    /// The version it was told last.
    told: Version,
    /// How many of its subscriptions have a shape here.
    subs: usize,
}

impl WorkingSet {
    /// Takes a space in from storage. `fresh` becomes its incarnation when it has none.
    pub(super) fn new(
        space: SpaceId,
        image: SpaceImage,
        fresh: Incarnation,
        schema: &Schema,
        keep_log: Bounds,
    ) -> (Self, Vec<Unreadable>) {
        let mut rows = Rows::default();
        let mut unreadable = Vec::new();
        for stored in image.rows {
            let StoredRow { collection, key, json, .. } = stored;
            let row = schema.collection(&collection).and_then(|def| Ok((def.name, Row::decode(def, json)?)));
            match row {
                Ok((name, row)) if row.key() == key => {
                    rows.set(name, row.key().into(), Some(Arc::new(row)));
                }
                Ok(_) => unreadable.push(Unreadable { collection, key, code: crate::error::code::BAD_KEY }),
                // the error may quote the row, which is for nobody's eyes; its code does not
                Err(_) => unreadable.push(Unreadable { collection, key, code: crate::error::code::BAD_ROW }),
            }
        }
        let set = Self {
            space,
            incarnation: image.incarnation.unwrap_or(fresh),
            renews: None,
            may_be_restored: image.incarnation.is_some(),
            version: image.version,
            rows,
            unreadable: unreadable.iter().map(|row| (row.collection.clone(), row.key.clone())).collect(),
            log: Log::new(image.log, image.version, schema, keep_log),
            clients: Clients::new(image.clients),
            schema: schema.version,
            listings: BTreeMap::new(),
            children: AllChildren::new(),
            members: BTreeMap::new(),
        };
        (set, unreadable)
    }

    /// Whether storage has something there that cannot be read.
    pub(super) fn is_unreadable(&self, collection: &str, key: &str) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(&(collection.to_owned(), key.to_owned()))
    }

    /// Where a client stands that knows all there is.
    pub(super) fn cursor(&self) -> Cursor {
        let (incarnation, schema, version) = (self.incarnation, self.schema, self.version);
        Cursor { incarnation, schema, epoch: 0, version }
    }

    /// Whether a client that stands there has seen what storage has lost. It can be said once only: what was committed
    /// since is known, and whoever claims more than that makes it up.
    pub(super) fn is_behind(&self, cursor: &Cursor) -> bool {
        self.may_be_restored && cursor.incarnation == self.incarnation && cursor.version > self.version
    }

    /// Begins a new history with what there is. Returns the connections that are told of changes of the old one.
    pub(super) fn renew(&mut self, fresh: Incarnation) -> Vec<ConnId> {
        self.renews = Some(self.incarnation);
        self.incarnation = fresh;
        self.may_be_restored = false;
        self.members.keys().copied().collect()
    }

    /// What became of the writes of these clients, as far as `user` may know and there is anything to tell.
    pub(super) fn writes<'a>(
        &self,
        clients: impl Iterator<Item = &'a ClientId>,
        user: &UserId,
    ) -> Vec<WriteState> {
        clients.map(|client| self.clients.state(client, user)).filter(|state| state.last > 0).collect()
    }

    /// From now on the subscription is told of changes. Returns its shape.
    pub(super) fn attach(
        &mut self,
        conn: ConnId,
        sub: SubId,
        subscription: &Subscription,
        user: &Arc<User>,
        access: &dyn Access,
    ) -> ShapeKey {
        let collection = subscription.collection;
        let viewer = subscription.is_selective(access).then_some(user);
        let listing_key = ListingKey::new(collection, &subscription.spec);
        let limit = subscription.query.limit;
        let relations = subscription.relations.iter().map(|(key, _)| key.clone()).collect();
        let key = ShapeKey::new(listing_key.clone(), limit, relations, viewer.map(|user| &**user));
        let Self { space, rows, listings, children, .. } = self;
        let sees = |of: &'static str, row: &Row| sees(access, viewer, space, of, row);
        let listed = listings.entry(listing_key).or_insert_with(|| Listed {
            listing: Listing::new(collection, Arc::clone(&subscription.query), rows),
            shapes: BTreeMap::new(),
        });
        let shape = listed.shapes.entry(key.clone()).or_insert_with(|| {
            for (key, relation) in &subscription.relations {
                let new = || Children::new(key.children.collection, relation, rows);
                children.entry(key.children.clone()).or_insert_with(new).shapes += 1;
            }
            Shape::new(viewer.cloned(), &key, &listed.listing, children, &sees)
        });
        shape.audience.insert((conn, sub));
        let told = self.version;
        self.members.entry(conn).or_insert(Member { told, subs: 0 }).subs += 1;
        key
    }

    /// The result of a shape.
    pub(super) fn result(&self, key: &ShapeKey, access: &dyn Access) -> Answer {
        let Some(Listed { listing, shapes }) = self.listings.get(&key.listing) else {
            return Answer::default();
        };
        let Some(shape) = shapes.get(key) else { return Answer::default() };
        let sees = |of: &'static str, row: &Row| sees(access, shape.viewer.as_ref(), &self.space, of, row);
        shape.answer(listing, &sees)
    }

    /// The subscription is not told of changes any more.
    pub(super) fn detach(&mut self, conn: ConnId, sub: SubId, key: &ShapeKey) {
        let Some(listed) = self.listings.get_mut(&key.listing) else { return };
        let Some(shape) = listed.shapes.get_mut(key) else { return };
        if !shape.audience.remove(&(conn, sub)) {
            return;
        }
        if shape.audience.is_empty() {
            listed.shapes.remove(key);
            for relation in &key.relations {
                if let Entry::Occupied(mut children) = self.children.entry(relation.children.clone()) {
                    children.get_mut().shapes -= 1;
                    if children.get().shapes == 0 {
                        children.remove();
                    }
                }
            }
        }
        if listed.shapes.is_empty() {
            self.listings.remove(&key.listing);
        }
        if let Some(member) = self.members.get_mut(&conn) {
            member.subs -= 1;
            if member.subs == 0 {
                self.members.remove(&conn);
            }
        }
    }

    /// The connection is now being told of the current version. Returns what it was told before, or the current
    /// version if it holds no rows of the space.
    pub(super) fn tell(&mut self, conn: ConnId) -> Version {
        let version = self.version;
        self.members.get_mut(&conn).map_or(version, |member| std::mem::replace(&mut member.told, version))
    }

    /// Takes over the rows of a commit that made `version`, and works out what that means, once for each shape.
    /// Returns the deltas and who is to be told of which, in the order of connections and subscriptions.
    pub(super) fn advance(
        &mut self,
        version: Version,
        turns: impl IntoIterator<Item = RowTurn>,
        access: &dyn Access,
    ) -> (Vec<Delta>, Vec<Told>) {
        self.version = version;
        let mut by_collection: BTreeMap<&'static str, Vec<RowTurn>> = BTreeMap::new();
        for turn in turns {
            by_collection.entry(turn.collection).or_default().push(turn);
        }
        let (mut deltas, mut told) = (Vec::new(), Vec::new());
        let mut children = AllTurns::new();
        for (key, followed) in &mut self.children {
            let turns = by_collection.get(key.collection).map(|turns| followed.follow(turns));
            children.extend(turns.filter(|turns| !turns.is_empty()).map(|turns| (key.clone(), turns)));
        }
        for Listed { listing, shapes } in self.listings.values_mut() {
            let turns = by_collection.get(listing.collection).map(Vec::as_slice).unwrap_or_default();
            let turns: Vec<Turn> = turns.iter().filter_map(|turn| listing.follow(turn)).collect();
            if turns.is_empty() && children.is_empty() {
                continue;
            }
            let first = deltas.len();
            for shape in shapes.values_mut() {
                if turns.is_empty() && !shape.looks_at(&children) {
                    continue;
                }
                let viewer = shape.viewer.clone();
                let sees = |of: &'static str, row: &Row| sees(access, viewer.as_ref(), &self.space, of, row);
                let delta = shape.follow(&turns, listing, &children, &self.children, &sees);
                if delta.is_empty() {
                    continue;
                }
                // most people may see most rows: what is the same for them is told in the same bytes
                let alike =
                    deltas[first..].iter().rev().take(ALIKE).position(|it: &Delta| it.is_same(&delta));
                let number = alike.map_or(deltas.len(), |back| deltas.len() - 1 - back);
                told.extend(shape.audience.iter().map(|&(conn, sub)| (conn, sub, number)));
                if alike.is_none() {
                    deltas.push(delta);
                }
            }
        }
        told.sort_unstable();
        (deltas, told)
    }
}

fn sees(
    access: &dyn Access,
    viewer: Option<&Arc<User>>,
    space: &SpaceId,
    collection: &'static str,
    row: &Row,
) -> bool {
    viewer.is_none_or(|user| {
        access.reads_everything(collection) || access.read(user, space, collection, &*row.typed)
    })
}
