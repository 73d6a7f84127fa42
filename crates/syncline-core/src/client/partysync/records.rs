//! What is said in a room means for rows.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::value::RawValue;

use super::actions;
use super::frame::Frame;
use super::room::{Channel, Done, Room};
use super::rooms::looks;
use super::row::Row;
use crate::client::collection::AnyCollection;
use crate::client::core::ClientCore;
use crate::client::queue::News;
use crate::client::session::{Phase, Session, SessionId, Unreadable};
use crate::client::short_map::ValuesMut as _;
use crate::error::code;
use crate::id::{Key, SpaceId};
use crate::schema::CollectionDef;
use crate::wire::with_nothing_hidden;

/// Where rows of a channel are shown.
struct Audience {
    /// The view that holds all of them.
    whole: SessionId,
    /// Queries that want all rows of some kind.
    lists: Vec<SessionId>,
    /// Queries that want the first ones.
    windows: Vec<SessionId>,
}

impl ClientCore {
    pub(super) fn hear_room(&mut self, now: Duration, space: &SpaceId, room: &mut Room, bytes: &[u8]) {
        let bytes = &*with_nothing_hidden(bytes);
        let frame = Frame::parse(bytes);
        if !matches!(frame, Frame::Other) {
            self.room_is_well(room);
        }
        match frame {
            Frame::Sync { channel, rows } => {
                let Some(channel) = room.channels.get_mut(&*channel) else { return };
                match channel.is_asked {
                    true => {
                        channel.has_answered(now, self.config.answer_within);
                        self.take_all(now, space, channel, &rows);
                    }
                    // nobody asked, or not once more: it says of each row what it is or was, and nothing of others
                    false => self.take_news(now, space, channel, &rows, false),
                }
                self.show_channel(space, channel);
            }
            Frame::NoSync { channel, words, code } => {
                if room.channels.get(&*channel).is_some_and(|channel| channel.is_asked) {
                    let code = code.map_or(code::UNKNOWN_CHANNEL.into(), Cow::into_owned);
                    self.no_rows(now, space, room, &channel, &actions::own_refusal(code, &words, None));
                }
            }
            Frame::Update { channel, rows } => {
                let Some(channel) = room.channels.get_mut(&*channel) else { return };
                if !rows.is_empty() {
                    self.take_news(now, space, channel, &rows, false);
                    self.show_channel(space, channel);
                }
            }
            Frame::DeleteAll { channel } => {
                for request in room.requests.iter_mut().filter(|request| *request.channel == *channel) {
                    request.is_shaken = true;
                }
                let Some(channel) = room.channels.get_mut(&*channel) else { return };
                self.drop_all(now, space, channel);
                self.show_channel(space, channel);
            }
            Frame::Success { id, channel, rows, result } => {
                let rows = rows.into_iter().map(ToOwned::to_owned).collect();
                let done = Done { rows, result: result.map(ToOwned::to_owned) };
                self.action_done(now, space, room, &id, channel.as_deref(), done);
            }
            Frame::Error { id, words, code, data } => {
                let error = match code {
                    Some(code) => actions::own_refusal(code.into_owned(), &words, data),
                    None => actions::refusal(code::ACTION_FAILED, words),
                };
                self.action_refused(now, space, room, &id, error);
            }
            Frame::Exception { words } => self.something_refused(now, space, room, words),
            Frame::Other => {}
        }
    }

    /// All rows of a channel, as of a moment since they were asked for. Of some rows something was told meanwhile.
    fn take_all(&mut self, now: Duration, space: &SpaceId, channel: &mut Channel, all: &[&RawValue]) {
        let Some((def, audience)) = self.audience(space, channel) else { return };
        let Some(rows) = self.rows_in(space, channel) else { return };
        let mut fresh: BTreeSet<Box<str>> = BTreeSet::new();
        let Channel { unreadable, told, .. } = channel;
        if told.is_empty() {
            *unreadable = Unreadable::default();
        } else {
            unreadable.keep(|key| told.contains(key));
        }
        for json in all {
            let row = Row::read(json, &def);
            let Some(key) = row.key.as_deref() else {
                take_row(rows, channel, &audience, &row);
                continue;
            };
            let known = channel.known.get(key).filter(|_| channel.told.contains(key)).copied();
            let is_news = match known {
                Some(known) => known.moment.zip(row.moment).is_some_and(|(told, now)| told.is_before(now)),
                None => !channel.all_gone,
            };
            if is_news {
                channel.know(key, row.moment, row.is_gone);
                if !row.is_gone {
                    fresh.insert(key.into());
                }
                take_row(rows, channel, &audience, &row);
            }
        }
        let is_stale = |key: &str| !fresh.contains(key) && !channel.told.contains(key);
        let stale: Vec<Box<str>> =
            rows.members(audience.whole).into_iter().map(|slot| rows.key(slot).into()).collect();
        for key in stale.iter().filter(|key| is_stale(key)) {
            audience.drop_row(rows, key);
        }
        for id in audience.all() {
            // they may hold rows of an earlier line
            rows.choose_members(id, audience.whole);
            rows.complete_view(id);
        }
        let told = std::mem::take(&mut channel.told);
        // an update may come yet that the deletion of its row, and this answer, have overtaken
        channel.forget_known(|key, is_gone| is_gone || fresh.contains(key) || told.contains(key));
        channel.told = told;
        channel.is_asked = false;
        channel.forget_told();
        (channel.is_synced, channel.synced, channel.tries) = (true, now, 0);
        for id in audience.all() {
            self.sessions.get_mut(&id).into_iter().for_each(go_live);
        }
    }

    /// Rows as somebody has made them. Of those that have overtaken others it is not known which ones are newer, where
    /// they do not say so themselves.
    pub(super) fn take_news(
        &mut self,
        now: Duration,
        space: &SpaceId,
        channel: &mut Channel,
        news: &[impl Borrow<RawValue>],
        overtaken: bool,
    ) {
        let Some((def, audience)) = self.audience(space, channel) else { return };
        let Some(rows) = self.rows_in(space, channel) else { return };
        for json in news {
            let row = Row::read(json.borrow(), &def);
            if let Some(key) = row.key.as_deref() {
                if let Some(known) = channel.known.get(key).copied() {
                    let moments = known.moment.zip(row.moment);
                    let is_older = moments.is_some_and(|(known, now)| now.is_before(known));
                    let is_newer = moments.is_some_and(|(known, now)| known.is_before(now));
                    if !is_newer {
                        channel.doubt(now);
                    }
                    if is_older || overtaken && !is_newer {
                        continue;
                    }
                }
                channel.know(key, row.moment, row.is_gone);
                channel.hear_of(key);
            }
            take_row(rows, channel, &audience, &row);
        }
        audience.choose(rows);
    }

    /// All rows are gone. What was done at about the same time may have been done before or after that.
    fn drop_all(&mut self, now: Duration, space: &SpaceId, channel: &mut Channel) {
        let Some((_, audience)) = self.audience(space, channel) else { return };
        let Some(rows) = self.rows_in(space, channel) else { return };
        let all: Vec<Box<str>> =
            rows.members(audience.whole).into_iter().map(|slot| rows.key(slot).into()).collect();
        for key in &all {
            audience.drop_row(rows, key);
        }
        channel.forget_known(|_, _| false);
        channel.forget_told();
        channel.all_gone = channel.is_asked;
        channel.unreadable = Unreadable::default();
        channel.doubt(now);
    }

    /// Shows what was taken, all at once.
    pub(super) fn show_channel(&mut self, space: &SpaceId, channel: &Channel) {
        let Some((_, audience)) = self.audience(space, channel) else { return };
        for id in audience.all() {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if !session.unreadable.is_empty() || !channel.unreadable.is_empty() {
                session.unreadable = channel.unreadable.clone();
            }
            self.note(id);
        }
        self.rows_have_come(space, [channel.collection], News::State);
    }

    /// Those who have come to a channel since its rows are there get them.
    pub(super) fn join_channel(&mut self, space: &SpaceId, channel: &Channel) {
        let Some((_, audience)) = self.audience(space, channel) else { return };
        let late = |id: &SessionId| self.sessions.get(id).is_some_and(|session| !session.phase.is_live());
        let late: Vec<_> = audience.all().filter(late).collect();
        if late.is_empty() {
            return;
        }
        let Some(rows) = self.rows_in(space, channel) else { return };
        for &id in &late {
            rows.choose_members(id, audience.whole);
            rows.complete_view(id);
        }
        for id in late {
            self.sessions.get_mut(&id).into_iter().for_each(go_live);
        }
        self.show_channel(space, channel);
    }

    /// Rows have been asked for.
    pub(super) fn await_rows(&mut self, space: &SpaceId, collection: &str) {
        let (sub, next_chunk, done, total, overdue) = (0, 0, 0, 0, Duration::MAX);
        for session in self.sessions.values_mut() {
            let waits = session.query.space == *space && session.collection == collection;
            if waits && session.phase == Phase::Idle && !session.watches.is_empty() {
                session.phase = Phase::Snapshot { sub, next_chunk, done, total, overdue };
                self.changed.extend(&session.watches);
            }
        }
    }

    fn audience(&self, space: &SpaceId, channel: &Channel) -> Option<(CollectionDef, Audience)> {
        let def = *self.schema.collection(channel.collection).ok()?;
        let mut audience = Audience { whole: channel.whole, lists: Vec::new(), windows: Vec::new() };
        for (&id, session) in &self.sessions {
            if session.query.space == *space && session.collection == channel.collection && looks(session) {
                let is_window = session.query.limit.is_some();
                if is_window { &mut audience.windows } else { &mut audience.lists }.push(id);
            }
        }
        Some((def, audience))
    }

    fn rows_in(&mut self, space: &SpaceId, channel: &Channel) -> Option<&mut (dyn AnyCollection + 'static)> {
        self.spaces.get_mut(space)?.base.get_mut(channel.collection)
    }
}

impl Audience {
    fn all(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.lists.iter().chain(&self.windows).copied()
    }

    fn put_row(&self, rows: &mut dyn AnyCollection, slot: u32) {
        rows.add_member(self.whole, slot);
        for &list in &self.lists {
            if rows.wants(list, slot) {
                rows.add_member(list, slot);
            } else {
                let key = rows.key(slot).to_owned();
                rows.remove_member(list, &key);
            }
        }
    }

    fn drop_row(&self, rows: &mut dyn AnyCollection, key: &str) {
        for id in self.all() {
            rows.remove_member(id, key);
        }
        rows.remove_member(self.whole, key);
    }

    /// What the first ones are is known when all rows of a frame are.
    fn choose(&self, rows: &mut dyn AnyCollection) {
        for &window in &self.windows {
            rows.choose_members(window, self.whole);
        }
    }
}

/// A row is what the server says. One that cannot be read is not shown, and neither is what it was before.
fn take_row(rows: &mut dyn AnyCollection, channel: &mut Channel, audience: &Audience, row: &Row<'_>) {
    if let Some(key) = row.key.as_deref().filter(|_| row.is_gone) {
        channel.unreadable.forget(key);
        audience.drop_row(rows, key);
        return;
    }
    let as_it_is = rows.upsert(row.json.get().as_bytes());
    // its times may be texts where the record has numbers
    let slot = as_it_is.or_else(|error| row.in_ms().map_or(Err(error), |json| rows.upsert(&json)));
    match slot {
        Ok(slot) => {
            channel.unreadable.forget(rows.key(slot));
            audience.put_row(rows, slot);
        }
        Err(mut unreadable) => {
            if let Some(key) = &row.key {
                unreadable.key = Some(Key::from(key));
                unreadable.error = unreadable.error.with_field(format!("{}/{key}", channel.collection));
                audience.drop_row(rows, key);
            }
            channel.unreadable.note(unreadable);
        }
    }
}

fn go_live(session: &mut Session) {
    session.phase = Phase::Live { sub: 0 };
    (session.loaded, session.was_live, session.error) = (true, true, None);
    (session.earlier, session.loading) = (None, None);
}
