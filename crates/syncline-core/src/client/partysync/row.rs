//! One row as a partysync server has it: a list of the record's fields in their order, or the record itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::schema::CollectionDef;

/// A list ends with created_at, updated_at and deleted_at, and has a key before them.
const SHORTEST: usize = 4;
const TIMES: [&str; 3] = ["created_at", "updated_at", "deleted_at"];

/// A row, read as far as it takes to know what it is about.
pub(super) struct Row<'a> {
    pub(super) json: &'a RawValue,
    /// As far as it can be told.
    pub(super) key: Option<String>,
    /// The row is deleted: this is its last state.
    pub(super) is_gone: bool,
    /// When it became what it is.
    pub(super) moment: Option<Moment>,
    parts: Parts<'a>,
}

enum Parts<'a> {
    List(Vec<&'a RawValue>),
    Record(BTreeMap<Cow<'a, str>, &'a RawValue>),
    Neither,
}

impl<'a> Row<'a> {
    pub(super) fn read(json: &'a RawValue, def: &CollectionDef) -> Self {
        let parts = Parts::of(json);
        let key_place = def.fields.iter().position(|field| field.name == def.key_field);
        let key = match &parts {
            Parts::List(values) => key_place.and_then(|place| values.get(place).copied()),
            Parts::Record(fields) => key_place.and_then(|place| {
                fields.iter().find(|(name, _)| def.fields[place].is_called(name)).map(|(_, key)| *key)
            }),
            Parts::Neither => None,
        };
        let [_, updated, deleted] = parts.times();
        let deleted = deleted.filter(|deleted| deleted.get() != "null");
        Self {
            json,
            key: key.and_then(|key| serde_json::from_str(key.get()).ok()),
            is_gone: deleted.is_some(),
            moment: [updated, deleted].into_iter().flatten().filter_map(Moment::read).max(),
            parts,
        }
    }

    /// The row with its times in ms, when the server writes them as texts.
    pub(super) fn in_ms(&self) -> Option<Vec<u8>> {
        let times = self.parts.times();
        let ms = times.map(|time| time.filter(|time| time.get().starts_with('"')).and_then(Moment::read));
        if ms.iter().all(Option::is_none) {
            return None;
        }
        let ms = ms.map(|ms| ms.and_then(|ms| serde_json::value::to_raw_value(&ms.first).ok()));
        let better = |place: usize, json: &'a RawValue| -> &RawValue {
            ms.get(place).and_then(Option::as_deref).unwrap_or(json)
        };
        let json = match &self.parts {
            Parts::List(values) => {
                let start = values.len().checked_sub(TIMES.len())?;
                let values = values.iter().enumerate();
                let values = values.map(|(place, value)| match place.checked_sub(start) {
                    Some(time) => better(time, value),
                    None => value,
                });
                serde_json::to_vec(&values.collect::<Vec<_>>())
            }
            Parts::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| {
                    let time = TIMES.iter().position(|time| time == name);
                    (name, time.map_or(*value, |time| better(time, value)))
                });
                serde_json::to_vec(&fields.collect::<BTreeMap<_, _>>())
            }
            Parts::Neither => return None,
        };
        json.ok()
    }
}

impl<'a> Parts<'a> {
    fn of(json: &'a RawValue) -> Self {
        match json.get().as_bytes().first() {
            Some(b'[') => serde_json::from_str(json.get()).map_or(Self::Neither, Self::List),
            Some(b'{') => serde_json::from_str(json.get()).map_or(Self::Neither, Self::Record),
            _ => Self::Neither,
        }
    }

    /// Those of its parts that are times, in the order of [`TIMES`].
    fn times(&self) -> [Option<&'a RawValue>; 3] {
        match self {
            Self::List(values) if values.len() >= SHORTEST => {
                [3, 2, 1].map(|from_the_end| values.get(values.len() - from_the_end).copied())
            }
            Self::Record(fields) => TIMES.map(|name| fields.get(name).copied()),
            Self::List(_) | Self::Neither => [None; 3],
        }
    }
}

/// When something was, in ms since 1970: between the two. Texts say no more than the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    first: i64,
    last: i64,
}

impl Moment {
    /// Whether it was before the other one, without any doubt.
    pub(super) fn is_before(self, other: Self) -> bool {
        self.last < other.first
    }

    /// Ms as a number, or `2026-11-20 08:57:48`, which is UTC.
    fn read(json: &RawValue) -> Option<Self> {
        if let Ok(ms) = serde_json::from_str::<f64>(json.get()) {
            return Some(Self { first: ms as i64, last: ms as i64 });
        }
        let text: String = serde_json::from_str(json.get()).ok()?;
        Self::of_text(text.trim_end_matches('Z'))
    }

    fn of_text(text: &str) -> Option<Self> {
        let (date, time) = text.split_once([' ', 'T'])?;
        let (time, fraction) = match time.split_once('.') {
            Some((time, fraction)) => (time, Some(fraction)),
            None => (time, None),
        };
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time, ':')?;
        let in_range = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !in_range {
            return None;
        }
        let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        let (first, last) = match fraction {
            Some(fraction) => {
                let ms = ms_of(fraction)?;
                (ms, ms)
            }
            None => (0, 999),
        };
        Some(Self { first: seconds * 1_000 + first, last: seconds * 1_000 + last })
    }
}

/// Three numbers, as in a date or a time.
fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number)
    };
    let mut parts = text.split(between).map(number);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn ms_of(fraction: &str) -> Option<i64> {
    let digits: String = fraction.chars().chain("00".chars()).take(3).collect();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    digits.parse().ok()
}

/// Days of the civil calendar: Howard Hinnant's `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<(i64, i64)> {
        Moment::of_text(text).map(|moment| (moment.first, moment.last))
    }

    #[test]
    fn texts_are_utc_and_say_the_second() {
        // of a recording in which both stand
        assert_eq!(ms("2026-11-20 08:57:48"), Some((1_795_165_068_000, 1_795_165_068_999)));
        assert_eq!(ms("1970-01-01 00:00:00"), Some((0, 999)));
        assert_eq!(ms("2024-02-29T23:59:59.5"), Some((1_709_251_199_500, 1_709_251_199_500)));
        assert_eq!(ms("2000-03-01 00:00:00.123456"), Some((951_868_800_123, 951_868_800_123)));
        for text in
            ["", "yesterday", "2026-11-20", "2026-13-20 08:57:48", "2026-11-20 24:00:00", "2026-11-20 08:57"]
        {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn a_second_is_not_before_a_moment_in_it() {
        let moment = |json: &str| Moment::read(&RawValue::from_string(json.into()).unwrap()).unwrap();
        let (text, within) = (moment(r#""2026-11-20 08:57:48""#), moment("1795165068514"));
        assert!(!text.is_before(within) && !within.is_before(text) && !text.is_before(text));
        assert!(text.is_before(moment(r#""2026-11-20 08:57:49""#)));
        assert!(within.is_before(moment("1795165068515")));
    }
}
