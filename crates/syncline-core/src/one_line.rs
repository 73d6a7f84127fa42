//! JSON as one line, as frames and streams have it.

use memchr::memchr2;
use serde::Serialize;
use serde_json::Error;
use serde_json::value::{RawValue, to_raw_value};

/// Writes a value without a line break. What is in it as JSON already has the blanks that somebody gave it, and so their
/// line breaks.
pub(crate) fn to_one_line(value: &impl Serialize) -> Result<Box<RawValue>, Error> {
    let json = to_raw_value(value)?;
    match memchr2(b'\n', b'\r', json.get().as_bytes()) {
        Some(_) => RawValue::from_string(without_blanks(json.get())),
        None => Ok(json),
    }
}

/// In a text of JSON there is no line break, but there are blanks that count.
fn without_blanks(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let counts = |character: &char| {
        if !in_text {
            in_text = *character == '"';
            return !matches!(character, ' ' | '\t' | '\n' | '\r');
        }
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_text = false,
            _ => {}
        }
        true
    };
    json.chars().filter(counts).collect()
}
