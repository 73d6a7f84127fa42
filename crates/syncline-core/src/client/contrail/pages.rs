//! Pages beside a stream: the rest of a snapshot, what fills a window up again, and the look whether a socket is alive.

use std::collections::BTreeSet;
use std::time::Duration;

use super::address::Address;
use super::allowance::Use;
use super::event::{Event, Handshake};
use super::gathering::{Gathering, Page, Why};
use super::stream::{Line, Side, Stream};
use super::streams::{Happened, Streams, access, ended};
use super::{Access, Answer, Bearer, Call};
use crate::client::collection::AnyCollection;
use crate::client::core::ClientCore;
use crate::client::queue::News;
use crate::client::session::SessionId;
use crate::client::{Output, Transport};
use crate::error::Error;

impl ClientCore {
    pub(super) fn fetch_page(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        cursor: Option<String>,
    ) {
        let Some(streams) = &mut self.streams else { return };
        let line = streams.line(id);
        let has_access = streams.service.has_access;
        let overdue = now + self.config.answer_within * 3;
        stream.side = Some(Side { line, cursor, page: Page::default(), overdue });
        if stream.transport == Transport::Sse && !streams.may_page(line) {
            // one page at a time: a browser has six connections to a host, and four may be streams
            if !streams.waiting.contains(&id) {
                streams.waiting.push_back(id);
            }
            stream.wait_for_page();
            return;
        }
        match self.sessions.get(&id) {
            Some(session) if has_access => {
                self.outputs.push_back(access(line, &streams.service, &session.query))
            }
            _ => self.call_page(id, stream, &Access::default()),
        }
    }

    /// The page that others wait for is there: the next one is asked for.
    pub(super) fn fetch_next_page(&mut self, now: Duration) {
        let is_free =
            |streams: &&mut Streams| streams.paging.is_none() && streams.service.allowance.has(Use::Page);
        while let Some(streams) = self.streams.as_mut().filter(is_free) {
            let Some(id) = streams.waiting.pop_front() else { return };
            self.with_stream(now, id, |core, stream| {
                if let Some(side) = stream.side.take_if(|side| side.overdue == Duration::MAX) {
                    core.forget_line(side.line);
                    core.fetch_page(now, id, stream, side.cursor);
                }
                Ok(())
            });
        }
    }

    fn forget_line(&mut self, line: Line) {
        if let Some(streams) = &mut self.streams {
            streams.lines.remove(&line);
            streams.paging.take_if(|(paging, _)| *paging == line);
        }
    }

    pub(super) fn call_page(&mut self, id: SessionId, stream: &Stream, access: &Access) {
        let (Some(streams), Some(session), Some(side)) =
            (&self.streams, self.sessions.get(&id), &stream.side)
        else {
            return;
        };
        let json = stream.transport == Transport::WebSocket;
        let cursor = side.cursor.as_deref();
        let address = Address::watch(&streams.service, &session.query, access, cursor, json);
        let answer = if json { Answer::Json } else { Answer::Events };
        let bearer = Bearer(access.bearer.clone());
        self.outputs.push_back(Output::Call { attempt: side.line, call: Call { address, answer, bearer } });
    }

    pub(super) fn on_side(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        happened: Happened<'_>,
    ) -> Result<(), Error> {
        match happened {
            Happened::Access(access) => self.call_page(id, stream, &access?),
            Happened::Opened => {}
            Happened::Frame([]) => {}
            Happened::Frame(bytes) if stream.transport == Transport::WebSocket => {
                let Handshake { rows, cursor, .. } = Handshake::parse(bytes, &stream.relations)?;
                if let Some(side) = &mut stream.side {
                    side.page.rows = rows;
                }
                return self.page_is_there(now, id, stream, cursor);
            }
            Happened::Frame(bytes) => match Event::parse(bytes, &stream.relations)? {
                Event::Record { row, .. } => {
                    self.note_progress(id, stream);
                    if let Some(side) = &mut stream.side {
                        side.page.rows.push(row);
                    }
                }
                Event::End { cursor } => return self.page_is_there(now, id, stream, cursor),
                Event::Error { .. } | Event::MemberRemoved => return Err(ended()),
                // what happens is told by the stream
                _ => {}
            },
            Happened::Closed(error) => return Err(error.unwrap_or_else(ended)),
        }
        Ok(())
    }

    fn page_is_there(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        next: Option<String>,
    ) -> Result<(), Error> {
        let Some(side) = &mut stream.side else { return Ok(()) };
        stream.page = std::mem::take(&mut side.page);
        let next = next.filter(|next| side.cursor.as_ref() != Some(next));
        self.end_side(stream);
        if stream.gathering.as_ref().is_some_and(|gathering| gathering.why == Why::Look) {
            return self.have_looked(now, id, stream, next.is_none());
        }
        self.take_page(id, stream, next)?;
        self.go_on(now, id, stream, News::State)
    }

    pub(super) fn end_side(&mut self, stream: &mut Stream) {
        let Some(side) = stream.side.take() else { return };
        self.forget_line(side.line);
        self.outputs.push_back(Output::Close { attempt: side.line });
    }

    /// Looks whether an open socket has told everything.
    pub(super) fn look(&mut self, now: Duration, id: SessionId, stream: &mut Stream) {
        stream.page = Page::default();
        stream.looked = now;
        stream.gathering = Some(Gathering::new(Why::Look));
        self.fetch_page(now, id, stream, None);
    }

    /// A look got no answer. A socket that has spoken since it was asked for is alive, whatever that means.
    pub(super) fn gives_up_looking(&mut self, now: Duration, stream: &mut Stream) -> bool {
        let looks = stream.gathering.as_ref().is_some_and(|gathering| gathering.why == Why::Look);
        let gives_up = looks && stream.heard > stream.looked;
        if gives_up {
            self.end_side(stream);
            (stream.gathering, stream.looked) = (None, now);
        }
        gives_up
    }

    /// The first page, as it is now: what it shows should have been told.
    fn have_looked(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        is_all: bool,
    ) -> Result<(), Error> {
        let Page { rows, told, .. } = &stream.page;
        let listed = rows.iter().filter(|row| !told.contains_key(row.uri.as_str()));
        let listed: BTreeSet<String> = listed.map(|row| row.uri.clone()).collect();
        self.take_rows(id, stream)?;
        let Some(gathering) = stream.gathering.take() else { return Ok(()) };
        let Some((session, rows)) = self.rows_of(id) else { return Ok(()) };
        let view = stream.reserve.unwrap_or(id);
        // how far the page goes, in an order that the service knows; what was told meanwhile says nothing of that
        let mut fresh = gathering.members(&*rows, view);
        fresh.retain(|&slot| !session.query.order.is_empty() && listed.contains(rows.key(slot)));
        let last = rows.last_of(id, &fresh);
        let covers = |rows: &dyn AnyCollection, slot: u32| {
            is_all || last.as_deref().is_some_and(|last| !rows.is_behind(id, slot, last))
        };
        let gone = gathering.evict(rows, view, covers);
        let is_late = gathering.surprising || !gone.is_empty();
        for parent in &gone {
            self.drop_families(id, parent);
        }
        if is_late && stream.heard < now {
            stream.doubt(now);
        }
        (stream.heard, stream.looked) = (now, now);
        self.go_on(now, id, stream, News::State)
    }
}
