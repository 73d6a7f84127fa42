//! The frames of one commit: whoever is told the same gets the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{Key, SpaceId, Version};
use crate::space::families::RelatedDelta;
use crate::space::rows::Row;
use crate::space::shape::Delta;
use crate::space::working_set::Told;
use crate::wire::{self, Ack, Changes, Part, RelatedPart, ServerMessage, SubId};

/// What tells one frame from another: where the client stands, and which delta is for which subscription.
type FrameKey = (Version, Vec<(SubId, usize)>);

/// See the [module](self).
pub(super) struct Broadcast<'a> {
    space: &'a SpaceId,
    to: Version,
    deltas: &'a [Delta],
    /// The largest frame worth sending.
    limit: usize,
    frames: BTreeMap<FrameKey, Option<Arc<[u8]>>>,
    key: FrameKey,
}

impl<'a> Broadcast<'a> {
    pub(super) fn new(space: &'a SpaceId, to: Version, deltas: &'a [Delta], limit: usize) -> Self {
        Self { space, to, deltas, limit, frames: BTreeMap::new(), key: FrameKey::default() }
    }

    /// The frame for a client that stands at `from`; `None` when it is too large.
    pub(super) fn frame(&mut self, from: Version, parts: &[Told], acks: Vec<Ack>) -> Option<Arc<[u8]>> {
        self.key.0 = from;
        self.key.1.clear();
        self.key.1.extend(parts.iter().map(|&(_, sub, delta)| (sub, delta)));
        if !acks.is_empty() {
            return self.build(acks);
        }
        if let Some(frame) = self.frames.get(&self.key) {
            return frame.clone();
        }
        let frame = self.build(acks);
        self.frames.insert(self.key.clone(), frame.clone());
        frame
    }

    fn build(&self, acks: Vec<Ack>) -> Option<Arc<[u8]>> {
        let (from, parts) = &self.key;
        // a row that several subscriptions are told of is there once
        let mut lines = Vec::<&Row>::new();
        let mut places = BTreeMap::<*const Row, usize>::new();
        let mut bytes = 0;
        let mut message_parts = Vec::with_capacity(parts.len());
        for &(sub, delta) in parts {
            let delta = &self.deltas[delta];
            let mut places_of = |rows: &'a [Arc<Row>]| {
                let place = |row: &'a Arc<Row>| {
                    *places.entry(Arc::as_ptr(row)).or_insert_with(|| {
                        bytes += row.json.len();
                        lines.push(row);
                        lines.len() - 1
                    })
                };
                rows.iter().map(place).collect()
            };
            let put = places_of(&delta.put);
            let related = delta.related.iter().map(|RelatedDelta { relation, put, del }| RelatedPart {
                relation: *relation,
                put: places_of(put),
                del: names(del),
            });
            let related = related.collect();
            message_parts.push(Part {
                sub,
                put,
                del: names(&delta.del),
                related,
                counts: delta.counts.clone(),
            });
        }
        if bytes > self.limit {
            return None;
        }
        let nothing = Changes::new(self.space.clone(), *from, self.to);
        let changes = Changes { parts: message_parts, acks, ..nothing };
        Some(wire::encode(&ServerMessage::Changes(changes), lines.iter().map(|row| &*row.json)).into())
    }
}

fn names(keys: &[Key]) -> Vec<Box<str>> {
    keys.iter().map(|key| key.as_str().into()).collect()
}
