//! What people may write: the one place that says so, for to-dos and messages alike.

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

/// Takes a text of 1 to 500 characters that is more than blanks.
///
/// # Errors
/// `text_empty`, `text_too_long`.
pub fn check_text(text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new("text_empty", "There is no text."));
    }
    match text.chars().count() {
        0..=MAX_TEXT_CHARS => Ok(()),
        count => {
            let message = format!("The text has {count} characters; {MAX_TEXT_CHARS} is the most.");
            Err(Invalid::new("text_too_long", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_1_to_500_characters() {
        assert!(check_text("x").is_ok());
        assert!(check_text(&"ä".repeat(500)).is_ok());
        assert_eq!(check_text(&"ä".repeat(501)).unwrap_err().code, "text_too_long");
    }

    #[test]
    fn blanks_are_no_text() {
        assert_eq!(check_text("").unwrap_err().code, "text_empty");
        assert_eq!(check_text(" \n\t").unwrap_err().code, "text_empty");
    }
}
