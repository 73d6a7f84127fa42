//! How deep JSON from outside may be nested, and JSON that hides in its texts.
//!
//! Where `serde_json` reads any value at all it takes an object whose first name is [`HIDING`] for a text of JSON to be
//! read in its place, on the same stack and with nothing counted. By that name a few MB could be nested as deep as they like.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2, memchr2_iter};

use crate::error::{Error, code};

/// How deep the JSON of a frame from a client may be nested.
pub const MAX_DEPTH: usize = 32;

/// What `serde_json` calls JSON in a text.
const HIDING: &str = "$serde_json::private::RawValue";

/// Refuses JSON that makes a frame nested deeper than [`MAX_DEPTH`], whatever else it is, when it stands `outer` levels
/// deep in it. JSON that would be nested deeper than it looks is refused too.
///
/// # Errors
/// `frame_too_large`.
pub fn check_depth(json: &[u8], outer: usize) -> Result<(), Error> {
    let too_deep = |message: String| Err(Error::new(code::FRAME_TOO_LARGE, message));
    let (mut depth, mut rest) = (outer, json);
    while let Some((&byte, behind)) = rest.split_first() {
        match byte {
            b'"' => {
                let after = behind_text(behind);
                if hides(&rest[..rest.len() - after.len()], after) {
                    return too_deep("a frame has no JSON in texts".to_owned());
                }
                rest = after;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return too_deep(format!("a frame is nested at most {MAX_DEPTH} deep"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        rest = behind;
    }
    Ok(())
}

/// Whether there is JSON in a text where it would be read as such.
pub(crate) fn hides_json(json: &[u8]) -> bool {
    // nearly no JSON does, and most of it can tell without a look at each text
    let could = memchr2_iter(b'$', b'\\', json).any(|at| match json[at] {
        b'$' => json[at..].starts_with(HIDING.as_bytes()),
        _ => json.get(at + 1) == Some(&b'u'),
    });
    could && next_hiding(json, 0).is_some()
}

/// JSON of third parties in which nothing hides: the names that would hide something are empty ones.
pub(crate) fn with_nothing_hidden(json: &[u8]) -> Cow<'_, [u8]> {
    if !hides_json(json) {
        return Cow::Borrowed(json);
    }
    let (mut open, mut from) = (Vec::with_capacity(json.len()), 0);
    while let Some(name) = next_hiding(json, from) {
        open.extend_from_slice(&json[from..name.start]);
        open.extend_from_slice(b"\"\"");
        from = name.end;
    }
    open.extend_from_slice(&json[from..]);
    Cow::Owned(open)
}

/// Where the next name is that hides something, with its quotes.
fn next_hiding(json: &[u8], mut from: usize) -> Option<Range<usize>> {
    while let Some(to_text) = memchr(b'"', &json[from..]) {
        let start = from + to_text;
        let after = behind_text(&json[start + 1..]);
        from = json.len() - after.len();
        if hides(&json[start..from], after) {
            return Some(start..from);
        }
    }
    None
}

/// Whether this text, with its quotes, is a name that hides JSON, by what stands behind it.
fn hides(text: &[u8], behind: &[u8]) -> bool {
    matches!(text.get(1), Some(b'$' | b'\\'))
        && behind.trim_ascii_start().first() == Some(&b':')
        && serde_json::from_slice::<String>(text).is_ok_and(|name| name == HIDING)
}

/// What stands behind the end of the text that this begins in.
pub(crate) fn behind_text(mut json: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', json) {
        if json[at] == b'"' {
            return &json[at + 1..];
        }
        json = json.get(at + 2..).unwrap_or_default();
    }
    &[]
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::Value;

    use super::*;

    #[test]
    fn nesting_is_counted_outside_texts_only() {
        assert!(check_depth("[".repeat(32).as_bytes(), 0).is_ok());
        assert_eq!(check_depth("[".repeat(33).as_bytes(), 0).unwrap_err().code(), code::FRAME_TOO_LARGE);
        assert!(check_depth(format!("\"{}\\\"[\"", "[".repeat(99)).as_bytes(), 0).is_ok());
    }

    /// The name with every nth character escaped.
    fn escaped(every: usize) -> String {
        HIDING.char_indices().fold(String::new(), |mut name, (at, character)| {
            if at % every == 0 {
                write!(name, "\\u{:04x}", u32::from(character)).unwrap();
            } else {
                name.push(character);
            }
            name
        })
    }

    #[test]
    fn json_in_a_text_is_refused_however_its_name_is_written() {
        let last_only = HIDING.replace("Value", "Valu\\u0065");
        for name in [HIDING.to_owned(), escaped(100), escaped(1), escaped(3), last_only] {
            for blank in ["", " ", "\n\t\r "] {
                let json = format!("{{\"a\\\\\":[{{\"{name}\"{blank}:\"[1]\"}}]}}");
                let error = check_depth(json.as_bytes(), 0).unwrap_err();
                assert_eq!(error.code(), code::FRAME_TOO_LARGE, "{json}");
                assert!(hides_json(json.as_bytes()), "{json}");
                let read: Value = serde_json::from_slice(&with_nothing_hidden(json.as_bytes())).unwrap();
                assert_eq!(read, serde_json::json!({"a\\": [{"": "[1]"}]}));
            }
        }
    }

    #[test]
    fn texts_may_say_anything_where_they_are_no_names() {
        let names = [&HIDING[1..], "$serde_json::private::RawValues", "$", "\\u0024", "\\\\u0024serde_json"];
        let mut harmless: Vec<_> = names.iter().map(|name| format!("{{\"{name}\":\"[1]\"}}")).collect();
        harmless.push(format!("[\"{HIDING}\",\"{HIDING}\"]"));
        harmless.push(format!("{{\"text\":\"\\\"{HIDING}\\\":\"}}"));
        for json in harmless {
            assert!(serde_json::from_str::<Value>(&json).is_ok(), "{json}");
            assert!(check_depth(json.as_bytes(), 0).is_ok(), "{json}");
            assert!(matches!(with_nothing_hidden(json.as_bytes()), Cow::Borrowed(_)), "{json}");
        }
    }

    #[test]
    fn json_that_ends_anywhere_hides_nothing() {
        let whole = format!("{{\"{}\":\"[1]\"}}", escaped(2));
        for end in 0..whole.len() {
            let _ = check_depth(&whole.as_bytes()[..end], 0);
            with_nothing_hidden(&whole.as_bytes()[..end]);
        }
    }
}
