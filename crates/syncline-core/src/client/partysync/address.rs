//! Where a room's socket is.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::error::{Error, code};
use crate::id::{SpaceId, check_space};
use crate::rng::Rng;

/// Of what a space's name may have, this alone would end the segment.
const NOT_IN_A_SEGMENT: &AsciiSet = &CONTROLS.add(b'/');

/// Where one socket of a room is, below the address of the server and its party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    room: SpaceId,
    socket: String,
}

impl Address {
    /// A socket of its own: two of the same name miss what the other one does.
    ///
    /// # Errors
    /// `unknown_space` for what cannot be the name of a room.
    pub(super) fn new(room: &SpaceId, rng: &mut Rng) -> Result<Self, Error> {
        check_room(room)?;
        Ok(Self { room: room.clone(), socket: uuid(rng) })
    }

    /// The room, which is a space.
    pub fn room(&self) -> &SpaceId {
        &self.room
    }

    /// The room as the last segment of a path.
    pub fn segment(&self) -> Cow<'_, str> {
        utf8_percent_encode(self.room.as_str(), NOT_IN_A_SEGMENT).into()
    }

    /// What stands behind the `?`, after whatever the server's address has there.
    pub fn params(&self) -> String {
        format!("_pk={}", self.socket)
    }
}

/// A room is a segment of a path.
pub(super) fn check_room(room: &SpaceId) -> Result<(), Error> {
    check_space(room.as_str())?;
    if matches!(room.as_str(), "." | "..") {
        return Err(Error::new(code::UNKNOWN_SPACE, "a room cannot be called so").with_field(room.as_str()));
    }
    Ok(())
}

/// Version 4, as browsers make them.
fn uuid(rng: &mut Rng) -> String {
    let (high, low) = (rng.next_u64(), rng.next_u64());
    let version = (high & 0xfff) | 0x4000;
    let variant = (low >> 48) & 0x3fff | 0x8000;
    let (first, second) = (high >> 32, (high >> 16) & 0xffff);
    format!("{first:08x}-{second:04x}-{version:04x}-{variant:04x}-{:012x}", low & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_one_segment() {
        let mut rng = Rng::new(1);
        let segment = |room: &str, rng: &mut Rng| {
            Address::new(&room.into(), rng).map(|address| address.segment().into_owned())
        };
        assert_eq!(segment("list-42", &mut rng).unwrap(), "list-42");
        assert_eq!(segment("a/b:c@d~e", &mut rng).unwrap(), "a%2Fb:c@d~e");
        for room in ["", ".", "..", "größe", "a?b"] {
            assert_eq!(segment(room, &mut rng).unwrap_err().code(), code::UNKNOWN_SPACE, "{room:?}");
        }
    }

    #[test]
    fn sockets_are_named_by_uuids() {
        let mut rng = Rng::new(7);
        let names: Vec<_> = (0..100).map(|_| uuid(&mut rng)).collect();
        for name in &names {
            let parts: Vec<_> = name.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{name}");
            assert_eq!(&name[14..15], "4");
            assert!("89ab".contains(&name[19..20]), "{name}");
        }
        let mut distinct = names.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len());
    }
}
