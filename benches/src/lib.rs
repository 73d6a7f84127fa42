//! What the measurements share: the row they are made with, and a client core fed by hand.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use syncline_core::client::{ClientCore, Config, Input, Output, WatchId};
use syncline_core::ops::{RowOp, RowOps};
use syncline_core::{ClientId, Record, SpaceId};

/// The row of every measurement: an id, a text of 40 characters, a flag and two times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "items", key = id)]
pub struct Item {
    /// 26 characters, as long as a ULID.
    pub id: String,
    /// 40 characters.
    pub text: String,
    /// A flag.
    pub done: bool,
    /// Milliseconds; the newest row comes first.
    pub created_at: u64,
    /// Milliseconds.
    pub updated_at: u64,
}

impl Item {
    /// The row with this number, at this revision.
    pub fn new(number: u64, revision: u64) -> Self {
        Self {
            id: format!("01J{number:023}"),
            text: format!("{:<40}", format!("item {number}, revision {revision}")),
            done: number.is_multiple_of(3),
            created_at: 1_700_000_000_000 + number,
            updated_at: 1_700_000_000_000 + number + revision,
        }
    }
}

/// A client core that watches all items of one space, newest first, and the frames of its server.
pub struct Store {
    core: ClientCore,
    watch: WatchId,
    version: u64,
    attempt: u64,
    written: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// Connected, subscribed, empty.
    pub fn new() -> Self {
        let mut core = ClientCore::new(Config::new(ClientId::from("bench-client"), 1));
        let query = Item::in_space("bench").order_by(Item::created_at.desc());
        let watch = core.watch(Duration::ZERO, &query);
        let mut store = Self { core, watch, version: 0, attempt: 0, written: 0 };
        store.drain();
        let attempt = store.attempt;
        store.core.handle(Duration::ZERO, Input::Opened { attempt });
        store.feed(
            br#"{"welcome":{"protocol":1,"user":{"id":"u"},"encoding":"json","heartbeat_ms":30000,"limits":{"frame_bytes":2097152,"writes_in_flight":256,"subscriptions":256}}}"#,
        );
        store
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            if let Output::Open { attempt, .. } = output {
                self.attempt = attempt;
            }
        }
    }

    /// Takes in a frame and hands the diffs to the one subscriber. Gives the number of diffs.
    pub fn feed(&mut self, frame: &[u8]) -> usize {
        let attempt = self.attempt;
        self.core.handle(Duration::ZERO, Input::Frame { attempt, bytes: frame });
        self.drain();
        self.core.take::<Item>(self.watch).len()
    }

    /// The number of rows shown.
    pub fn len(&self) -> usize {
        self.core.entries::<Item>(self.watch).len()
    }

    /// Whether nothing is shown.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frames of a snapshot with the first `count` items, newest first, in chunks of 128 KiB.
    pub fn snapshot_frames(count: u64) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut rows: Vec<u8> = Vec::new();
        let mut flush = |rows: &mut Vec<u8>, last: bool| {
            let head = format!(
                r#"{{"snapshot":{{"sub":1,"cursor":{{"incarnation":"00000000000000aa","schema":0,"epoch":0,"version":0}},"chunk":{},"total":{count},"last":{last}}}}}"#,
                frames.len()
            );
            let mut frame = head.into_bytes();
            frame.append(rows);
            frames.push(frame);
        };
        for number in (0..count).rev() {
            rows.push(b'\n');
            rows.extend(encode(&Item::new(number, 0)));
            if rows.len() > 128 * 1024 {
                flush(&mut rows, false);
            }
        }
        flush(&mut rows, true);
        frames
    }

    /// The frame of the next version that puts a row.
    pub fn put_frame(&mut self, item: &Item) -> Vec<u8> {
        let mut frame = self.changes(r#""put":[0]"#);
        frame.push(b'\n');
        frame.extend(encode(item));
        frame
    }

    /// Puts a row locally and hands the diffs to the subscriber; gives the number of diffs.
    ///
    /// # Panics
    /// When the core refuses it, as it does with more than 10,000 at once.
    pub fn write(&mut self, item: &Item) -> usize {
        let ops = RowOps { ops: RowOp::put(item).into_iter().collect() };
        let written = self.core.write_rows(Duration::ZERO, &SpaceId::from("bench"), &ops);
        assert!(written.is_ok(), "{written:?}");
        self.written += 1;
        self.drain();
        self.core.take::<Item>(self.watch).len()
    }

    /// The frame of the next version: it puts the row that was written last, and acknowledges that write.
    pub fn confirm_frame(&mut self, item: &Item) -> Vec<u8> {
        let acks = format!(r#""acks":[{{"client":"bench-client","id":{}}}]"#, self.written);
        let mut frame = self.frame(r#""put":[0]"#, &acks);
        frame.push(b'\n');
        frame.extend(encode(item));
        frame
    }

    /// The frame of the next version that deletes a row.
    pub fn delete_frame(&mut self, item: &Item) -> Vec<u8> {
        self.changes(&format!(r#""del":["{}"]"#, item.id))
    }

    fn changes(&mut self, part: &str) -> Vec<u8> {
        self.frame(part, r#""acks":[]"#)
    }

    fn frame(&mut self, part: &str, acks: &str) -> Vec<u8> {
        self.version += 1;
        let (from, to) = (self.version - 1, self.version);
        format!(
            r#"{{"changes":{{"space":"bench","from":{from},"to":{to},"parts":[{{"sub":1,{part}}}],{acks}}}}}"#
        )
        .into_bytes()
    }
}

fn encode(item: &Item) -> Vec<u8> {
    serde_json::to_vec(item).unwrap_or_default()
}
