//! `POST /moderation`: takes a guest out of a room, and lets them in again. For whoever knows the moderator's token.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use demo_model::room_space;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use syncline_server::{Error, SpaceId, Syncline, User, code};

/// Who was taken out of which room, as long as the server runs.
#[derive(Clone, Default)]
pub(crate) struct Removed(Arc<RwLock<BTreeSet<(SpaceId, String)>>>);

impl Removed {
    /// # Errors
    /// `forbidden` for a room that the person was taken out of.
    pub(crate) fn check(&self, user: &User, space: &SpaceId) -> Result<(), Error> {
        let removed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if removed.contains(&(space.clone(), user.id.as_str().to_owned())) {
            Err(Error::new(code::FORBIDDEN, "You were taken out of this room."))
        } else {
            Ok(())
        }
    }

    fn set(&self, room: &str, guest: &str, is_removed: bool) {
        let mut removed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let place = (room_space(room), guest.to_owned());
        if is_removed {
            removed.insert(place);
        } else {
            removed.remove(&place);
        }
    }
}

#[derive(Deserialize)]
struct Decision {
    room: String,
    guest: String,
    removed: bool,
}

#[derive(Clone)]
struct Moderation {
    removed: Removed,
    syncline: Syncline,
    token: String,
}

/// The route, when there is a moderator.
pub(crate) fn routes(removed: Removed, syncline: Syncline, token: Option<String>) -> Router {
    match token {
        Some(token) => Router::new().route("/moderation", post(decide)).with_state(Moderation {
            removed,
            syncline,
            token,
        }),
        None => Router::new(),
    }
}

async fn decide(
    State(moderation): State<Moderation>,
    headers: HeaderMap,
    Json(decision): Json<Decision>,
) -> StatusCode {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !shown.is_some_and(|shown| is_same(shown, &moderation.token)) {
        return StatusCode::FORBIDDEN;
    }
    let Decision { room, guest, removed } = decision;
    moderation.removed.set(&room, &guest, removed);
    // what they watch is looked at anew, and ends
    moderation.syncline.rights_changed(guest);
    StatusCode::NO_CONTENT
}

/// In a time that tells nothing about where the two differ.
fn is_same(shown: &str, token: &str) -> bool {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(token.as_bytes()) else { return false };
    let expected = mac.clone().chain_update(token).finalize().into_bytes();
    mac.chain_update(shown).verify_slice(&expected).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_taken_out_may_come_in_again() {
        let (removed, ada) = (Removed::default(), User { id: "ada".into(), name: None });
        let lobby = room_space("lobby");
        removed.set("lobby", "ada", true);
        assert_eq!(removed.check(&ada, &lobby).unwrap_err().code(), code::FORBIDDEN);
        assert!(removed.check(&ada, &room_space("random")).is_ok());
        removed.set("lobby", "ada", false);
        assert!(removed.check(&ada, &lobby).is_ok());
    }

    #[test]
    fn a_token_is_the_same_or_it_is_not() {
        assert!(is_same("open sesame", "open sesame"));
        assert!(!is_same("open sesam", "open sesame") && !is_same("", "open sesame"));
    }
}
