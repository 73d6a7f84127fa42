//! Where a page ends, so that the next one begins right behind it.
//!
//! contrail's cursor is the time of the last record, and what has the same time is lost at the edge of a page. Ours also
//! says which record was the last one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use syncline_core::query::{Filter, FilterOp};
use syncline_core::{Direction, Scalar};

use crate::watch_records::mapping::TimeUnit;

/// What lists are called that are ordered by time, as all are unless another `sort` is asked for.
pub(super) const TIME: &str = "time";

/// The longest cursor that is looked at: a key and a value of a field, and what is around them.
const MAX_BYTES: usize = 4 * 1024;

/// Times from here on are microseconds, and milliseconds below: the year 5138 in one, 1973 in the other.
const LEAST_MICROS: i64 = 100_000_000_000_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The value that the list is ordered by; in a cursor of contrail's the time.
    t: Scalar,
    /// What the list is ordered by.
    k: Box<str>,
    /// The key of the record. contrail's has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Box<str>>,
}

impl Cursor {
    /// The place of a record in a list.
    pub(super) fn at(sort: &str, value: Scalar, key: &str) -> Self {
        Self { t: value, k: sort.into(), r: Some(key.into()) }
    }

    /// Reads one for a list with this order; `None` for whatever it is else.
    pub(super) fn parse(text: &str, sort: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        if let Ok(time) = text.parse::<i64>() {
            return (sort == TIME).then(|| Self { t: Scalar::Int(time), k: TIME.into(), r: None });
        }
        let json = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        let cursor: Self = serde_json::from_slice(&json).ok()?;
        let is_time = matches!(cursor.t, Scalar::Int(_));
        (*cursor.k == *sort && (cursor.r.is_some() || (sort == TIME && is_time))).then_some(cursor)
    }

    pub(super) fn encode(&self) -> String {
        // texts and numbers can always be written as JSON
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// What is behind it in a list ordered by `field` and then by `key_field`, both in `direction`.
    pub(super) fn behind(
        &self,
        field: &str,
        unit: TimeUnit,
        key_field: &str,
        direction: Direction,
    ) -> Filter {
        let beyond = match direction {
            Direction::Asc => FilterOp::Gt,
            Direction::Desc => FilterOp::Lt,
        };
        let compare = |op, field: &str, value: Scalar| Filter::Compare(op, field.into(), value);
        let Some(key) = &self.r else {
            // a record that comes twice does no harm, one that is left out does
            let or_same = if direction == Direction::Asc { FilterOp::Ge } else { FilterOp::Le };
            return compare(or_same, field, Scalar::Int(self.time(unit)));
        };
        let same = compare(FilterOp::Eq, field, self.t.clone()).and(compare(
            beyond,
            key_field,
            Scalar::Text(key.clone()),
        ));
        // nothing is less or greater than no value, and no value stands before all others
        match (&self.t, direction) {
            (Scalar::Null, Direction::Desc) => same,
            (Scalar::Null, Direction::Asc) => compare(FilterOp::Ne, field, Scalar::Null).or(same),
            (value, Direction::Desc) => {
                compare(beyond, field, value.clone()).or(compare(FilterOp::Eq, field, Scalar::Null)).or(same)
            }
            (value, Direction::Asc) => compare(beyond, field, value.clone()).or(same),
        }
    }

    /// The time of a cursor that is one and nothing else, as rows count it.
    fn time(&self, unit: TimeUnit) -> i64 {
        let time = if let Scalar::Int(time) = self.t { time } else { 0 };
        let micros = if time.saturating_abs() < LEAST_MICROS { time.saturating_mul(1_000) } else { time };
        unit.of_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_which_record_was_the_last() {
        let cursor = Cursor::at(TIME, Scalar::Int(7), "m1");
        assert_eq!(Cursor::parse(&cursor.encode(), TIME), Some(cursor.clone()));
        assert_eq!(Cursor::parse(&cursor.encode(), "text"), None, "of another order");
    }

    #[test]
    fn contrails_cursors_are_understood_and_lose_nothing() {
        // {"t":1795165597272,"k":"time"}, and the time alone
        for text in ["eyJ0IjoxNzk1MTY1NTk3MjcyLCJrIjoidGltZSJ9", "1795165597272", "1795165597272000"] {
            let cursor = Cursor::parse(text, TIME).unwrap();
            let filter = cursor.behind("at", TimeUnit::Millis, "id", Direction::Desc);
            assert_eq!(serde_json::to_string(&filter).unwrap(), r#"{"le":["at",1795165597272]}"#);
        }
    }

    #[test]
    fn nonsense_is_no_cursor() {
        let long = URL_SAFE_NO_PAD.encode(format!(r#"{{"t":1,"k":"time","r":"{}"}}"#, "x".repeat(MAX_BYTES)));
        let no_time = URL_SAFE_NO_PAD.encode(r#"{"t":"x","k":"time"}"#);
        for text in ["", "x", "ä", "1.5", "99999999999999999999", "e30", &long, &no_time] {
            assert_eq!(Cursor::parse(text, TIME), None, "{text}");
        }
    }
}
