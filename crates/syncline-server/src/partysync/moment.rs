//! The time that a client says it has everything of: a number of milliseconds, or SQLite's text.

use std::ops::RangeInclusive;

use serde_json::Value;
use serde_json::value::RawValue;

/// From when on somebody wants to know what has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// They have nothing.
    Nothing,
    /// The newest that they have is from this time: so many ms since 1970, as exactly as it was said.
    Time(RangeInclusive<u64>),
}

impl From {
    /// `None` for what is no time. What is false to JavaScript is none either, and taken for `null`, as partysync does.
    pub(super) fn read(json: Option<&RawValue>) -> Option<Self> {
        let Some(json) = json else { return Some(Self::Nothing) };
        match serde_json::from_str(json.get()).ok()? {
            Value::Null | Value::Bool(false) => Some(Self::Nothing),
            Value::String(text) if text.is_empty() => Some(Self::Nothing),
            Value::String(text) => parse(&text).map(Self::Time),
            Value::Number(number) => match number.as_f64()? {
                0.0 => Some(Self::Nothing),
                // a time before 1970 is before everything; the cast saturates
                at => Some(Self::Time(at as u64..=at as u64)),
            },
            Value::Bool(true) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// `2026-11-20 08:57:48`, or with a `T`, a fraction, a `Z`; UTC.
fn parse(text: &str) -> Option<RangeInclusive<u64>> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T'])?;
    let [year, month, day] = numbers(date, '-')?;
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, part)| (time, Some(part)));
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !in_range {
        return None;
    }
    let seconds = ((days(year, month, day)? * 24 + hour) * 60 + minute) * 60 + second;
    let Some(fraction) = fraction else { return Some(seconds * 1_000..=seconds * 1_000 + 999) };
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(seconds * 1_000 + ms..=seconds * 1_000 + ms)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut next = || {
        let part = parts.next()?;
        (part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit())).then_some(part)?.parse().ok()
    };
    let numbers = [next()?, next()?, next()?];
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970-01-01, by the calendar: the year is taken to begin in March, so that its last day is the leap day.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    (year * 365 + year / 4 - year / 100 + year / 400 + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<From> {
        From::read(Some(&RawValue::from_string(json.into()).unwrap()))
    }

    #[test]
    fn what_is_false_is_nothing() {
        assert_eq!(From::read(None), Some(From::Nothing));
        for json in ["null", "0", "-0.0", "false", "\"\""] {
            assert_eq!(read(json), Some(From::Nothing), "{json}");
        }
    }

    #[test]
    fn a_time_is_a_number_or_a_text() {
        let exactly = |at| Some(From::Time(at..=at));
        assert_eq!(read("1795165079533"), exactly(1_795_165_079_533));
        assert_eq!(read("1795165079533.7"), exactly(1_795_165_079_533));
        assert_eq!(read("-5"), exactly(0));
        assert_eq!(read("1e300"), exactly(u64::MAX));
        let second = Some(From::Time(1_795_165_070_000..=1_795_165_070_999));
        assert_eq!(read(r#""2026-11-20 08:57:50""#), second);
        assert_eq!(read(r#""2026-11-20T08:57:50Z""#), second);
        assert_eq!(read(r#""2026-11-20T08:57:50.25Z""#), exactly(1_795_165_070_250));
        assert_eq!(read(r#""1970-01-01 00:00:00.000""#), exactly(0));
        assert_eq!(read(r#""2024-02-29 00:00:00.001""#), exactly(1_709_164_800_001));
        assert_eq!(read(r#""2000-03-01 00:00:00.0""#), exactly(951_868_800_000));
    }

    #[test]
    fn everything_else_is_no_time() {
        let texts = [
            "true",
            "[]",
            "{}",
            r#""yesterday""#,
            r#""2026-11-20""#,
            r#""2026-13-20 08:57:50""#,
            r#""1969-12-31 23:59:59""#,
            r#""2026-11-20 08:57""#,
            r#""2026-11-20 08:57:50.""#,
            r#""2026-11-20 08:57:50.٣""#,
            r#""2026-11-20 08:57:50+01:00""#,
            r#""99999999999999999999-11-20 08:57:50""#,
        ];
        for json in texts {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
