//! Actions on their way to a room, and what becomes of them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::frame;
use super::room::{Done, Phase, Request, Room};
use crate::channel::{ACTION, ActionPayload};
use crate::client::core::ClientCore;
use crate::client::queue::Outgoing;
use crate::client::{Applied, Output};
use crate::error::{Error, code};
use crate::id::SpaceId;

/// Actions that may be on their way in one room.
const MAX_ON_THE_WAY: usize = 64;

impl ClientCore {
    /// Sends what has not been sent, in order.
    pub(super) fn send_actions(&mut self, now: Duration, space: &SpaceId, room: &mut Room) {
        let Some(line) = room.line.filter(|_| room.phase == Phase::Open && !room.is_to_be_left) else {
            return;
        };
        while room.requests.len() < MAX_ON_THE_WAY {
            let queue = self.spaces.get_mut(space).map(|space| &mut space.queue);
            let Some(outgoing) = queue.and_then(|queue| queue.send_next(now)) else { return };
            let Outgoing { client, id: write, letter, .. } = outgoing;
            let action = match letter.kind {
                ACTION => ActionPayload::parse(letter.payload.get()),
                _ => Err(super::takes_actions_only()),
            };
            match action {
                Ok(action) => {
                    let id = format!("{client}-{write}");
                    let frame = frame::action(&id, &action.channel, &action.action);
                    room.sent += 1;
                    let (name, place, is_shaken) = (action.name(), room.sent, false);
                    let channel = action.channel;
                    let (sent, done) = (now, None);
                    let request = Request { id, client, write, channel, name, place, sent, is_shaken, done };
                    room.requests.push(request);
                    self.outputs.push_back(Output::Send { attempt: line, frame });
                }
                Err(error) => {
                    self.settle(space, &client, write, Err(error));
                    self.commit(space);
                }
            }
        }
    }

    /// An action was done. It stays pending while one before it is on its way that has to do with the same rows: replayed
    /// over what came after it, that one would for a moment undo it.
    pub(super) fn action_done(
        &mut self,
        now: Duration,
        space: &SpaceId,
        room: &mut Room,
        id: &str,
        channel: Option<&str>,
        done: Done,
    ) {
        if let Some(request) = room.requests.iter_mut().find(|request| request.id == id) {
            request.done = Some(done);
            self.finish_actions(now, space, room);
        } else if let Some(channel) = channel.and_then(|name| room.channels.get_mut(name)) {
            // it was given up, and others may have been answered since
            channel.doubt(now);
            self.take_news(now, space, channel, &done.rows, true);
            self.show_channel(space, channel);
        }
    }

    /// Shows the rows of what was done and is not tied to what came before it, and its being done, all at once.
    fn finish_actions(&mut self, now: Duration, space: &SpaceId, room: &mut Room) {
        let mut changed = BTreeSet::new();
        while let Some(place) = self.first_finished(space, room) {
            let mut request = room.requests.remove(place);
            let Some(Done { rows, result }) = request.done.take() else { continue };
            let channel = room.channels.iter_mut().find(|(name, _)| **name == &*request.channel);
            if let Some((&name, channel)) = channel {
                let overtaken = request.place < channel.answered;
                if overtaken || request.is_shaken {
                    channel.doubt(now);
                }
                channel.answered = channel.answered.max(request.place);
                self.take_news(now, space, channel, &rows, overtaken);
                changed.insert(name);
            }
            let channel = self.schema.channel(&request.channel);
            let output = result.filter(|result| channel.is_ok_and(|channel| channel.reads_output(result)));
            // rows of a room have no version
            self.settle(space, &request.client, request.write, Ok(Applied { version: 0, output }));
        }
        for channel in changed.into_iter().filter_map(|name| room.channels.get(name)) {
            self.show_channel(space, channel);
        }
        self.commit(space);
    }

    fn first_finished(&self, space: &SpaceId, room: &Room) -> Option<usize> {
        let queue = &self.spaces.get(space)?.queue;
        let name = |request: &Request| (request.client.clone(), request.write);
        let is_free = |place: &usize| {
            let request = name(&room.requests[*place]);
            !room.requests[..*place].iter().any(|before| queue.are_tied(&name(before), &request))
        };
        let done = room.requests.iter().enumerate().filter(|(_, request)| request.done.is_some());
        done.map(|(place, _)| place).find(is_free)
    }

    /// An action was not done, as the server says.
    pub(super) fn action_refused(
        &mut self,
        now: Duration,
        space: &SpaceId,
        room: &mut Room,
        id: &str,
        error: Error,
    ) {
        let Some(place) = room.requests.iter().position(|request| request.id == id) else { return };
        let request = room.requests.remove(place);
        self.refuse(space, &request, error);
        self.finish_actions(now, space, room);
    }

    /// Something was not done. That is an action only where it cannot have been anything else; else it waits for an
    /// answer that does not come.
    pub(super) fn something_refused(
        &mut self,
        now: Duration,
        space: &SpaceId,
        room: &mut Room,
        words: Vec<String>,
    ) {
        let waits = |request: &&Request| request.done.is_none();
        let mut waiting = room.requests.iter().filter(waits).map(|request| request.id.clone());
        let (first, second) = (waiting.next(), waiting.next());
        let nothing_else = room.channels.values().all(|channel| !channel.is_asked);
        let Some(id) = first.filter(|_| second.is_none() && nothing_else && !room.unexplained) else {
            return;
        };
        let Some(place) = room.requests.iter().position(|request| request.id == id) else { return };
        let request = room.requests.remove(place);
        self.refuse(space, &request, refusal(code::BAD_ACTION, words));
        self.finish_actions(now, space, room);
    }

    /// Nobody will say any more what became of these.
    pub(super) fn give_up_requests(
        &mut self,
        now: Duration,
        space: &SpaceId,
        room: &mut Room,
        which: impl Fn(&Request) -> bool,
    ) {
        let is_over = |request: &Request| request.done.is_none() && which(request);
        let (over, rest) = std::mem::take(&mut room.requests).into_iter().partition(is_over);
        let over: Vec<Request> = over;
        room.requests = rest;
        for request in &over {
            room.unexplained = true;
            let message = "no answer came: it may have been done, or not";
            self.refuse(space, request, Error::new(code::OUTCOME_UNKNOWN, message));
            if room.channels.contains_key(&*request.channel) {
                self.look_for(now, room, &request.channel);
            } else if room.heard <= request.sent {
                self.probe(now, room, &request.channel);
            }
        }
        if !over.is_empty() {
            self.finish_actions(now, space, room);
        }
    }

    /// Its rows say what became of an action.
    fn look_for(&mut self, now: Duration, room: &mut Room, name: &str) {
        let Some((&name, channel)) = room.channels.get_key_value(name) else { return };
        match channel.is_asked {
            false => self.ask_for_rows(now, room, name),
            true => room.channels.values_mut().for_each(|channel| channel.doubt(now)),
        }
    }

    /// Asks for rows that nobody looks at, to see whether the line is dead.
    fn probe(&mut self, now: Duration, room: &mut Room, channel: &str) {
        let Some(line) = room.line else { return };
        room.asked.get_or_insert(now);
        self.outputs.push_back(Output::Send { attempt: line, frame: frame::sync(channel) });
    }

    fn refuse(&mut self, space: &SpaceId, request: &Request, error: Error) {
        let error = error.with_field(&*request.name).shortened();
        self.settle(space, &request.client, request.write, Err(error));
        self.commit(space);
    }
}

/// The server's words, for a person and for a program.
pub(super) fn refusal(code: &'static str, words: Vec<String>) -> Error {
    Error::new(code, sentence(&words)).with_data(json!({ "error": words }))
}

/// A refusal of which the server says what it is to a program.
pub(super) fn own_refusal(code: String, words: &[String], data: Option<&RawValue>) -> Error {
    let error = Error::new(code, sentence(words));
    match data.and_then(|data| serde_json::from_str::<Value>(data.get()).ok()) {
        None | Some(Value::Null) => error,
        Some(data) => error.with_data(data),
    }
}

fn sentence(words: &[String]) -> String {
    match words.is_empty() {
        true => "the server refused it".to_owned(),
        false => words.join("; "),
    }
}
