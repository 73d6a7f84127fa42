//! The one public error, with codes that are stable on the wire.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What went wrong, in a form that crosses the wire unchanged: a stable [code](Error::code), a sentence for a
/// person, and, where it helps, the field or row it is about.
///
/// Codes are lower-case words joined by underscores. The ones Syncline itself uses are the constants of
/// [`code`]; an application's own refusals carry codes of its choice.
///
/// ```
/// use syncline_core::{Error, code};
///
/// let error = Error::new(code::UNKNOWN_FIELD, "there is no such field").with_field("colour");
/// assert!(error.is_bad_input());
/// assert_eq!(error.to_string(), "there is no such field (unknown_field: colour)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Box<Value>>,
}

/// The codes that Syncline itself uses.
pub mod code {
    /// A frame that is not what the protocol says. HTTP 400.
    pub const BAD_FRAME: &str = "bad_frame";
    /// A frame over the size limit, or nested too deep. HTTP 413.
    pub const FRAME_TOO_LARGE: &str = "frame_too_large";
    /// The two ends have no protocol version in common. HTTP 400.
    pub const UNSUPPORTED_PROTOCOL: &str = "unsupported_protocol";
    /// Credentials are missing, wrong or expired. HTTP 401.
    pub const UNAUTHENTICATED: &str = "unauthenticated";
    /// The person may not do this. HTTP 403.
    pub const FORBIDDEN: &str = "forbidden";
    /// A page of another origin may not connect. HTTP 403.
    pub const FORBIDDEN_ORIGIN: &str = "forbidden_origin";
    /// The space does not exist. HTTP 404.
    pub const UNKNOWN_SPACE: &str = "unknown_space";
    /// The collection does not exist. HTTP 404.
    pub const UNKNOWN_COLLECTION: &str = "unknown_collection";
    /// The link that a POST names is not open, or not any more. HTTP 404.
    pub const UNKNOWN_LINK: &str = "unknown_link";
    /// A query names a field that the collection does not have. HTTP 400.
    pub const UNKNOWN_FIELD: &str = "unknown_field";
    /// A query that cannot be answered as it stands. HTTP 400.
    pub const BAD_QUERY: &str = "bad_query";
    /// A row that is not of its collection's type.
    pub const BAD_ROW: &str = "bad_row";
    /// A write of a kind nobody handles, or with a payload its kind does not have.
    pub const BAD_WRITE: &str = "bad_write";
    /// There is no such channel. HTTP 404.
    pub const UNKNOWN_CHANNEL: &str = "unknown_channel";
    /// An action that its channel does not have, or with a payload that it does not take. HTTP 400.
    pub const BAD_ACTION: &str = "bad_action";
    /// The server's handler for an action failed: a mistake in the application.
    pub const ACTION_FAILED: &str = "action_failed";
    /// The action was sent and the answer was lost; it may have been done. Said where the server is not one of Syncline's
    /// own, which would know.
    pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";
    /// These rows are changed by the actions of a channel, and not by writing them. HTTP 403.
    pub const ACTIONS_ONLY: &str = "actions_only";
    /// The action was done, and what it gave back is not known any more.
    pub const OUTPUT_LOST: &str = "output_lost";
    /// A job that a handler left cannot be kept.
    pub const BAD_JOB: &str = "bad_job";
    /// It waits until the person who made it is back.
    pub const PARKED: &str = "parked";
    /// The row that a write changes is not there.
    pub const UNKNOWN_ROW: &str = "unknown_row";
    /// The row that a write puts or deletes is stored in a form that the server cannot read; it stays as it is.
    pub const UNREADABLE_ROW: &str = "unreadable_row";
    /// A key over 256 bytes, or an empty one.
    pub const BAD_KEY: &str = "bad_key";
    /// A row over 1 MB.
    pub const VALUE_TOO_LARGE: &str = "value_too_large";
    /// A write whose id skips one; the server has not seen the writes before it.
    pub const WRITE_GAP: &str = "write_gap";
    /// A client id that belongs to another identity.
    pub const FOREIGN_CLIENT: &str = "foreign_client";
    /// More of something than the limits in `welcome` allow.
    pub const TOO_MANY: &str = "too_many";
    /// The server could not store it; nothing was changed. HTTP 503.
    pub const STORAGE: &str = "storage";
    /// A client's own storage cannot be opened: there is none, it is forbidden, or a newer version of the application uses
    /// it. What it knows does not outlive this visit.
    pub const STORAGE_UNAVAILABLE: &str = "storage_unavailable";
    /// A client's own storage is kept from being opened, by another tab that does not answer.
    pub const STORAGE_BLOCKED: &str = "storage_blocked";
    /// There is no room in a client's own storage, whatever was let go.
    pub const STORAGE_FULL: &str = "storage_full";
    /// A client's own storage was there, and fails or does not answer.
    pub const STORAGE_LOST: &str = "storage_lost";
    /// Storage has another version of a space than a commit was made for: somebody else has written to it. Said by
    /// storage; a client is told `storage`.
    pub const CONFLICT: &str = "conflict";
    /// No answer in time.
    pub const TIMEOUT: &str = "timeout";
    /// The connection could not be made or was lost.
    pub const CONNECTION: &str = "connection";
    /// The client, space or session was closed before this was done.
    pub const CLOSED: &str = "closed";
}

impl Error {
    /// An error with a stable `code` and a sentence for a person.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), message: message.into(), field: None, data: None }
    }

    /// Names the field, parameter, collection or key the error is about.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds what a program can make more of than of a sentence: an application's own typed error, say.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    /// Names what the error is about, unless it says so itself.
    #[must_use]
    pub(crate) fn about(mut self, name: impl FnOnce() -> String) -> Self {
        self.field.get_or_insert_with(name);
        self
    }

    /// The error with its texts cut to a length that can be kept and sent, 512 bytes each: what came from outside may be
    /// quoted in them. [Data](Self::data) of more than 16 KiB goes.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        shorten(&mut self.code);
        shorten(&mut self.message);
        if let Some(field) = &mut self.field {
            field.truncate(boundary(field));
        }
        self.data = self.data.filter(|data| data.to_string().len() <= MAX_DATA_BYTES);
        self
    }

    /// The error without what takes room.
    pub(crate) fn code_only(&self) -> Self {
        Self::new(self.code.clone(), "what was said of it is not kept any more")
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        let data = self.data.as_ref().map_or(0, |data| data.to_string().len());
        self.code.len() + self.message.len() + self.field.as_ref().map_or(0, String::len) + data
    }

    /// The stable code: one of [`code`], or an application's own.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for a person, without the code.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The field, parameter, collection or key it is about.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// What a program can make more of than of the sentence.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_deref()
    }

    /// The request itself was wrong; sending it again cannot help.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self.code(),
            code::BAD_FRAME
                | code::FRAME_TOO_LARGE
                | code::UNSUPPORTED_PROTOCOL
                | code::UNKNOWN_SPACE
                | code::UNKNOWN_COLLECTION
                | code::UNKNOWN_FIELD
                | code::BAD_QUERY
                | code::BAD_ROW
                | code::BAD_WRITE
                | code::UNKNOWN_CHANNEL
                | code::BAD_ACTION
                | code::BAD_KEY
                | code::VALUE_TOO_LARGE
        )
    }

    /// Credentials are missing or no longer good.
    pub fn is_unauthenticated(&self) -> bool {
        self.code() == code::UNAUTHENTICATED
    }

    /// The person has no right to this.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.code(), code::FORBIDDEN | code::FORBIDDEN_ORIGIN | code::FOREIGN_CLIENT)
    }

    /// The line or the server failed for now; the client keeps trying by itself.
    pub fn is_temporary(&self) -> bool {
        matches!(self.code(), code::STORAGE | code::TIMEOUT | code::CONNECTION | code::TOO_MANY)
    }
}

/// The longest text of an error that is kept.
const MAX_TEXT_BYTES: usize = 512;
/// Data of an error that has more bytes than this is not kept.
const MAX_DATA_BYTES: usize = 16 * 1024;

fn shorten(text: &mut Cow<'static, str>) {
    if text.len() > MAX_TEXT_BYTES {
        *text = Cow::Owned(format!("{}…", &text[..boundary(text)]));
    }
}

// where to cut, so that no character is cut in two
fn boundary(text: &str) -> usize {
    (0..=MAX_TEXT_BYTES.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{} ({}: {field})", self.message, self.code),
            None => write!(f, "{} ({})", self.message, self.code),
        }
    }
}

impl std::error::Error for Error {}
