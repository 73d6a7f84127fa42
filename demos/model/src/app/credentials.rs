//! Who this app is to the demo server: `POST /session` makes or renews a guest and answers with a token.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use syncline_core::{Error, code};

use super::{Params, place};
use crate::GuestSession;

const OK: u16 = 200;

/// The guest that this app is. Clones are the same guest.
#[derive(Clone, Debug)]
pub struct Credentials {
    params: Arc<Params>,
    // the cookie is shared by all pages of a browser; a page stays who it is by showing its own token
    token: Arc<Mutex<Option<String>>>,
}

impl Credentials {
    /// For an app that was asked for with `params`.
    pub fn new(params: &Params) -> Self {
        Self { params: Arc::new(params.clone()), token: Arc::new(Mutex::new(place::kept_token(params))) }
    }

    /// A token that is good now: what the client asks for when it connects, and again when the server says so.
    ///
    /// # Errors
    /// `connection` when the server cannot be reached.
    pub async fn token(&self) -> Result<String, Error> {
        self.session("", None).await
    }

    /// Takes a name. The connection learns of it by [`Client::refresh_credentials`](syncline::Client::refresh_credentials).
    ///
    /// # Errors
    /// `bad_name`; `connection` when the server cannot be reached.
    pub async fn choose_name(&self, name: &str) -> Result<(), Error> {
        self.session("/name", Some(json!({ "name": name }).to_string())).await.map(drop)
    }

    async fn session(&self, path: &str, json: Option<String>) -> Result<String, Error> {
        let shown = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = place::post(&self.url(path), shown.as_deref(), json).await;
        let (status, body) = answer.map_err(unreachable_server)?;
        if status != OK {
            return Err(match serde_json::from_str(&body) {
                Ok(refused) => refused,
                Err(_) => unreachable_server(format!("the server says {status}")),
            });
        }
        let session: GuestSession = serde_json::from_str(&body).map_err(unreachable_server)?;
        place::keep_token(&self.params, &session.token);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.token.clone());
        Ok(session.token)
    }

    /// The session lives beside the place where Syncline is mounted.
    fn url(&self, path: &str) -> String {
        let server = self.params.server.trim_end_matches('/');
        let origin = server.rsplit_once('/').map_or(server, |(origin, _)| origin);
        let seat = self.params.guest.as_ref().map(|guest| format!("?guest={}", place::escaped(guest)));
        format!("{origin}/session{path}{}", seat.unwrap_or_default())
    }
}

fn unreachable_server(cause: impl std::fmt::Display) -> Error {
    Error::new(code::CONNECTION, format!("the session could not be had: {cause}"))
}
