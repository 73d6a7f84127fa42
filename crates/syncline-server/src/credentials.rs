//! Who a connection belongs to.

use std::fmt;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use futures::future::BoxFuture;
use syncline_core::space::Identity;
use syncline_core::{Error, code};

/// What a client shows of itself: what [`authenticate`](crate::Builder::authenticate) is given.
#[derive(Clone)]
pub struct Credentials {
    /// The headers of the request that opened the connection, with its cookies.
    pub headers: HeaderMap,
    /// What the client sent as its token, in `hello` or, later on the same connection, in `auth`. `None` asks for a
    /// look at the cookies.
    pub token: Option<String>,
}

// neither cookies nor tokens belong in a log
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("token", &self.token.is_some()).finish_non_exhaustive()
    }
}

/// Credentials are missing, wrong or expired: the error of an `authenticate` that knows no others. The client asks its
/// application for fresh ones and tries again.
///
/// With `forbidden` the person is turned away for good; with any other code the client tries again, later and later.
#[derive(Clone, Debug)]
pub struct AuthError {
    message: String,
}

impl AuthError {
    /// With a sentence for the person.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AuthError {}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        Self::new(code::UNAUTHENTICATED, error.message)
    }
}

/// The application's function, whatever its type.
pub(crate) type Authenticator =
    Arc<dyn Fn(Credentials) -> BoxFuture<'static, Result<Identity, Error>> + Send + Sync>;

/// A copy that shares nothing: the original keeps the whole buffer alive that the request was read into.
pub(crate) fn compact(headers: &HeaderMap) -> HeaderMap {
    let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    headers.iter().filter_map(|(name, value)| Some((name.clone(), copy(value)?))).collect()
}

/// The token of an `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_static("session=secret"));
        let credentials = Credentials { headers, token: Some("secret".into()) };
        assert_eq!(format!("{credentials:?}"), "Credentials { token: true, .. }");
    }

    #[test]
    fn every_header_is_copied() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=b"));
        headers.append("cookie", HeaderValue::from_static("c=d"));
        assert_eq!(compact(&headers), headers);
    }
}
