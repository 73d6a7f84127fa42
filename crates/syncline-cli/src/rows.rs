//! The rows of a query as the server has told them, and what each frame changes in them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use syncline_core::wire::{
    Changes, EncodedRow, Frame, Held, Part, Resume, ServerMessage, Snapshot, SubId, Subscribe,
};
use syncline_core::{Cursor, Error, QuerySpec, Version, code};

/// A row, as it is.
pub(crate) type Row = Map<String, Value>;

/// What a frame means for whoever has seen what came before.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct News {
    /// The rows for the first time, in their order.
    pub(crate) rows: Vec<(String, Row)>,
    /// What has changed in them since.
    pub(crate) changes: Vec<Change>,
    /// The server has answered: what there was, or what was missed, is complete.
    pub(crate) complete: bool,
    pub(crate) version: Version,
}

/// One row of a change.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    Put { key: String, before: Option<Row>, row: Row },
    Delete { key: String },
}

/// See the [module](self).
pub(crate) struct Rows {
    query: QuerySpec,
    key_field: String,
    rows: BTreeMap<String, Row>,
    /// Where they stand; `None` before they are complete.
    cursor: Option<Cursor>,
    /// To go on from there the server has to be told which rows there are.
    selective: bool,
    /// The rows of an answer that is coming in.
    incoming: Vec<(String, Row)>,
    /// The keys of those that it lets go.
    leaving: Vec<String>,
    /// The subscription, by its number on this connection.
    sub: SubId,
    /// The keys that the server was told, in their order.
    told: Vec<String>,
}

impl Rows {
    pub(crate) fn new(query: QuerySpec, key_field: String) -> Self {
        Self {
            query,
            key_field,
            rows: BTreeMap::new(),
            cursor: None,
            selective: false,
            incoming: Vec::new(),
            leaving: Vec::new(),
            sub: 0,
            told: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What to ask on a new connection, in a frame of so many bytes: what has changed since, where rows are there.
    pub(crate) fn subscribe(&mut self, seed: u64, frame_bytes: usize) -> Subscribe {
        self.incoming.clear();
        self.sub += 1;
        let by_holding = self.selective || self.query.limit.is_some();
        let cursor = self.cursor.filter(|_| !by_holding || self.rows.len() <= Held::fitting(frame_bytes));
        self.told = self.rows.keys().cloned().collect();
        let held =
            cursor.filter(|_| by_holding).map(|_| Held::new(seed, self.told.iter().map(String::as_str)));
        Subscribe { sub: self.sub, query: self.query.clone(), cursor, held }
    }

    /// Takes in a frame.
    ///
    /// # Errors
    /// The query is refused, or the frame does not follow what came before: `connection`, and a new one has to be made.
    pub(crate) fn take(&mut self, frame: &[u8]) -> Result<Option<News>, Error> {
        let frame = Frame::parse(frame)?;
        match &frame.message {
            ServerMessage::Snapshot(snapshot) if snapshot.sub == self.sub => self.snapshot(snapshot, &frame),
            ServerMessage::Resume(resume) if resume.sub == self.sub => self.resume(resume, &frame),
            ServerMessage::Changes(changes) if changes.space == self.query.space => {
                self.changed(changes, &frame)
            }
            ServerMessage::Reset(reset) if reset.subs.contains(&self.sub) => {
                self.incoming.clear();
                Ok(None)
            }
            ServerMessage::Failed(failed) if failed.sub == self.sub => Err(failed.error.clone()),
            _ => Ok(None),
        }
    }

    fn snapshot(&mut self, snapshot: &Snapshot, frame: &Frame<'_>) -> Result<Option<News>, Error> {
        self.collect(snapshot.chunk, frame)?;
        if !snapshot.last {
            return Ok(None);
        }
        let came = std::mem::take(&mut self.incoming);
        let version = snapshot.cursor.version;
        self.selective = snapshot.selective;
        if self.cursor.replace(snapshot.cursor).is_none() {
            self.rows = came.iter().cloned().collect();
            return Ok(Some(News { rows: came, complete: true, version, ..News::default() }));
        }
        let kept: BTreeMap<&str, ()> = came.iter().map(|(key, _)| (key.as_str(), ())).collect();
        let gone: Vec<_> = self.rows.keys().filter(|key| !kept.contains_key(key.as_str())).cloned().collect();
        let mut news = News { complete: true, version, ..News::default() };
        self.change(gone, came, &mut news);
        Ok(Some(news))
    }

    fn resume(&mut self, resume: &Resume, frame: &Frame<'_>) -> Result<Option<News>, Error> {
        self.collect(resume.chunk, frame)?;
        let places = resume.gone.iter().filter_map(|place| self.told.get(*place as usize).cloned());
        self.leaving.extend(resume.del.iter().map(|key| key.to_string()).chain(places));
        if !resume.last {
            return Ok(None);
        }
        let mut news = News { complete: true, version: resume.cursor.version, ..News::default() };
        self.cursor = Some(resume.cursor);
        let (gone, put) = (std::mem::take(&mut self.leaving), std::mem::take(&mut self.incoming));
        self.change(gone, put, &mut news);
        Ok(Some(news))
    }

    /// The rows of a chunk join those before it.
    fn collect(&mut self, chunk: u32, frame: &Frame<'_>) -> Result<(), Error> {
        if chunk == 0 {
            self.incoming.clear();
            self.leaving.clear();
        }
        for row in frame.rows() {
            let row = self.read(row)?;
            self.incoming.push(row);
        }
        Ok(())
    }

    fn changed(&mut self, changes: &Changes, frame: &Frame<'_>) -> Result<Option<News>, Error> {
        // before its snapshot a subscription is told nothing
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        if changes.to <= cursor.version {
            return Ok(None);
        }
        if changes.from != cursor.version {
            return Err(Error::new(code::CONNECTION, "the connection has lost a change"));
        }
        cursor.version = changes.to;
        let lines: Vec<_> = frame.rows().collect();
        let mut news = News { version: changes.to, ..News::default() };
        let sub = self.sub;
        for Part { put, del, .. } in changes.parts.iter().filter(|part| part.sub == sub) {
            let line = |number: &usize| {
                let line = lines.get(*number);
                line.ok_or_else(|| Error::new(code::BAD_FRAME, "a row is missing"))
                    .and_then(|line| self.read(line))
            };
            let put = put.iter().map(line).collect::<Result<_, _>>()?;
            self.change(del.iter().map(|key| key.to_string()).collect(), put, &mut news);
        }
        Ok(Some(news))
    }

    fn change(&mut self, gone: Vec<String>, put: Vec<(String, Row)>, news: &mut News) {
        for key in gone {
            if self.rows.remove(&key).is_some() {
                news.changes.push(Change::Delete { key });
            }
        }
        for (key, row) in put {
            let before = self.rows.insert(key.clone(), row.clone());
            if before.as_ref() != Some(&row) {
                news.changes.push(Change::Put { key, before, row });
            }
        }
    }

    fn read(&self, line: &[u8]) -> Result<(String, Row), Error> {
        let row: Row = EncodedRow::Json(line).decode(&[])?;
        match row.get(&self.key_field) {
            Some(Value::String(key)) => Ok((key.clone(), row)),
            _ => {
                let message = "rows have no such text to be told apart by: which field is the key says --key";
                Err(Error::new(code::BAD_ROW, message).with_field(&*self.key_field))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

    use serde_json::json;
    use syncline_core::QuerySpec;
    use syncline_core::wire::{ClientMessage, MAX_QUERY_BYTES, encode};

    use super::*;

    fn held(limit: Option<u32>, rows: usize) -> Rows {
        let query: QuerySpec = serde_json::from_value(json!({"space": "l", "collection": "todos"})).unwrap();
        let mut held = Rows::new(QuerySpec { limit, ..query }, "id".into());
        let cursor = json!({"incarnation": "00000000000000aa", "version": 7});
        held.cursor = Some(serde_json::from_value(cursor).unwrap());
        held.rows = (0..rows).map(|row| (format!("{row:05}"), Row::new())).collect();
        held
    }

    #[test]
    fn a_list_is_told_by_its_rows_as_far_as_the_server_takes_them_in_one_frame() {
        let frame_bytes = MAX_QUERY_BYTES + 3_200;
        let most = Held::fitting(frame_bytes);
        let subscribe = held(Some(9_000), most).subscribe(1, frame_bytes);
        assert_eq!((subscribe.cursor.is_some(), subscribe.held.as_ref().map(Held::len)), (true, Some(most)));
        assert!(encode(&ClientMessage::Subscribe(subscribe), []).len() <= frame_bytes);
        // of more, all rows are asked for
        let subscribe = held(Some(9_000), most + 1).subscribe(1, frame_bytes);
        assert!(subscribe.cursor.is_none() && subscribe.held.is_none());
        // and of a list without a limit the cursor says enough
        let subscribe = held(None, most + 1).subscribe(1, frame_bytes);
        assert!(subscribe.cursor.is_some() && subscribe.held.is_none());
    }

    #[test]
    fn json_in_a_text_is_no_row() {
        let rows = held(None, 0);
        assert!(rows.read(br#"{"id":"a","text":"Milk"}"#).is_ok());
        for line in [
            r#"{"$serde_json::private::RawValue":"{\"id\":\"a\"}"}"#,
            r#"{"id":"a","text":{"$serde_json::private::RawValue":"[[1]]"}}"#,
        ] {
            assert_eq!(rows.read(line.as_bytes()).unwrap_err().code(), code::BAD_ROW, "{line}");
        }
    }
}
