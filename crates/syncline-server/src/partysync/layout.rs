//! Rows as partysync has them: arrays, `[…fields, created_at, updated_at, deleted_at|null]`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use syncline_core::record::FieldDef;

const CREATED: &str = "created_at";
const UPDATED: &str = "updated_at";
const DELETED: &str = "deleted_at";

/// When a row came to be and when it was changed last, as far as the server knows; Unix ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) created: u64,
    pub(super) updated: u64,
}

impl Times {
    pub(super) fn at(at: u64) -> Self {
        Self { created: at, updated: at }
    }
}

/// The places of a collection's fields.
#[derive(Debug)]
pub(super) struct Layout {
    /// Those in front of the times.
    fields: Vec<&'static str>,
    key: &'static str,
}

/// A row that was read, to be written as an array.
pub(super) struct Fields<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// `None` for what is no row; none of those come from the engine.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().map(Self)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get())
    }

    /// Its own mark of deletion is set.
    pub(super) fn is_deleted(&self) -> bool {
        self.get(DELETED).is_some_and(|value| value != "null")
    }
}

impl Layout {
    pub(super) fn new(fields: &'static [FieldDef], key: &'static str) -> Self {
        let names = fields.iter().map(|field| field.name);
        Self { fields: names.filter(|name| ![CREATED, UPDATED, DELETED].contains(name)).collect(), key }
    }

    /// The key of a row.
    pub(super) fn key<'a>(&self, row: &Fields<'a>) -> Option<Cow<'a, str>> {
        let text = row.get(self.key)?;
        // most keys stand in their quotes as they are
        match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
            _ => serde_json::from_str(text).ok().map(Cow::Owned),
        }
    }

    /// A row that is there.
    pub(super) fn row(&self, row: &Fields<'_>, times: Times) -> String {
        let deleted = row.get(DELETED).unwrap_or("null");
        self.array(|name| row.get(name), times, deleted)
    }

    /// A row that is not there any more, with what it was when it was seen last, if that is still known.
    pub(super) fn tombstone(
        &self,
        key: &str,
        last: Option<&Fields<'_>>,
        times: Times,
        deleted_at: u64,
    ) -> String {
        let deleted_at = deleted_at.to_string();
        if let Some(last) = last {
            return self.array(|name| last.get(name), times, &deleted_at);
        }
        let key = serde_json::Value::from(key).to_string();
        self.array(|name| (name == self.key).then_some(key.as_str()), times, &deleted_at)
    }

    fn array<'a>(&self, get: impl Fn(&str) -> Option<&'a str>, times: Times, deleted: &str) -> String {
        let mut array = String::from("[");
        for name in &self.fields {
            array.push_str(get(name).unwrap_or("null"));
            array.push(',');
        }
        for (name, at) in [(CREATED, times.created), (UPDATED, times.updated)] {
            match get(name) {
                Some(own) => array.push_str(own),
                None => array.push_str(&at.to_string()),
            }
            array.push(',');
        }
        array.push_str(deleted);
        array.push(']');
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn field(name: &'static str) -> FieldDef {
        FieldDef { name, queryable: true, aliases: &[] }
    }

    const TIMES: Times = Times { created: 10, updated: 20 };

    #[test]
    fn the_server_supplies_the_times_that_a_record_does_not_have() {
        const FIELDS: &[FieldDef] = &[field("id"), field("text"), field("tags")];
        let layout = Layout::new(FIELDS, "id");
        let row = Fields::read(br#"{"text":"gr\u00f6\u00dfe \"x\"","id":"t1"}"#).unwrap();
        assert_eq!(layout.key(&row).unwrap(), "t1");
        assert_eq!(layout.row(&row, TIMES), r#"["t1","gr\u00f6\u00dfe \"x\"",null,10,20,null]"#);
        assert_eq!(
            layout.tombstone("t1", Some(&row), TIMES, 30),
            r#"["t1","gr\u00f6\u00dfe \"x\"",null,10,20,30]"#
        );
        assert_eq!(layout.tombstone("a\"b", None, TIMES, 30), r#"["a\"b",null,null,10,20,30]"#);
    }

    #[test]
    fn the_times_that_a_record_has_take_their_places_wherever_they_stand() {
        const FIELDS: &[FieldDef] =
            &[field("deleted_at"), field("created_at"), field("id"), field("updated_at"), field("done")];
        let layout = Layout::new(FIELDS, "id");
        let text = br#"{"deleted_at":null,"created_at":"now","id":"t\u0031","updated_at":7,"done":1}"#;
        let row = Fields::read(text).unwrap();
        assert!(!row.is_deleted());
        assert_eq!(layout.key(&row).unwrap(), "t1");
        assert_eq!(layout.row(&row, TIMES), r#"["t\u0031",1,"now",7,null]"#);
        assert_eq!(layout.tombstone("t1", Some(&row), TIMES, 30), r#"["t\u0031",1,"now",7,30]"#);
        let row = Fields::read(br#"{"deleted_at":9,"created_at":1,"id":"t1","updated_at":7,"done":1}"#);
        assert!(row.as_ref().unwrap().is_deleted());
        assert_eq!(layout.row(&row.unwrap(), TIMES), r#"["t1",1,1,7,9]"#);
    }
}
