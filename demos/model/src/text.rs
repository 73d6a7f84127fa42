//! What people may write: the one place that says so, for to-dos and messages alike.

use serde::{Deserialize, Serialize};
use syncline_core::Error;

/// The longest text of a to-do or message, in characters.
pub const MAX_TEXT_CHARS: usize = 500;

/// Why something that a person wrote is not taken: a code for programs, a sentence for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Stable, in lower-case words joined by underscores.
    pub code: &'static str,
    /// To be shown as it is.
    pub message: String,
}

impl Invalid {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Why a text is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadText {
    /// It is nothing, or nothing but blanks.
    Empty,
    /// It is longer than [`MAX_TEXT_CHARS`].
    TooLong {
        /// How long it is, in characters.
        chars: usize,
    },
}

impl From<BadText> for Error {
    fn from(bad: BadText) -> Self {
        match bad {
            BadText::Empty => Self::new("text_empty", "There is no text."),
            BadText::TooLong { chars } => {
                let message = format!("The text has {chars} characters; {MAX_TEXT_CHARS} is the most.");
                Self::new("text_too_long", message)
            }
        }
    }
}

/// Takes a text of 1 to 500 characters that is more than blanks.
///
/// # Errors
/// That it is not.
pub fn check_text(text: &str) -> Result<(), BadText> {
    if text.trim().is_empty() {
        return Err(BadText::Empty);
    }
    match text.chars().count() {
        0..=MAX_TEXT_CHARS => Ok(()),
        chars => Err(BadText::TooLong { chars }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_1_to_500_characters() {
        assert!(check_text("x").is_ok());
        assert!(check_text(&"ä".repeat(500)).is_ok());
        assert_eq!(check_text(&"ä".repeat(501)), Err(BadText::TooLong { chars: 501 }));
    }

    #[test]
    fn blanks_are_no_text() {
        assert_eq!(check_text(""), Err(BadText::Empty));
        assert_eq!(check_text(" \n\t"), Err(BadText::Empty));
    }
}
