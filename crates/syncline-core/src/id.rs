//! Names of things: keys, spaces, clients, writes, versions, and the cursor made of them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, code};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text).map(Self)
            }
        }

        impl $name {
            /// Wraps a text, whatever it is; it is checked where it comes in from outside.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self(text.as_str().into())
            }
        }

        impl From<&$name> for $name {
            fn from(id: &$name) -> Self {
                id.clone()
            }
        }
    };
}

/// Reads a text into the memory it stays in; serde's own way makes a `String` first.
struct Text;

impl serde::de::Visitor<'_> for Text {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.into())
    }
}

text_id! {
    /// The key of a row within its collection. Opaque: 1 to 256 bytes of text, compared byte by byte.
    Key
}
text_id! {
    /// The name of a space: 1 to 128 of `A–Z a–z 0–9 . _ : / - @ ~`.
    SpaceId
}
text_id! {
    /// The author of a sequence of writes, usually one browser tab. Random, 8 to 64 of `A–Z a–z 0–9 _ -`.
    ClientId
}
text_id! {
    /// The id of a person, as the application's `authenticate` gives it.
    UserId
}

impl Key {
    /// The key, when it is 1 to 256 bytes long.
    pub fn checked(text: &str) -> Result<Self, Error> {
        check_key(text)?;
        Ok(Self::from(text))
    }
}

/// Refuses a key that is empty or longer than [`MAX_KEY_BYTES`].
pub fn check_key(text: &str) -> Result<(), Error> {
    match text.len() {
        1..=MAX_KEY_BYTES => Ok(()),
        0 => Err(Error::new(code::BAD_KEY, "a key must not be empty")),
        _ => Err(Error::new(code::BAD_KEY, "a key is at most 256 bytes long")),
    }
}

/// Refuses what no space is called.
pub(crate) fn check_space(text: &str) -> Result<(), Error> {
    let permitted = |b: u8| b.is_ascii_alphanumeric() || b"._:/-@~".contains(&b);
    if (1..=128).contains(&text.len()) && text.bytes().all(permitted) {
        Ok(())
    } else {
        Err(Error::new(code::UNKNOWN_SPACE, "there is no such space"))
    }
}

impl SpaceId {
    /// The id, when it is 1 to 128 of the permitted characters.
    pub fn checked(text: &str) -> Result<Self, Error> {
        check_space(text)?;
        Ok(Self::from(text))
    }
}

impl ClientId {
    /// The id, when it is 8 to 64 of the permitted characters.
    pub fn checked(text: &str) -> Result<Self, Error> {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (8..=64).contains(&text.len()) && text.bytes().all(permitted) {
            Ok(Self::from(text))
        } else {
            Err(Error::new(code::BAD_FRAME, "a client id is 8 to 64 letters, digits, '_' or '-'")
                .with_field("client"))
        }
    }
}

/// The number of a write of one client in one space: 1, 2, 3, … without gaps.
pub type WriteId = u64;

/// The number of the last applied write of a space: gap-free, one more for each write.
pub type Version = u64;

/// The random id of a space's history. A restored or wiped database has another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

// as text: a JSON number of 64 bits does not survive JavaScript
impl Serialize for Incarnation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Incarnation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("an incarnation is 16 hex digits"))
    }
}

/// Where a client stands in a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The history that the version counts in.
    pub incarnation: Incarnation,
    /// The application's schema version that the rows were written for. Not said when it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub schema: u32,
    /// Reserved, and 0: what changed rights mean is found by comparing with the rows that the client holds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u64,
    /// The last version the client holds.
    pub version: Version,
}

/// For numbers that are not said when they are 0.
pub(crate) fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}
