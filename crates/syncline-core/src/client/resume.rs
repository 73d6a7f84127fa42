//! How a list that comes back with a cursor takes in what it missed: gathered chunk by chunk, shown all at once.

use std::time::Duration;

use crate::client::collection::AnyCollection;
use crate::client::core::ClientCore;
use crate::client::frames::{Gap, delete, delete_parent, fields_of, own_rows, runs, tell_counts};
use crate::client::session::{Phase, Session, SessionId, Unreadable};
use crate::client::space::Base;
use crate::id::Key;
use crate::schema::Undecodable;
use crate::wire::{Count, EncodedRow, GoneChildren, Resume};

/// What has come of a resume besides the rows that could be read.
#[derive(Default)]
pub(crate) struct Resuming {
    del: Vec<Box<str>>,
    gone: Vec<u32>,
    gone_children: Vec<GoneChildren>,
    counts: Vec<Count>,
    unreadable: Vec<Undecodable>,
    /// By relation.
    unreadable_children: Vec<(usize, Undecodable)>,
}

impl Session {
    fn begin_resume(&mut self, id: SessionId, base: &mut Base) {
        self.resuming = Some(Box::default());
        if let Some(rows) = base.get_mut(self.collection) {
            rows.begin_incoming(id);
        }
        for related in &self.relations {
            if let Some(rows) = related.rows(base) {
                rows.begin_incoming(related.view);
            }
        }
    }

    fn finish_resume(&mut self, id: SessionId, base: &mut Base) {
        let Some(resuming) = self.resuming.take() else { return };
        if self.is_compared {
            // the server was not told of rows that could not be read: those that are still there have come once more
            self.unreadable = Unreadable::default();
            self.relations.iter_mut().for_each(|related| related.unreadable = Unreadable::default());
        }
        if let Some(rows) = base.get_mut(self.collection) {
            take_in(rows, id, &mut self.unreadable, resuming.unreadable);
            resuming.del.iter().for_each(|key| delete_parent(rows, id, self, key));
            for &place in &resuming.gone {
                if let Some(key) = self.held.get(place as usize).map(|&slot| Key::from(rows.key(slot))) {
                    delete_parent(rows, id, self, key.as_str());
                }
            }
        }
        let mut unreadable = resuming.unreadable_children;
        for (relation, related) in self.relations.iter_mut().enumerate() {
            if let Some(rows) = related.rows(base) {
                let of_it =
                    unreadable.extract_if(.., |(of, _)| *of == relation).map(|(_, row)| row).collect();
                take_in(rows, related.view, &mut related.unreadable, of_it);
            }
            if let Some(counts) = &mut related.counts {
                counts.is_stale = true;
            }
        }
        for GoneChildren { relation, gone } in &resuming.gone_children {
            let Some(related) = self.relations.get_mut(*relation) else { continue };
            let Some(rows) = related.rows(base) else { continue };
            let key = |&place: &u32| Some(Key::from(rows.key(*related.held.get(place as usize)?)));
            for key in gone.iter().filter_map(key).collect::<Vec<_>>() {
                delete(rows, related.view, &mut related.unreadable, key.as_str());
            }
        }
        tell_counts(self, &resuming.counts);
    }
}

/// The rows that have come are members of the view. One that could not be read is not shown, and neither is what it was
/// before.
fn take_in(
    rows: &mut dyn AnyCollection,
    view: SessionId,
    unreadable: &mut Unreadable,
    unreadable_now: Vec<Undecodable>,
) {
    let slots = rows.finish_resume(view);
    if !unreadable.is_empty() {
        slots.into_iter().for_each(|slot| unreadable.forget(rows.key(slot)));
    }
    for row in unreadable_now {
        if let Some(key) = &row.key {
            rows.remove_member(view, key.as_str());
        }
        unreadable.note(row);
    }
}

impl ClientCore {
    pub(super) fn resume(
        &mut self,
        now: Duration,
        resume: Resume,
        rows: &[EncodedRow<'_>],
    ) -> Result<(), Gap> {
        let Some(id) = self.by_sub.get(&resume.sub).copied() else { return Ok(()) };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let expected = session.phase.next_chunk();
        if !matches!(session.phase, Phase::Asked { .. } | Phase::Resume { .. }) || resume.chunk < expected {
            return Ok(());
        }
        let Some(space) = self.spaces.get_mut(&session.query.space) else { return Ok(()) };
        let told = space.held.chain(space.told);
        if resume.chunk > expected || told.is_some_and(|told| told != resume.cursor.version) {
            return Err(Gap);
        }
        let own = own_rows(rows, &resume.related, &session.relations)?;
        if expected == 0 {
            session.begin_resume(id, &mut space.base);
        }
        let Some(resuming) = &mut session.resuming else { return Ok(()) };
        if let Some(base) = space.base.get_mut(session.collection) {
            let fields = fields_of(&resume.fields, 0);
            let read = own.iter().map(|row| base.incoming_row(id, *row, fields));
            resuming.unreadable.extend(read.filter_map(Result::err));
        }
        for (relation, children) in runs(&rows[own.len()..], &resume.related) {
            let related = &session.relations[relation];
            let Some(base) = related.rows(&mut space.base) else { continue };
            let fields = fields_of(&resume.fields, relation + 1);
            let read = children.iter().map(|row| base.incoming_row(related.view, *row, fields));
            resuming.unreadable_children.extend(read.filter_map(Result::err).map(|row| (relation, row)));
        }
        resuming.del.extend(resume.del);
        resuming.gone.extend(resume.gone);
        resuming.gone_children.extend(resume.gone_children);
        resuming.counts.extend(resume.counts);
        if !resume.last {
            let overdue = now + self.config.answer_within * 3;
            session.phase = Phase::Resume { sub: resume.sub, next_chunk: resume.chunk + 1, overdue };
            return Ok(());
        }
        session.finish_resume(id, &mut space.base);
        self.conclude(id, resume.sub, resume.cursor, &resume.writes);
        self.note(id);
        Ok(())
    }
}
