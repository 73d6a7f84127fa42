//! Who this page is to the demo server: `POST /session` makes or renews a guest and answers with a token.

use std::sync::{Arc, Mutex, PoisonError};

use gloo_net::http::{Request, RequestBuilder};
use serde::Serialize;
use syncline_core::{Error, code};

use crate::GuestSession;
use crate::browser::Params;

/// The guest that this page is. Clones are the same guest.
#[derive(Clone, Debug)]
pub struct Credentials {
    session_url: String,
    query: String,
    // the cookie is shared by all pages of this browser; a page stays who it is by showing its own token
    token: Arc<Mutex<Option<String>>>,
}

#[derive(Serialize)]
struct ChosenName<'a> {
    name: &'a str,
}

impl Credentials {
    /// For a page that was asked for with `params`. The session lives beside the place where Syncline is mounted.
    pub fn new(params: &Params) -> Self {
        let server = params.server.trim_end_matches('/');
        let origin = server.rsplit_once('/').map_or(server, |(origin, _)| origin);
        let guest =
            params.guest.as_ref().map(|guest| format!("?guest={}", js_sys::encode_uri_component(guest)));
        Self {
            session_url: format!("{origin}/session"),
            query: guest.unwrap_or_default(),
            token: Arc::default(),
        }
    }

    /// A token that is good now: what the client asks for when it connects, and again when the server says so.
    ///
    /// # Errors
    /// `connection` when the server cannot be reached.
    pub async fn token(&self) -> Result<String, Error> {
        let request = self.request("").build().map_err(unreachable_server)?;
        self.answer(request).await
    }

    /// Takes a name. The connection learns of it by [`Client::refresh_credentials`](syncline::Client::refresh_credentials).
    ///
    /// # Errors
    /// `bad_name`; `connection` when the server cannot be reached.
    pub async fn choose_name(&self, name: &str) -> Result<(), Error> {
        let request = self.request("/name").json(&ChosenName { name }).map_err(unreachable_server)?;
        self.answer(request).await.map(drop)
    }

    fn request(&self, path: &str) -> RequestBuilder {
        let request = Request::post(&format!("{}{path}{}", self.session_url, self.query));
        match &*self.token.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(token) => request.header("authorization", &format!("Bearer {token}")),
            None => request,
        }
    }

    async fn answer(&self, request: Request) -> Result<String, Error> {
        let response = request.send().await.map_err(unreachable_server)?;
        if !response.ok() {
            return Err(match response.json::<Error>().await {
                Ok(refused) => refused,
                Err(_) => unreachable_server(response.status_text()),
            });
        }
        let session: GuestSession = response.json().await.map_err(unreachable_server)?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.token.clone());
        Ok(session.token)
    }
}

fn unreachable_server(cause: impl std::fmt::Display) -> Error {
    Error::new(code::CONNECTION, format!("the session could not be had: {cause}"))
}
