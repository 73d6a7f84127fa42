//! The rows of one query in the form in which they leave a client: for storage between visits, for a page that a server
//! has rendered.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::{Map, Value};

use crate::error::{Error, code};
use crate::id::Cursor;
use crate::query::QuerySpec;
use crate::wire::{Count, EncodedRow, Run, packed_rows};

/// The version of the form as text. What has another one than these two is not read.
const TEXT: u32 = 1;
/// The version of the form in which rows lie in storage.
const PACKED: u32 = 2;

/// What a client knows of one query: its confirmed rows in order, and where they stand, if anywhere. Made by
/// [`ClientCore::export`](super::ClientCore::export) or kept by a [cache](super::CacheConfig), and taken up by
/// [`ClientCore::import`](super::ClientCore::import).
///
/// What is kept between visits has the same first line, with the names of the fields, and then the rows as a packed
/// snapshot has them; it is [decoded](Self::decode) as well.
///
/// It is text: the first line says what it is, then comes one row a line, each as the JSON it has on the wire; the children
/// that the query includes are the last ones.
///
/// ```text
/// {"syncline":1,"app":0,"query":{"space":"list-42","collection":"todos"},"cursor":{…},"complete":true}
/// {"id":"t1","text":"Milk","done":true}
/// ```
///
/// What a contrail service sent has no `cursor`: there is no place from which it could go on, so the rows are shown until a
/// fresh snapshot is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    head: Head,
    bytes: Vec<u8>,
    rows_at: usize,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    syncline: u32,
    /// The schema version of the application that made it.
    pub(crate) app: u32,
    pub(crate) query: QuerySpec,
    /// The rows are the result as of then. Those of a contrail service, and no others, stand nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
    /// They are all rows of it; else they are the first ones.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) complete: bool,
    /// What the result holds depends on who asks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) selective: bool,
    /// The rows at the end that are children, in runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) related: Vec<Run>,
    /// How many children parents have, where they have any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) counts: Vec<Count>,
    /// The names of the fields of packed rows: of the result's own, then of each relation's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<Vec<Box<str>>>,
}

impl Head {
    pub(crate) fn new(app: u32, query: QuerySpec, cursor: Option<Cursor>, selective: bool) -> Self {
        let (related, counts, fields) = (Vec::new(), Vec::new(), Vec::new());
        Self { syncline: TEXT, app, query, cursor, complete: false, selective, related, counts, fields }
    }

    /// The first line.
    fn write(&self) -> Vec<u8> {
        // made of maps with text keys: writing it to memory cannot fail
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As JSON, one a line.
    Text,
    /// As those of a packed snapshot: read in a third of the time.
    Packed,
}

/// All of it in the form for storage, whose rows are `rows`.
pub(crate) fn for_storage(mut head: Head, rows: &[u8]) -> Vec<u8> {
    head.syncline = PACKED;
    let mut bytes = head.write();
    bytes.extend_from_slice(rows);
    bytes
}

/// What has been stored or exported, taken apart; the rows are left as they are.
pub(crate) struct Stored<'a> {
    pub(crate) head: Cow<'a, Head>,
    rows: Vec<EncodedRow<'a>>,
}

impl<'a> Stored<'a> {
    /// Reads either form.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let (head, rows) = split(bytes)?;
        let rows = match head.syncline {
            PACKED => packed_rows(rows)?,
            _ => lines(rows).map(EncodedRow::Json).collect(),
        };
        Ok(Self { head: Cow::Owned(head), rows })
    }

    /// The result's own rows.
    fn own_rows(&self) -> &[EncodedRow<'a>] {
        let children = self.head.related.iter().fold(0_usize, |sum, run| sum.saturating_add(run.rows));
        &self.rows[..self.rows.len().saturating_sub(children)]
    }

    /// The result's own rows, or the children of one of the query's relations.
    pub(crate) fn rows_of(&self, relation: Option<usize>) -> &[EncodedRow<'a>] {
        relation.map_or_else(|| self.own_rows(), |relation| self.children(relation))
    }

    /// The children of one of the query's relations.
    fn children(&self, relation: usize) -> &[EncodedRow<'a>] {
        let mut rest = &self.rows[self.own_rows().len()..];
        let mut found: &[_] = &[];
        for run in &self.head.related {
            let (these, others) = rest.split_at(run.rows.min(rest.len()));
            if run.relation == relation {
                found = these;
            }
            rest = others;
        }
        found
    }

    /// The names of the fields of packed rows: of the result's own, or of a relation's.
    pub(crate) fn fields(&self, relation: Option<usize>) -> &[Box<str>] {
        let place = relation.map_or(0, |relation| relation + 1);
        self.head.fields.get(place).map(Vec::as_slice).unwrap_or_default()
    }

    /// The same as text; rows that cannot be read at all are left out, and it is not complete then.
    fn into_text(self) -> Export {
        let mut rows = Vec::new();
        let mut head = Head { syncline: TEXT, fields: Vec::new(), ..self.head.clone().into_owned() };
        let mut write = |these: &[EncodedRow<'_>], fields: &[Box<str>]| {
            let read = these.iter().filter_map(|row| row.decode::<Map<String, Value>>(fields).ok());
            // a map with text keys can always be written to memory
            let texts = read.filter_map(|row| serde_json::to_vec(&row).ok());
            texts.map(|text| rows.extend(text.into_iter().chain([b'\n']))).count()
        };
        let own = self.own_rows();
        let mut complete = write(own, self.fields(None)) == own.len();
        for run in &mut head.related {
            let children = self.children(run.relation);
            run.rows = write(children, self.fields(Some(run.relation)));
            complete &= run.rows == children.len();
        }
        head.complete &= complete;
        Export::new(head, &rows)
    }
}

impl Export {
    /// Puts one together; every row of `rows` ends with a line break.
    pub(crate) fn new(head: Head, rows: &[u8]) -> Self {
        let mut bytes = head.write();
        let rows_at = bytes.len();
        bytes.extend_from_slice(rows);
        Self { head, bytes, rows_at }
    }

    /// Reads what [`as_bytes`](Self::as_bytes) gave, or what is in storage. The rows are left as they are: those that
    /// cannot be read any more are left out when they are taken up.
    ///
    /// # Errors
    /// `bad_frame` when it is not of this form, or of another version of it.
    pub fn decode(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let bytes = bytes.into();
        let (head, rows) = split(&bytes)?;
        if head.syncline == PACKED {
            return Ok(Stored::read(&bytes)?.into_text());
        }
        let rows_at = bytes.len() - rows.len();
        Ok(Self { head, bytes, rows_at })
    }

    /// All of it, to be kept or sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All of it, to be kept or sent.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What was asked.
    pub fn query(&self) -> &QuerySpec {
        &self.head.query
    }

    /// The rows are the result as of then; `None` for what a contrail service sent.
    pub fn cursor(&self) -> Option<Cursor> {
        self.head.cursor
    }

    /// Whether these are all rows of the result. Else they are some, the first ones of its order.
    pub fn is_complete(&self) -> bool {
        self.head.complete
    }

    /// The rows, each as its JSON, in the query's order; without the children that it includes.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.lines().take(self.own_rows())
    }

    fn own_rows(&self) -> usize {
        let children = self.head.related.iter().fold(0_usize, |sum, run| sum.saturating_add(run.rows));
        // counted only where there is something to take away
        if children == 0 { usize::MAX } else { self.lines().count().saturating_sub(children) }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        lines(self.bytes.get(self.rows_at..).unwrap_or_default())
    }

    /// Taken apart.
    pub(crate) fn stored(&self) -> Stored<'_> {
        Stored { head: Cow::Borrowed(&self.head), rows: self.lines().map(EncodedRow::Json).collect() }
    }
}

fn split(bytes: &[u8]) -> Result<(Head, &[u8]), Error> {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let not_ours = |error: &dyn std::fmt::Display| {
        Error::new(code::BAD_FRAME, format!("not the rows of a query: {error}"))
    };
    let head: Head = serde_json::from_slice(&bytes[..end]).map_err(|error| not_ours(&error))?;
    if ![TEXT, PACKED].contains(&head.syncline) {
        return Err(not_ours(&"of another version"));
    }
    Ok((head, bytes.get(end + 1..).unwrap_or_default()))
}

fn lines(rows: &[u8]) -> impl Iterator<Item = &[u8]> {
    rows.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// As one text, for a page that a server has rendered, say.
impl Serialize for Export {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.bytes).map_err(ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Export {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
