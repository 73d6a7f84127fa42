//! Guests: people without an account, known by a signed cookie, called what they choose.

use serde::{Deserialize, Serialize};
use syncline_core::wire::User;

use crate::text::Invalid;

/// The longest name, in characters.
pub const MAX_NAME_CHARS: usize = 40;

/// Who a guest is; what the server signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Random, made by the server.
    pub id: String,
    /// What the guest chose to be called, when they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The server's answer to `POST /session` and `POST /session/name`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuestSession {
    /// Who the guest is.
    #[serde(flatten)]
    pub guest: Guest,
    /// What proves it: the credentials of the connection.
    pub token: String,
}

/// Takes a name of 1 to 40 characters, none of them a control character.
///
/// # Errors
/// `bad_name`.
pub fn check_name(name: &str) -> Result<(), Invalid> {
    let fits = (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && name.trim() == name;
    if fits && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Invalid::new("bad_name", format!("A name has 1 to {MAX_NAME_CHARS} characters.")))
    }
}

/// What a guest is called who has not chosen a name.
pub fn guest_label(id: &str) -> String {
    format!("Guest {}", id.get(..4).unwrap_or(id))
}

/// What a person is called: the name they chose, or the guest's label.
pub fn shown_name(user: &User) -> String {
    user.name.clone().unwrap_or_else(|| guest_label(user.id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_visible() {
        assert!(check_name("Ada").is_ok() && check_name(&"n".repeat(40)).is_ok());
        for name in ["", " ", " Ada", "A\nda", &"n".repeat(41)] {
            assert_eq!(check_name(name).unwrap_err().code, "bad_name", "{name:?}");
        }
    }

    #[test]
    fn a_nameless_guest_is_told_by_the_id() {
        let nameless = User { id: "3f2b9c".into(), name: None };
        assert_eq!(shown_name(&nameless), "Guest 3f2b");
        assert_eq!(shown_name(&User { name: Some("Ada".into()), ..nameless }), "Ada");
    }
}
