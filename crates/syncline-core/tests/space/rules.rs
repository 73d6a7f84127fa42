//! Two collections, and who may do what with them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline_core::record::AnyRow;
use syncline_core::space::Access;
use syncline_core::wire::User;
use syncline_core::{Error, Record, Schema, SpaceId, code};

/// What everybody in a space sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "notes", key = id)]
pub(crate) struct Note {
    pub(crate) id: String,
    #[serde(with = "tender")]
    pub(crate) text: String,
    pub(crate) n: i64,
}

/// Code of a row that panics: of a text that it reads as "boom", and writes as "crash".
mod tender {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(text, "crash");
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert_ne!(text, "boom");
        Ok(text)
    }
}

/// What its owner alone sees, or, when it is for members, whoever has a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "secrets", key = id)]
pub(crate) struct Secret {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) text: String,
    pub(crate) n: i64,
}

/// What not every value of can be read back from JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "gauges", key = id)]
pub(crate) struct Gauge {
    pub(crate) id: String,
    pub(crate) level: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[record(opaque)]
    pub(crate) marks: Vec<u64>,
    #[record(opaque)]
    pub(crate) more: Value,
}

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::default();
    schema.version = 3;
    schema.add::<Note>();
    schema.add::<Secret>();
    schema.add::<Gauge>();
    schema
}

pub(crate) struct Rules;

thread_local! {
    /// Who may not enter what is for guests, and see what is for members, whatever else they are.
    static BANNED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

impl Rules {
    pub(crate) fn sees(user: &User, secret: &Secret) -> bool {
        let is_member = user.name.is_some() && !Self::is_banned(user);
        secret.owner == user.id.as_str() || (secret.owner == "members" && is_member)
    }

    pub(crate) fn ban(user: &str, banned: bool) {
        BANNED.with_borrow_mut(|all| if banned { all.insert(user.to_owned()) } else { all.remove(user) });
    }

    fn is_banned(user: &User) -> bool {
        BANNED.with_borrow(|banned| banned.contains(user.id.as_str()))
    }
}

impl Access for Rules {
    fn open(&self, user: &User, space: &SpaceId) -> Result<(), Error> {
        match space.as_str() {
            "nowhere" => Err(Error::new(code::UNKNOWN_SPACE, "there is no such space")),
            "closed" => Err(Error::new(code::FORBIDDEN, "nobody may enter")),
            "guests" if Self::is_banned(user) => Err(Error::new(code::FORBIDDEN, "you were asked to leave")),
            "members" if user.name.is_none() => Err(Error::new("name_required", "choose a name first")),
            _ => Ok(()),
        }
    }

    fn read(&self, user: &User, _: &SpaceId, collection: &'static str, row: &dyn AnyRow) -> bool {
        match row.as_any().downcast_ref::<Secret>() {
            Some(secret) => Self::sees(user, secret),
            None => collection == Note::COLLECTION,
        }
    }

    fn write(
        &self,
        user: &User,
        _: &SpaceId,
        _: &'static str,
        before: Option<&dyn AnyRow>,
        after: Option<&dyn AnyRow>,
    ) -> Result<(), Error> {
        for row in [before, after].into_iter().flatten() {
            if let Some(secret) = row.as_any().downcast_ref::<Secret>()
                && !Self::sees(user, secret)
            {
                return Err(Error::new(code::FORBIDDEN, "not yours"));
            }
        }
        match after.and_then(|row| row.as_any().downcast_ref::<Note>()) {
            Some(note) if note.text == "rude" => Err(Error::new("rude", "mind your language")),
            _ => Ok(()),
        }
    }

    fn reads_everything(&self, collection: &'static str) -> bool {
        collection == Note::COLLECTION
    }
}
