//! JSON from outside, read as the text that it is.

use serde::de::{DeserializeOwned, Error as _};
use serde_json::Error;

use crate::wire::hides_json;

/// Reads a value. That the bytes are text is checked at once, and not anew for every name and every text in them; and that
/// they are nested no deeper than they look.
pub(crate) fn read_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    if hides_json(json) {
        return Err(Error::custom("there is JSON in a text"));
    }
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        // says where it is not
        Err(_) => serde_json::from_slice(json),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn json_in_a_text_is_not_read_as_such() {
        assert!(read_json::<Value>(br#"{"a":{"$serde_json::private::RawValue":"[1]"}}"#).is_err());
        assert!(read_json::<Value>(br#"{"a":"$serde_json::private::RawValue"}"#).is_ok());
    }
}
