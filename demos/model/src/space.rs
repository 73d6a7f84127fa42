//! The spaces there are: one per to-do list, one per chat room.

use syncline_core::SpaceId;

/// The rooms that the apps offer as tabs.
pub const ROOMS: [&str; 3] = ["lobby", "random", "members"];

/// The longest name of a list or room, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// What a space is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The to-do list of this name.
    List(&'a str),
    /// The chat room of this name.
    Room(&'a str),
}

impl<'a> Place<'a> {
    /// The place that a space is; `None` when there is no such place.
    pub fn of(space: &'a SpaceId) -> Option<Self> {
        let (place, name) = match space.as_str().split_once('-')? {
            ("list", name) => (Self::List(name), name),
            ("room", name) => (Self::Room(name), name),
            _ => return None,
        };
        let permitted = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        ((1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(permitted)).then_some(place)
    }
}

/// The space of a to-do list.
pub fn list_space(name: &str) -> SpaceId {
    SpaceId::new(format!("list-{name}"))
}

/// The space of a chat room.
pub fn room_space(name: &str) -> SpaceId {
    SpaceId::new(format!("room-{name}"))
}

/// The rooms to offer as tabs to somebody who asked for `room`.
pub fn rooms_with(room: &str) -> Vec<String> {
    let asked = Some(room).filter(|room| !ROOMS.contains(room));
    ROOMS.into_iter().chain(asked).map(Into::into).collect()
}

/// Whether only people who have chosen a name may speak in a room: `members`, and any `members-…`.
pub fn is_members_only(room: &str) -> bool {
    room == "members" || room.starts_with("members-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_is_a_list_or_a_room() {
        assert_eq!(Place::of(&list_space("main")), Some(Place::List("main")));
        assert_eq!(Place::of(&room_space("day-two")), Some(Place::Room("day-two")));
    }

    #[test]
    fn other_names_are_no_place() {
        for space in ["", "list", "list-", "shed-main", "list-a b", "room-ü"] {
            assert_eq!(Place::of(&SpaceId::from(space)), None, "{space}");
        }
        assert_eq!(Place::of(&list_space(&"x".repeat(65))), None);
    }

    #[test]
    fn members_rooms_are_told_by_their_names() {
        assert!(is_members_only("members") && is_members_only("members-2"));
        assert!(!is_members_only("lobby") && !is_members_only("membership"));
    }
}
