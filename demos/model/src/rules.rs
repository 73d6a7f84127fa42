//! What guests may do. The server asks here before every write and for every action, and when somebody opens a space.

mod todos;

use syncline_core::{Error, SpaceId, code};
use syncline_server::{Change, Rules, User};

use crate::guest::{guest_label, shown_name};
use crate::message::Message;
use crate::reaction::{EMOJI, Reaction};
use crate::space::{Place, is_members_only};
use crate::text::check_text;

pub use todos::{CLEARED, Cleared, TodoRules, on_todo_action};

/// Every guest may open every list and room; there is nothing else to open.
///
/// # Errors
/// `unknown_space`.
pub fn may_open(_user: &User, space: &SpaceId) -> Result<(), Error> {
    match Place::of(space) {
        Some(_) => Ok(()),
        None => {
            Err(Error::new(code::UNKNOWN_SPACE, "There is no such list or room.").with_field(space.as_str()))
        }
    }
}

/// Messages: people speak for themselves, change nothing afterwards, and take back only what they said.
#[derive(Clone, Copy, Debug)]
pub struct MessageRules;

impl Rules<Message> for MessageRules {
    fn write(&self, user: &User, space: &SpaceId, change: Change<'_, Message>) -> Result<(), Error> {
        let Some(Place::Room(room)) = Place::of(space) else {
            return Err(Error::new("not_a_room", "Messages are kept in rooms only."));
        };
        match change {
            Change::Insert(message) => {
                check_author(user, message)?;
                check_text(&message.text)?;
                check_member(user, room)
            }
            Change::Update { .. } => {
                Err(Error::new("immutable", "A message cannot be changed, only taken back."))
            }
            Change::Delete(message) if user.id == *message.author => Ok(()),
            Change::Delete(_) => Err(Error::new(code::FORBIDDEN, "Only its author can take a message back.")),
        }
    }
}

/// Reactions: people react for themselves, with what there is to react with, and take back only their own.
#[derive(Clone, Copy, Debug)]
pub struct ReactionRules;

impl Rules<Reaction> for ReactionRules {
    fn write(&self, user: &User, space: &SpaceId, change: Change<'_, Reaction>) -> Result<(), Error> {
        let Some(Place::Room(room)) = Place::of(space) else {
            return Err(Error::new("not_a_room", "Reactions are kept in rooms only."));
        };
        match change {
            // the same one again, from another tab, is no other reaction
            Change::Insert(reaction) | Change::Update { after: reaction, .. } => {
                check_reaction(user, reaction)?;
                check_member(user, room)
            }
            Change::Delete(reaction) if user.id == *reaction.author => Ok(()),
            Change::Delete(_) => {
                Err(Error::new(code::FORBIDDEN, "Only its author can take a reaction back."))
            }
        }
    }
}

/// Its id says whose it is, to what and with what: nobody can take somebody else's place.
fn check_reaction(user: &User, reaction: &Reaction) -> Result<(), Error> {
    let Reaction { message, author, emoji, at, .. } = reaction;
    if user.id != **author {
        return Err(Error::new("not_the_author", "People react for themselves only."));
    }
    if !EMOJI.contains(&emoji.as_str()) || Reaction::new(message, author, emoji, *at) != *reaction {
        return Err(Error::new("not_a_reaction", "There is no such reaction."));
    }
    Ok(())
}

fn check_member(user: &User, room: &str) -> Result<(), Error> {
    if is_members_only(room) && user.name.is_none() {
        return Err(Error::new("name_required", "Choose a name to write in this room."));
    }
    Ok(())
}

/// A message written before its author chose a name still goes under the guest's label.
fn check_author(user: &User, message: &Message) -> Result<(), Error> {
    let names_themselves =
        message.author_name == shown_name(user) || message.author_name == guest_label(&message.author);
    if user.id == *message.author && names_themselves {
        Ok(())
    } else {
        Err(Error::new("not_the_author", "People write in their own name only."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: Option<&str>) -> User {
        User { id: "3f2b9c".into(), name: name.map(Into::into) }
    }

    fn message(author: &str, author_name: &str) -> Message {
        Message {
            id: "m".into(),
            author: author.into(),
            author_name: author_name.into(),
            text: "Hello".into(),
            sent_at: 0,
        }
    }

    fn says(user: &User, room: &str, message: &Message) -> Result<(), String> {
        MessageRules
            .write(user, &room.into(), Change::Insert(message))
            .map_err(|error| error.code().to_owned())
    }

    #[test]
    fn nobody_speaks_for_somebody_else() {
        let ada = user(Some("Ada"));
        assert_eq!(says(&ada, "room-lobby", &message("3f2b9c", "Ada")), Ok(()));
        assert_eq!(says(&ada, "room-lobby", &message("3f2b9c", "Guest 3f2b")), Ok(()));
        assert_eq!(says(&ada, "room-lobby", &message("3f2b9c", "Grace")), Err("not_the_author".into()));
        assert_eq!(says(&ada, "room-lobby", &message("77aa", "Ada")), Err("not_the_author".into()));
    }

    #[test]
    fn members_have_names() {
        let message = message("3f2b9c", "Guest 3f2b");
        assert_eq!(says(&user(None), "room-lobby", &message), Ok(()));
        assert_eq!(says(&user(None), "room-members", &message), Err("name_required".into()));
        assert_eq!(says(&user(Some("Ada")), "room-members", &message), Ok(()));
    }

    #[test]
    fn a_message_is_taken_back_by_its_author_and_changed_by_nobody() {
        let ada = user(Some("Ada"));
        let (own, other) = (message("3f2b9c", "Ada"), message("77aa", "Grace"));
        let write =
            |change: Change<'_, Message>| MessageRules.write(&ada, &"room-lobby".into(), change).is_ok();
        assert!(write(Change::Delete(&own)));
        assert!(!write(Change::Delete(&other)));
        assert!(!write(Change::Update { before: &own, after: &own }));
    }

    #[test]
    fn people_react_for_themselves_with_what_there_is() {
        let ada = user(Some("Ada"));
        let write = |user: &User, room: &str, change: Change<'_, Reaction>| {
            ReactionRules.write(user, &room.into(), change).map_err(|error| error.code().to_owned())
        };
        let own = Reaction::new("m", "3f2b9c", EMOJI[0], 1);
        let again = Reaction { at: 2, ..own.clone() };
        let other = Reaction::new("m", "77aa", EMOJI[0], 1);
        let made_up = Reaction { id: other.id.clone(), ..own.clone() };
        let odd = Reaction::new("m", "3f2b9c", "spam", 1);
        assert_eq!(write(&ada, "room-lobby", Change::Insert(&own)), Ok(()));
        assert_eq!(write(&ada, "room-lobby", Change::Update { before: &own, after: &again }), Ok(()));
        assert_eq!(write(&ada, "room-lobby", Change::Insert(&other)), Err("not_the_author".into()));
        assert_eq!(write(&ada, "room-lobby", Change::Insert(&made_up)), Err("not_a_reaction".into()));
        assert_eq!(write(&ada, "room-lobby", Change::Insert(&odd)), Err("not_a_reaction".into()));
        assert_eq!(write(&ada, "list-main", Change::Insert(&own)), Err("not_a_room".into()));
        assert_eq!(write(&user(None), "room-members", Change::Insert(&own)), Err("name_required".into()));
        assert_eq!(write(&ada, "room-lobby", Change::Delete(&own)), Ok(()));
        assert_eq!(write(&ada, "room-lobby", Change::Delete(&other)), Err("forbidden".into()));
    }

    #[test]
    fn only_lists_and_rooms_can_be_opened() {
        assert!(may_open(&user(None), &"list-main".into()).is_ok());
        assert!(may_open(&user(None), &"attic-main".into()).is_err());
    }
}
