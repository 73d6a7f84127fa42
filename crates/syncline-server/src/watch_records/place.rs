//! Where somebody watches: in a shared space, or in a person's own.

use serde_json::{Map, Value};
use syncline_core::SpaceId;

use crate::watch_records::WatchRecords;
use crate::watch_records::refusal::Refusal;

/// As the client named it; it is told by that name, and by no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A space that people share.
    Space(String),
    /// A person's own one.
    Actor(String),
}

impl Place {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Space(name) | Self::Actor(name) => name,
        }
    }

    /// `spaceUri` or `actor`.
    pub(super) fn parameter(&self) -> &'static str {
        match self {
            Self::Space(_) => "spaceUri",
            Self::Actor(_) => "actor",
        }
    }

    /// What records say of the space they are in.
    pub(super) fn space(&self) -> Option<&str> {
        match self {
            Self::Space(uri) => Some(uri),
            Self::Actor(_) => None,
        }
    }

    /// What tickets call it.
    pub(super) fn topic(&self) -> String {
        match self {
            Self::Space(uri) => format!("space:{uri}"),
            Self::Actor(did) => format!("actor:{did}"),
        }
    }

    /// What names a query to a client: the place and the collection.
    pub(super) fn describe(&self, collection: &str) -> Map<String, Value> {
        let place = (self.parameter().to_owned(), self.name().into());
        [place, ("collection".to_owned(), collection.into())].into_iter().collect()
    }

    /// Which of Syncline's spaces that is. A place there cannot be is the space without a name, which the engine knows of
    /// nobody's: so that only those who are known are told that there is none.
    ///
    /// # Errors
    /// 400 where people have none of their own.
    pub(super) fn resolve(&self, settings: &WatchRecords) -> Result<SpaceId, Refusal> {
        let (named, name) = match self {
            Self::Space(uri) => (&settings.spaces, uri),
            Self::Actor(did) => (settings.actors.as_ref().ok_or_else(Refusal::no_actors)?, did),
        };
        let space = named(name).and_then(|space| SpaceId::checked(space.as_str()).ok());
        Ok(space.unwrap_or_else(|| SpaceId::from("")))
    }
}
