//! What the tool says: rows and changes to whoever reads it, everything else on the standard error.

use std::io::{self, Write as _};
use std::time::Duration;

use serde_json::{Map, Value, json};
use syncline_core::{Error, Version};

use crate::End;
use crate::rows::Row;

/// The standard output, line by line.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A row that is there.
    pub(crate) fn row(&mut self, key: &str, row: &Row) -> Result<(), End> {
        match self.json {
            true => self.object(json!({ "event": "row", "key": key, "row": row })),
            false => self.line(&format!("  {}  {}", clean(key), fields(row))),
        }
    }

    /// What there is has been shown; from here on it is what happens.
    pub(crate) fn live(&mut self, rows: usize, version: Version) -> Result<(), End> {
        match self.json {
            true => self.object(json!({ "event": "live", "rows": rows, "version": version })),
            false => self.line(&format!("-- live at version {version}, rows: {rows}")),
        }
    }

    /// A row that came, or another one at its key.
    pub(crate) fn put(
        &mut self,
        key: &str,
        before: Option<&Row>,
        row: &Row,
        version: Version,
    ) -> Result<(), End> {
        if self.json {
            let event = if before.is_some() { "update" } else { "insert" };
            return self.object(json!({ "event": event, "key": key, "row": row, "version": version }));
        }
        match before {
            None => self.line(&format!("+ {}  {}", clean(key), fields(row))),
            Some(before) => self.line(&format!("~ {}  {}", clean(key), fields(&difference(before, row)))),
        }
    }

    /// A row that went.
    pub(crate) fn delete(&mut self, key: &str, version: Version) -> Result<(), End> {
        match self.json {
            true => self.object(json!({ "event": "delete", "key": key, "version": version })),
            false => self.line(&format!("- {}", clean(key))),
        }
    }

    /// The server has done a write.
    pub(crate) fn applied(&mut self, version: Version, output: Option<&Value>) -> Result<(), End> {
        if self.json {
            let mut said = json!({ "event": "applied", "version": version });
            if let Some(output) = output {
                said["output"] = output.clone();
            }
            return self.object(said);
        }
        match output {
            Some(output) => self.line(&format!("done at version {version}: {}", clean(&output.to_string()))),
            None => self.line(&format!("done at version {version}")),
        }
    }

    /// Some lines as they are.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), End> {
        write(text)
    }

    fn object(&mut self, object: Value) -> Result<(), End> {
        write(&format!("{object}\n"))
    }

    fn line(&mut self, line: &str) -> Result<(), End> {
        write(&format!("{line}\n"))
    }
}

/// Whole lines, at once, so that whoever reads them live has them. Where nobody reads on there is nothing more to do.
fn write(lines: &str) -> Result<(), End> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()).map_err(|_| End::Reader)
}

/// Why the tool ends.
pub(crate) fn fail(error: &Error, json: bool) {
    complain(json, json!({ "error": error }), &error.to_string());
}

/// Why the tool ends, where a person needs no code.
pub(crate) fn end(code: &'static str, why: &str, json: bool) {
    complain(json, json!({ "error": Error::new(code, why.to_owned()) }), why);
}

/// What failed for now, and how long until it is tried again.
pub(crate) fn retry(error: &Error, wait: Duration, json: bool) {
    let object =
        json!({ "retry": { "error": error, "in_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) } });
    complain(json, object, &format!("{error}; trying again in {:.1} s", wait.as_secs_f64()));
}

fn complain(json: bool, object: Value, text: &str) {
    let line = if json { object.to_string() } else { format!("syncline: {}", clean(text)) };
    // there is nobody else to tell
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The fields of a row, `name=value`.
fn fields(row: &Row) -> String {
    let fields = row.iter().map(|(name, value)| format!("{}={}", clean(name), clean(&value.to_string())));
    fields.collect::<Vec<_>>().join(" ")
}

/// The fields that are others than they were.
fn difference(before: &Row, after: &Row) -> Row {
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    let gone =
        before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    changed.map(|(name, value)| (name.clone(), value.clone())).chain(gone).collect::<Map<_, _>>()
}

/// What a terminal would take for a command is written out: rows come from whoever may write them.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_bidirectional(character) {
            clean.extend(character.escape_unicode());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// Turns the direction in which a line is read.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_cannot_command_the_terminal() {
        assert_eq!(clean("größe\u{1b}[2J\u{9b}2J\n\u{202e}x"), "größe\\u{1b}[2J\\u{9b}2J\\u{a}\\u{202e}x");
    }

    #[test]
    fn a_difference_is_what_changed_and_what_went() {
        let row = |value: Value| value.as_object().unwrap().clone();
        let (before, after) = (row(json!({ "a": 1, "b": 2, "c": 3 })), row(json!({ "a": 1, "b": 4 })));
        assert_eq!(fields(&difference(&before, &after)), "b=4 c=null");
    }
}
