//! The engine's frames as partysync's messages.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Bytes;
use syncline_core::wire::{Ack, Changes, Failed, Resume, Snapshot, SubId, WriteState};
use syncline_core::{Error, Version};

use crate::partysync::guest::{Followed, Guest, Pending, Piece};
use crate::partysync::history::{Entry, Gone, History};
use crate::partysync::layout::{Fields, Times};
use crate::partysync::{Spoke, reply};
use crate::problem::is_loss_of_rights;

/// A reply that is being sent as it comes in.
pub(super) struct Streaming {
    sub: SubId,
    /// A row is in it already.
    has_rows: bool,
}

/// What a subscription is to a client.
enum Role {
    /// Its first answer is not asked for.
    Opening,
    /// The one it follows; an answer is all it is to have from now on.
    Live,
    /// The answer to a sync.
    Sync {
        /// All rows are told to be let go first.
        clears: bool,
    },
}

/// The rows of a frame that a client is shown of one channel.
#[derive(Default)]
struct News<'a, 'g> {
    put: BTreeMap<Cow<'a, str>, Fields<'a>>,
    del: BTreeSet<Cow<'a, str>>,
    /// The last of the frame's versions that touched a row.
    last: BTreeMap<&'g str, Version>,
}

impl Guest {
    /// All rows of a channel, chunk by chunk.
    pub(super) fn snapshot<'a>(
        &mut self,
        chunk: &Snapshot,
        rows: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.cursor = chunk.cursor;
        // of an answer that nobody asked for only its end counts
        let role = self.role(chunk.sub).filter(|(_, role)| chunk.last || !matches!(role, Role::Opening));
        match role {
            None => {}
            Some((channel, Role::Opening)) => self.answered(channel, chunk.sub),
            Some((channel, role)) => {
                if chunk.chunk == 0 {
                    pieces.extend(self.break_off());
                    if matches!(role, Role::Live | Role::Sync { clears: true }) {
                        pieces.push(Piece::whole(reply::delete_all(self.spokes[channel].name)));
                    }
                    pieces.push(self.begin(channel, chunk.sub));
                }
                let rows = self.listed(channel, rows);
                pieces.extend(self.go_on(chunk.sub, &rows));
                if chunk.last {
                    pieces.extend(self.break_off());
                    self.answered(channel, chunk.sub);
                }
            }
        }
        self.settle(&chunk.writes, &mut pieces);
        pieces
    }

    /// The rows that are not marked as deleted by themselves.
    fn listed<'a>(&self, channel: usize, rows: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        let (spoke, version) = (&self.spokes[channel], self.cursor.version);
        let rows = rows.filter_map(Fields::read).filter(|row| !row.is_deleted());
        rows.filter_map(|row| row_at(&self.history, spoke, &row, version)).collect()
    }

    /// What a client has missed, chunk by chunk.
    pub(super) fn resume<'a>(&mut self, chunk: &Resume, rows: impl Iterator<Item = &'a [u8]>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.cursor = chunk.cursor;
        if let Some((channel, role)) = self.role(chunk.sub) {
            if let Role::Sync { .. } = role {
                if chunk.chunk == 0 {
                    pieces.extend(self.break_off());
                    pieces.push(self.begin(channel, chunk.sub));
                }
                let (spoke, version) = (&self.spokes[channel], chunk.cursor.version);
                let rows = rows.filter_map(Fields::read);
                let mut told: Vec<_> =
                    rows.filter_map(|row| row_at(&self.history, spoke, &row, version)).collect();
                told.extend(chunk.del.iter().map(|key| tombstone_now(&self.history, spoke, key, version)));
                pieces.extend(self.go_on(chunk.sub, &told));
                if chunk.last {
                    pieces.extend(self.break_off());
                }
            }
            if chunk.last {
                self.answered(channel, chunk.sub);
            }
        }
        self.settle(&chunk.writes, &mut pieces);
        pieces
    }

    /// Frames were thrown away: what the engine sends next are all rows of everything.
    pub(super) fn reset(&mut self) -> Vec<Piece> {
        if let Some(streaming) = &self.streaming {
            let sub = streaming.sub;
            let mut syncs = self.followed.iter_mut().flat_map(|followed| &mut followed.syncs);
            if let Some(sync) = syncs.find(|sync| sync.sub == sub) {
                sync.clears = true;
            }
        }
        self.break_off().into_iter().collect()
    }

    /// # Errors
    /// When it was one that the client cannot be without.
    pub(super) fn failed<'a>(&mut self, failed: &'a Failed) -> Result<Vec<Piece>, &'a Error> {
        let Some((channel, Role::Sync { .. })) = self.role(failed.sub) else { return Err(&failed.error) };
        if is_loss_of_rights(&failed.error) {
            return Err(&failed.error);
        }
        let mut pieces = Vec::new();
        if self.streaming.as_ref().is_some_and(|streaming| streaming.sub == failed.sub) {
            pieces.extend(self.break_off());
        }
        self.followed[channel].syncs.retain(|sync| sync.sub != failed.sub);
        pieces.push(Piece::whole(reply::sync_error(self.spokes[channel].name, &failed.error)));
        Ok(pieces)
    }

    /// What has happened, version by version, then what was refused.
    pub(super) fn changes<'a>(
        &mut self,
        changes: &'a Changes,
        rows: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let lines: Vec<&[u8]> = rows.collect();
        let entries = self.history.between(changes.from, changes.to);
        let is_known = entries.len() as u64 == changes.to.saturating_sub(changes.from);
        let mut acks: Vec<(&Ack, Pending)> =
            changes.acks.iter().filter_map(|ack| Some((ack, self.asked(ack)?))).collect();
        let mut channels: Vec<Channel<'_, '_>> = self
            .followed
            .iter()
            .zip(&*self.spokes)
            .enumerate()
            .map(|(number, (followed, spoke))| Channel {
                number,
                spoke,
                followed,
                changes,
                lines: &lines,
                entries: &entries,
                history: &self.history,
                news: None,
            })
            .collect();
        for (version, entry) in &entries {
            let is_own = |(ack, _): &(&Ack, Pending)| {
                ack.error.is_none() && (&entry.author.0, entry.author.1) == (&ack.client, ack.id)
            };
            let own: Vec<(&Ack, Pending)> = acks.extract_if(.., |ack| is_own(ack)).collect();
            for channel in &mut channels {
                let mine = own.iter().filter(|(_, pending)| pending.channel == channel.number);
                let ids: Vec<_> = mine.map(|(_, pending)| &*pending.id).collect();
                channel.tell(*version, entry, &ids, &mut pieces);
            }
        }
        for channel in &mut channels {
            if !is_known || !channel.followed.is_whole {
                channel.tell_rest(&mut pieces);
            }
        }
        for (ack, pending) in acks {
            self.answer(&pending, ack.error.as_ref(), &mut pieces);
            if (ack.expected.is_some() || ack.uncounted) && pending.client == self.client {
                self.rename();
            }
        }
        self.cursor.version = self.cursor.version.max(changes.to);
        self.settle(&changes.writes, &mut pieces);
        pieces
    }

    /// The action that is answered.
    fn asked(&mut self, ack: &Ack) -> Option<Pending> {
        let place = self.pending.iter().position(|it| it.client == ack.client && it.write == ack.id)?;
        let pending = self.pending.remove(place)?;
        self.history.sent(&ack.client, ack.id, self.connection.inbound.conn);
        Some(pending)
    }

    /// What became of actions whose answers were lost on the way. What they did is in the rows.
    fn settle(&mut self, states: &[WriteState], pieces: &mut Vec<Piece>) {
        for state in states {
            let is_told = |it: &Pending| it.client == state.client && it.write <= state.last;
            while let Some(place) = self.pending.iter().position(is_told)
                && let Some(pending) = self.pending.remove(place)
            {
                self.history.sent(&pending.client, pending.write, self.connection.inbound.conn);
                let refusal = state.refused.iter().find(|refusal| refusal.id == pending.write);
                self.answer(&pending, refusal.map(|refusal| &refusal.error), pieces);
            }
        }
    }

    /// Answers an action of which there is nothing to show.
    fn answer(&self, pending: &Pending, error: Option<&Error>, pieces: &mut Vec<Piece>) {
        let channel = self.spokes[pending.channel].name;
        let text = match error {
            None => reply::success(channel, &pending.id, &[]),
            Some(error) => reply::call_error(channel, &pending.id, error),
        };
        pieces.push(Piece::whole(text));
    }

    fn role(&self, sub: SubId) -> Option<(usize, Role)> {
        self.followed.iter().enumerate().find_map(|(channel, followed)| {
            if followed.sub == sub {
                return Some((channel, if followed.is_live { Role::Live } else { Role::Opening }));
            }
            let sync = followed.syncs.iter().find(|sync| sync.sub == sub)?;
            Some((channel, Role::Sync { clears: sync.clears }))
        })
    }

    /// An answer has come whole: from now on its subscription is the one to follow.
    fn answered(&mut self, channel: usize, sub: SubId) {
        let followed = &mut self.followed[channel];
        if followed.sub != sub {
            followed.syncs.retain(|sync| sync.sub != sub);
            self.superseded.push(std::mem::replace(&mut followed.sub, sub));
        }
        followed.is_live = true;
    }

    /// Begins a message that rows are sent in as they come.
    fn begin(&mut self, channel: usize, sub: SubId) -> Piece {
        self.streaming = Some(Streaming { sub, has_rows: false });
        Piece { bytes: reply::sync_begin(self.spokes[channel].name).into(), begins: true, ends: false }
    }

    /// Sends these rows in it, if it is still the one that is being sent.
    fn go_on(&mut self, sub: SubId, rows: &[String]) -> Option<Piece> {
        let streaming = self.streaming.as_mut().filter(|it| it.sub == sub && !rows.is_empty())?;
        let mut text = if std::mem::replace(&mut streaming.has_rows, true) { "," } else { "" }.to_owned();
        text.push_str(&rows.join(","));
        Some(Piece { bytes: text.into(), begins: false, ends: false })
    }

    /// Ends the message that is being sent.
    fn break_off(&mut self) -> Option<Piece> {
        let end = Piece { bytes: Bytes::from_static(reply::SYNC_END.as_bytes()), begins: false, ends: true };
        self.streaming.take().map(|_| end)
    }
}

/// What a frame means for one channel.
struct Channel<'f, 'g> {
    number: usize,
    spoke: &'g Spoke,
    followed: &'g Followed,
    changes: &'f Changes,
    lines: &'g [&'f [u8]],
    entries: &'g [(Version, Arc<Entry>)],
    history: &'g History,
    /// Read when they are needed: most of the time somebody else has made a message of them already.
    news: Option<News<'f, 'g>>,
}

impl<'f, 'g> Channel<'f, 'g> {
    /// Tells what a version did: to those who asked for it, or as news.
    fn tell(
        &mut self,
        version: Version,
        entry: &Entry,
        ids: &[&serde_json::value::RawValue],
        pieces: &mut Vec<Piece>,
    ) {
        let (name, collection) = (self.spoke.name, self.spoke.collection);
        let is_asked_here = entry.channel.is_some_and(|channel| channel.name == name);
        let touches = entry.touches(collection);
        if !touches && ids.is_empty() {
            return;
        }
        let empties = touches
            && self.spoke.is_open
            && self.followed.is_whole
            && self.followed.is_live
            && entry.emptied.contains(&collection);
        if empties {
            pieces.push(Piece::whole(reply::delete_all(name)));
        }
        if ids.is_empty() {
            pieces.extend(self.update(version, entry, empties, is_asked_here));
            return;
        }
        let rows = self.rows(version, entry, empties);
        pieces.extend(ids.iter().map(|id| Piece::whole(reply::success(name, id, &rows))));
    }

    /// What others did; nothing, where there is nothing to see of something that was not an action here.
    fn update(
        &mut self,
        version: Version,
        entry: &Entry,
        empties: bool,
        is_asked_here: bool,
    ) -> Option<Piece> {
        let name = self.spoke.name;
        let is_same_for_all = self.spoke.is_open && self.followed.is_whole && self.followed.is_live;
        if is_same_for_all && let Some(message) = self.history.made(version, name) {
            return Some(Piece::whole(message));
        }
        let rows = self.rows(version, entry, empties);
        // where not everybody sees everything, what cannot be seen is not spoken of
        if rows.is_empty() && !(is_asked_here && is_same_for_all) {
            return None;
        }
        let message = Bytes::from(reply::update(name, &rows));
        // a client that is being answered anew is not told of some rows, or of none: others are
        if is_same_for_all && rows.len() == entry.of(self.spoke.collection).len() {
            self.history.keep(version, name, &message);
        }
        Some(Piece::whole(message))
    }

    /// What a version changed of what the client sees.
    fn rows(&mut self, version: Version, entry: &Entry, empties: bool) -> Vec<String> {
        let (spoke, history) = (self.spoke, self.history);
        let news = self.news();
        let mut rows = Vec::new();
        for touch in entry.of(spoke.collection) {
            let key = touch.key.as_str();
            if let Some(row) = news.put.get(key) {
                let times = history.times(spoke.collection, key, version);
                rows.push(spoke.layout.row(row, times));
            } else if news.del.contains(key) && !empties {
                // the last version that touched it says what has become of it
                if news.last.get(key) == Some(&version) {
                    rows.push(tombstone(spoke, key, touch.gone.as_ref(), entry.at));
                }
            }
        }
        rows
    }

    /// What came and went without having been touched by anything that is known.
    fn tell_rest(&mut self, pieces: &mut Vec<Piece>) {
        let (spoke, history, to) = (self.spoke, self.history, self.changes.to);
        let news = self.news();
        let is_told = |key: &str| news.last.contains_key(key);
        let put = news.put.iter().filter(|(key, _)| !is_told(key));
        let mut rows: Vec<_> = put.filter_map(|(_, row)| row_at(history, spoke, row, to)).collect();
        let del = news.del.iter().filter(|key| !is_told(key));
        rows.extend(del.map(|key| tombstone_now(history, spoke, key, to)));
        if !rows.is_empty() {
            pieces.push(Piece::whole(reply::update(spoke.name, &rows)));
        }
    }

    fn news(&mut self) -> &News<'f, 'g> {
        let (followed, spoke, lines, changes) = (self.followed, self.spoke, self.lines, self.changes);
        let entries = self.entries;
        self.news.get_or_insert_with(|| {
            let mut news = News::default();
            let parts = changes.parts.iter().filter(|part| part.sub == followed.sub && followed.is_live);
            for part in parts {
                let rows = part.put.iter().filter_map(|&line| Fields::read(lines.get(line)?));
                news.put.extend(rows.filter_map(|row| Some((spoke.layout.key(&row)?, row))));
                news.del.extend(part.del.iter().map(|key| Cow::Borrowed(&**key)));
            }
            for (version, entry) in entries {
                news.last
                    .extend(entry.of(spoke.collection).iter().map(|touch| (touch.key.as_str(), *version)));
            }
            news
        })
    }
}

/// A row as it is at a version.
fn row_at(history: &History, spoke: &Spoke, row: &Fields<'_>, version: Version) -> Option<String> {
    let key = spoke.layout.key(row)?;
    Some(spoke.layout.row(row, history.times(spoke.collection, &key, version)))
}

fn tombstone(spoke: &Spoke, key: &str, gone: Option<&Gone>, at: u64) -> String {
    let last = gone.and_then(|gone| Fields::read(gone.json.as_ref()?));
    let times = gone.map_or(Times::at(at), |gone| gone.times);
    spoke.layout.tombstone(key, last.as_ref(), times, at)
}

/// Of a row that the client is to let go, by what is known of it now.
fn tombstone_now(history: &History, spoke: &Spoke, key: &str, version: Version) -> String {
    match history.gone(spoke.collection, key) {
        Some((gone, at)) => tombstone(spoke, key, gone.as_ref(), at),
        None => tombstone(spoke, key, None, history.at(version)),
    }
}

#[cfg(test)]
mod tests;
