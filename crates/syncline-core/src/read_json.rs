//! JSON from outside, read as the text that it is.

use serde::de::DeserializeOwned;
use serde_json::Error;

/// Reads a value. That the bytes are text is checked at once, and not anew for every name and every text in them.
pub(crate) fn read_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        // says where it is not
        Err(_) => serde_json::from_slice(json),
    }
}
