//! The answer to a subscription as frames, each of a bounded size: rows, and what became of the writes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::id::{Cursor, SpaceId};
use crate::schema::CollectionDef;
use crate::space::rows::Row;
use crate::space::shape::Answer;
use crate::wire::{
    self, Changes, Count, GoneChildren, Refusal, Resume, Run, ServerMessage, Snapshot, SubId, WriteOutput,
    WriteState,
};

/// What the place of a row to let go takes of a frame, at most.
const PLACE_BYTES: usize = 6;

/// What a client missed.
#[derive(Default)]
pub(super) struct Missed {
    /// Rows and children that it lacks, or holds as they were, and counts that are others than it holds.
    pub(super) news: Answer,
    /// Keys of rows that it may hold and is to let go.
    pub(super) del: VecDeque<Box<str>>,
    /// The same, by their places in what it said it holds.
    pub(super) gone: VecDeque<u32>,
    /// Children that it is to let go, by relation and place.
    pub(super) gone_children: VecDeque<(usize, u32)>,
}

/// An answer that is being sent.
pub(super) struct Stream {
    /// The subscription it is for; without one, it tells of writes only.
    pub(super) sub: Option<SubId>,
    pub(super) space: SpaceId,
    cursor: Cursor,
    body: Body,
    /// Told with the last rows; what does not fit there, in frames of its own behind them.
    writes: VecDeque<WriteState>,
    /// What the result holds depends on who asks.
    selective: bool,
}

/// Rows on their way, chunk by chunk.
struct Chunks {
    /// In the order in which they go.
    rows: Vec<Arc<Row>>,
    /// Which collection each is of: 0 are the result's own, then relation by relation. Empty without relations.
    of: Vec<u8>,
    /// The collections, when their rows are to be packed.
    packing: Vec<CollectionDef>,
    sent: usize,
    /// Told with the rows that they are about, or else behind all rows.
    counts: VecDeque<Count>,
    chunk: u32,
}

/// What goes into a chunk.
struct Taken {
    /// As it stands in the frame.
    rows: Vec<u8>,
    counts: Vec<Count>,
    /// What all of it takes.
    bytes: usize,
}

enum Body {
    /// All of a result.
    Rows(Chunks),
    /// Of what was missed the news, and what is to be let go.
    Missed(Chunks, Missed),
    Sent,
}

impl Stream {
    /// All of a result.
    pub(super) fn snapshot(
        sub: SubId,
        space: SpaceId,
        cursor: Cursor,
        answer: Answer,
        packing: Vec<CollectionDef>,
        selective: bool,
        writes: Vec<WriteState>,
    ) -> Self {
        let body = Body::Rows(Chunks::new(answer, packing));
        Self { sub: Some(sub), space, cursor, body, writes: writes.into(), selective }
    }

    /// What was missed.
    pub(super) fn resume(
        sub: SubId,
        space: SpaceId,
        cursor: Cursor,
        mut missed: Missed,
        packing: Vec<CollectionDef>,
        writes: Vec<WriteState>,
    ) -> Self {
        let news = std::mem::take(&mut missed.news);
        // of one row, the names of its fields are told either way
        let packing = if news.rows.len() > 1 { packing } else { Vec::new() };
        let news = Chunks::new(news, packing);
        let (body, writes) = (Body::Missed(news, missed), writes.into());
        Self { sub: Some(sub), space, cursor, body, writes, selective: false }
    }

    /// What became of writes, and nothing else.
    pub(super) fn writes(space: SpaceId, cursor: Cursor, writes: Vec<WriteState>) -> Self {
        Self { sub: None, space, cursor, body: Body::Sent, writes: writes.into(), selective: false }
    }

    /// The next frame, and whether it is the last one.
    pub(super) fn next_frame(&mut self, most: usize) -> (Vec<u8>, bool) {
        let frame = match std::mem::replace(&mut self.body, Body::Sent) {
            Body::Rows(chunks) => self.next_chunk(chunks, most),
            Body::Missed(news, missed) => self.next_missed(news, missed, most),
            Body::Sent => {
                let (writes, version) = (next_writes(&mut self.writes, most), self.cursor.version);
                let nothing = Changes::new(self.space.clone(), version, version);
                wire::encode(&ServerMessage::Changes(Changes { writes, ..nothing }), [])
            }
        };
        (frame, self.is_sent())
    }

    fn is_sent(&self) -> bool {
        matches!(self.body, Body::Sent) && self.writes.is_empty()
    }

    fn next_chunk(&mut self, mut chunks: Chunks, most: usize) -> Vec<u8> {
        let (number, total) = (chunks.chunk, chunks.rows.len() as u64);
        let start = chunks.sent;
        let Taken { rows, mut counts, bytes } = chunks.take_rows(most);
        let related = chunks.runs_since(start);
        counts.extend(chunks.take_counts(most.saturating_sub(bytes), start));
        let last = chunks.is_empty();
        let message = ServerMessage::Snapshot(Snapshot {
            sub: self.sub.unwrap_or_default(),
            cursor: self.cursor,
            chunk: number,
            total,
            last,
            selective: self.selective,
            fields: chunks.fields(),
            related,
            counts,
            writes: if last { next_writes(&mut self.writes, most) } else { Vec::new() },
        });
        if !last {
            self.body = Body::Rows(chunks);
        }
        with_rows(&message, &rows)
    }

    /// Rows first, then what is to be let go: nothing of it counts before all is there.
    fn next_missed(&mut self, mut news: Chunks, mut missed: Missed, most: usize) -> Vec<u8> {
        let (chunk, start) = (news.chunk, news.sent);
        let mut room = Room { left: most, is_untouched: true };
        let Taken { rows, mut counts, bytes } = news.take_rows(most);
        room.take(bytes);
        let fields = if rows.is_empty() { Vec::new() } else { news.fields() };
        let (related, further) = (news.runs_since(start), news.take_counts(room.left, start));
        further.iter().for_each(|count| room.take(size(count) + 1));
        counts.extend(further);
        let (mut del, mut gone, mut gone_children) = (Vec::new(), Vec::new(), Vec::<GoneChildren>::new());
        if news.is_empty() {
            del.extend(std::iter::from_fn(|| room.pop(&mut missed.del, |key| size(key) + 1)));
            gone.extend(std::iter::from_fn(|| room.pop(&mut missed.gone, |place| size(place) + 1)));
            while let Some((relation, place)) =
                room.pop(&mut missed.gone_children, |(_, place)| size(place) + 1)
            {
                match gone_children.last_mut() {
                    Some(of) if of.relation == relation => of.gone.push(place),
                    _ => gone_children.push(GoneChildren { relation, gone: vec![place] }),
                }
            }
        }
        let last = news.is_empty() && missed.is_let_go();
        let writes = if last { next_writes(&mut self.writes, room.left) } else { Vec::new() };
        let (sub, cursor) = (self.sub.unwrap_or_default(), self.cursor);
        if !last {
            self.body = Body::Missed(news, missed);
        }
        let resume =
            Resume { sub, cursor, chunk, last, del, gone, fields, related, gone_children, counts, writes };
        with_rows(&ServerMessage::Resume(resume), &rows)
    }
}

/// A message and the rows below it, as they stand in the frame.
fn with_rows(message: &ServerMessage, rows: &[u8]) -> Vec<u8> {
    let mut frame = wire::encode(message, []);
    if !rows.is_empty() {
        frame.push(b'\n');
        frame.extend_from_slice(rows);
    }
    frame
}

impl Missed {
    /// About what it takes of frames.
    pub(super) fn bytes(&self) -> usize {
        let places = self.gone.len() + self.gone_children.len();
        self.news.bytes() + self.del.iter().map(|key| key.len() + 3).sum::<usize>() + places * PLACE_BYTES
    }

    /// All that was to be let go has been told.
    fn is_let_go(&self) -> bool {
        self.del.is_empty() && self.gone.is_empty() && self.gone_children.is_empty()
    }
}

/// What a frame still has room for, in bytes.
struct Room {
    left: usize,
    is_untouched: bool,
}

impl Room {
    fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.is_untouched &= bytes == 0;
    }

    /// The first of a list, when it fits; into an empty frame it always does.
    fn pop<T>(&mut self, list: &mut VecDeque<T>, bytes: impl Fn(&T) -> usize) -> Option<T> {
        let bytes = bytes(list.front()?);
        if bytes > self.left && !self.is_untouched {
            return None;
        }
        self.take(bytes);
        list.pop_front()
    }
}

impl Chunks {
    fn new(Answer { rows, related, sizes, counts }: Answer, packing: Vec<CollectionDef>) -> Self {
        let (rows, of) = if related.is_empty() { (rows, Vec::new()) } else { in_order(rows, related, sizes) };
        Self { rows, of, packing, sent: 0, counts: counts.into(), chunk: 0 }
    }

    fn is_empty(&self) -> bool {
        self.sent == self.rows.len() && self.counts.is_empty()
    }

    /// The names of the fields, when rows are packed.
    fn fields(&self) -> Vec<Vec<Box<str>>> {
        let names = |def: &CollectionDef| def.fields.iter().map(|field| field.name.into()).collect();
        self.packing.iter().map(names).collect()
    }

    /// The rows that fit into a chunk of `most` bytes with their counts, and at least one, when there is one.
    fn take_rows(&mut self, most: usize) -> Taken {
        self.chunk += 1;
        let (start, mut bytes, mut counted) = (self.sent, 0, 0);
        let mut parts = vec![Vec::new(); self.packing.len().max(1)];
        while let Some(row) = self.rows.get(self.sent) {
            let of = self.of.get(self.sent).copied().map_or(0, usize::from);
            if of >= parts.len() {
                parts.resize(of + 1, Vec::new());
            }
            let part = &mut parts[of];
            let before = part.len();
            match self.packing.get(of) {
                Some(def) => wire::push_row(part, row.packed(def)),
                None => {
                    if before > 0 {
                        part.push(b'\n');
                    }
                    part.extend_from_slice(&row.json);
                }
            }
            let own = self.counts.range(counted..).take_while(|count| of == 0 && *count.parent == *row.key());
            let (own, own_bytes) = own.fold((0, 0), |(n, bytes), count| (n + 1, bytes + size(count) + 1));
            // where a part begins, it is joined to the one before
            let joint = usize::from(before == 0 && self.sent > start && self.packing.is_empty());
            let more = joint + part.len() - before + own_bytes;
            if bytes + more >= most && self.sent > start {
                part.truncate(before);
                break;
            }
            bytes += more;
            counted += own;
            self.sent += 1;
        }
        let counts = self.counts.drain(..counted).collect();
        let joint: &[u8] = if self.packing.is_empty() { b"\n" } else { b"" };
        parts.retain(|part| !part.is_empty());
        let rows = if parts.len() == 1 { parts.swap_remove(0) } else { parts.join(joint) };
        Taken { rows, counts, bytes }
    }

    /// The counts that fit behind the rows since `start`, and at least one when there are no rows.
    fn take_counts(&mut self, mut room: usize, start: usize) -> Vec<Count> {
        let mut counts = Vec::new();
        while self.sent == self.rows.len()
            && let Some(count) = self.counts.front()
        {
            let bytes = size(count) + 1;
            if bytes > room && (self.sent > start || !counts.is_empty()) {
                break;
            }
            room = room.saturating_sub(bytes);
            counts.extend(self.counts.pop_front());
        }
        counts
    }

    /// Which rows since `start` are children.
    fn runs_since(&self, start: usize) -> Vec<Run> {
        let of = self.of.get(start..self.sent).unwrap_or_default();
        let relations = of.iter().copied().max().map_or(0, usize::from);
        let rows = |relation| of.iter().filter(|&&of| usize::from(of) == relation + 1).count();
        (0..relations)
            .map(|relation| Run { relation, rows: rows(relation) })
            .filter(|run| run.rows > 0)
            .collect()
    }
}

/// Each row and then its children, as far as it is known whose they are: whoever passes them on needs to keep no more than
/// one row until its children are there. Then the children of other rows.
fn in_order(own: Vec<Arc<Row>>, related: Vec<Vec<Arc<Row>>>, sizes: Vec<usize>) -> (Vec<Arc<Row>>, Vec<u8>) {
    let all = own.len() + related.iter().map(Vec::len).sum::<usize>();
    let (mut rows, mut of) = (Vec::with_capacity(all), Vec::with_capacity(all));
    let mut related: Vec<_> = related.into_iter().map(IntoIterator::into_iter).collect();
    let mut sizes = sizes.into_iter();
    for row in own {
        rows.push(row);
        of.push(0);
        for (children, relation) in related.iter_mut().zip(1..) {
            rows.extend(children.take(sizes.next().unwrap_or_default()));
            of.resize(rows.len(), relation);
        }
    }
    for (children, relation) in related.into_iter().zip(1..) {
        rows.extend(children);
        of.resize(rows.len(), relation);
    }
    (rows, of)
}

/// Takes as much as fits into `most` bytes, and at least something. A client of which more is to be told than fits is
/// told of its first writes first: what is said of them is final, whatever is said of later ones.
fn next_writes(writes: &mut VecDeque<WriteState>, most: usize) -> Vec<WriteState> {
    let mut taken = Vec::new();
    let mut room = most;
    while let Some(state) = writes.pop_front() {
        let (mut state, refused, outputs) = bare(state);
        let mut left = room.saturating_sub(size(&state));
        let refusals = refused.iter().map(|refusal| (refusal.id, size(refusal) + 1));
        let mut told: Vec<_> = refusals.collect();
        told.extend(outputs.iter().map(|output| (output.id, size(output) + 1)));
        told.sort_unstable();
        let fits = |(_, bytes): &&(_, usize)| {
            let fits = *bytes <= left;
            left = left.saturating_sub(*bytes);
            fits
        };
        let mut count = told.iter().take_while(fits).count();
        if taken.is_empty() {
            count = count.max(1).min(told.len());
        }
        let Some(&(first_later, _)) = told.get(count) else {
            (state.refused, state.outputs) = (refused, outputs);
            if left == 0 && !taken.is_empty() {
                writes.push_front(state);
                break;
            }
            taken.push(state);
            room = left;
            continue;
        };
        let (mut earlier, mut later) = (state.clone(), state);
        earlier.last = first_later.saturating_sub(1);
        (earlier.refused, later.refused) = refused.into_iter().partition(|refusal| refusal.id < first_later);
        (earlier.outputs, later.outputs) = outputs.into_iter().partition(|output| output.id < first_later);
        writes.push_front(later);
        if count > 0 {
            taken.push(earlier);
        }
        break;
    }
    taken
}

/// An account without its lists, and those.
fn bare(mut state: WriteState) -> (WriteState, Vec<Refusal>, Vec<WriteOutput>) {
    let (refused, outputs) = (std::mem::take(&mut state.refused), std::mem::take(&mut state.outputs));
    (state, refused, outputs)
}

/// Bytes on the wire.
fn size(part: &impl serde::Serialize) -> usize {
    // written to memory, it cannot fail
    serde_json::to_vec(part).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn state(client: &str, last: u64, refused: impl IntoIterator<Item = u64>) -> WriteState {
        let refuse = |id| Refusal { id, error: Error::new("no", "x".repeat(100)) };
        WriteState {
            client: client.into(),
            last,
            refused: refused.into_iter().map(refuse).collect(),
            outputs: Vec::new(),
        }
    }

    #[test]
    fn what_fits_is_told_at_once() {
        let mut writes = VecDeque::from([state("client-a", 9, []), state("client-b", 5, [2, 4])]);
        let told = next_writes(&mut writes, 1_000);
        assert_eq!(told, [state("client-a", 9, []), state("client-b", 5, [2, 4])]);
        assert!(writes.is_empty());
    }

    #[test]
    fn a_long_account_is_told_in_parts_that_are_true_each() {
        let mut writes = VecDeque::from([state("client-a", 30, (1..=20).map(|n| n + 5))]);
        let mut parts = Vec::new();
        while !writes.is_empty() {
            let part = next_writes(&mut writes, 500);
            assert!(size(&part) <= 520, "{}", size(&part));
            parts.extend(part);
        }
        assert!(parts.len() > 4);
        assert!(parts.windows(2).all(|two| two[0].last < two[1].last));
        assert_eq!(parts.last().map(|part| part.last), Some(30));
        for part in &parts {
            assert!(part.refused.iter().all(|refusal| refusal.id <= part.last));
        }
        assert_eq!(parts.iter().flat_map(|part| &part.refused).count(), 20);
    }

    #[test]
    fn outputs_are_told_with_the_refusals_of_their_time() {
        let output =
            |id| WriteOutput { id, output: serde_json::value::to_raw_value(&"y".repeat(100)).unwrap() };
        let all = WriteState {
            outputs: (1..=20).map(|n| output(2 * n - 1)).collect(),
            ..state("client-a", 41, (1..=20).map(|n| 2 * n))
        };
        let mut writes = VecDeque::from([all.clone()]);
        let (mut refused, mut outputs, mut last) = (Vec::new(), Vec::new(), 0);
        while !writes.is_empty() {
            let part = next_writes(&mut writes, 500);
            assert!(size(&part) <= 540, "{}", size(&part));
            for part in part {
                let ids = part.refused.iter().map(|it| it.id).chain(part.outputs.iter().map(|it| it.id));
                assert!(ids.into_iter().all(|id| last < id && id <= part.last), "{last} {part:?}");
                last = part.last;
                refused.extend(part.refused);
                outputs.extend(part.outputs);
            }
        }
        assert_eq!((last, refused, outputs), (41, all.refused, all.outputs));
    }

    #[test]
    fn even_one_that_never_fits_goes_on() {
        let mut writes = VecDeque::from([state("client-a", 2, [1, 2]), state("client-b", 1, [])]);
        let parts: Vec<_> = std::iter::from_fn(|| (!writes.is_empty()).then(|| next_writes(&mut writes, 1)))
            .take(10)
            .collect();
        let [one, two, three] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!((one[0].last, two[0].last, three[0].client.as_str()), (1, 2, "client-b"));
    }
}
