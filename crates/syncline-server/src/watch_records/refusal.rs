//! Refusals, as contrail words them.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use syncline_core::{Error, code};

use crate::problem::{answer, is_loss_of_rights};

/// `{error, reason?, message?}` with a status.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str) -> Self {
        Self { status, error, reason: None, message: None }
    }

    fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    fn saying(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    /// Something about the request.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequest").saying(message)
    }

    /// `actor`, where people have no spaces of their own.
    pub(super) fn no_actors() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NotSupported").because("community-module-disabled")
    }

    /// No credentials, or no good ones: the same whatever is wrong with them.
    pub(super) fn auth_required() -> Self {
        let message = "spaceUri requires a valid service-auth JWT or read-grant invite token";
        Self::new(StatusCode::UNAUTHORIZED, "AuthRequired").saying(message)
    }

    /// Known, and not let in.
    pub(super) fn not_member() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden").because("not-member")
    }

    /// An invitation that is none.
    pub(super) fn bad_invite() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden").because("invalid-invite-token")
    }

    /// A page of another origin.
    pub(super) fn foreign_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden").because("foreign-origin")
    }

    /// No such space, person, collection or route.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound")
    }

    /// A route without this method.
    pub(super) fn no_such_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "InvalidRequest")
            .saying("this route does not have this method")
    }

    /// An upgrade that cannot be had.
    pub(super) fn no_socket() -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, "UpgradeRequired")
            .saying("no WebSocket, version 13, can be had here")
    }

    /// Tickets, where there are none.
    pub(super) fn no_tickets() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotSupported").saying("this server gives out no tickets")
    }

    /// The server's own failure, of which the log says more.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
    }

    /// What `authenticate` fails with: only `forbidden` turns a person away for good.
    pub(super) fn unknown(error: Error) -> Self {
        match error.code() {
            code::FORBIDDEN
            | code::UNAUTHENTICATED
            | code::BAD_FRAME
            | code::UNSUPPORTED_PROTOCOL
            | crate::problem::INTERNAL => error.into(),
            _ if error.is_temporary() => error.into(),
            _ => {
                tracing::warn!(%error, "`authenticate` failed");
                Self::unavailable("the server could not find out who you are")
            }
        }
    }

    /// What another attempt may well bring.
    pub(super) fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable").saying(message)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.code() {
            code::UNAUTHENTICATED => Self::auth_required(),
            code::UNKNOWN_SPACE | code::UNKNOWN_COLLECTION => Self::not_found(),
            code::BAD_QUERY | code::UNKNOWN_FIELD => Self::invalid(error.message()),
            code::TOO_MANY => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "RateLimitExceeded").saying(error.message())
            }
            code::STORAGE | code::CONNECTION | code::TIMEOUT | code::CONFLICT => {
                Self::unavailable(error.message())
            }
            _ if is_loss_of_rights(&error) => Self::not_member(),
            // a rule that stumbles over what it looks up has put nobody out
            _ => {
                tracing::warn!(%error, "a rule failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer(self.status, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_contrails_do() {
        let text = |refusal: Refusal| serde_json::to_string(&refusal).unwrap();
        assert_eq!(
            text(Refusal::auth_required()),
            r#"{"error":"AuthRequired","message":"spaceUri requires a valid service-auth JWT or read-grant invite token"}"#
        );
        assert_eq!(text(Refusal::not_member()), r#"{"error":"Forbidden","reason":"not-member"}"#);
        assert_eq!(text(Refusal::bad_invite()), r#"{"error":"Forbidden","reason":"invalid-invite-token"}"#);
        assert_eq!(text(Refusal::not_found()), r#"{"error":"NotFound"}"#);
        assert_eq!(
            text(Refusal::invalid("spaceUri or actor required")),
            r#"{"error":"InvalidRequest","message":"spaceUri or actor required"}"#
        );
        assert_eq!(
            text(Refusal::no_actors()),
            r#"{"error":"NotSupported","reason":"community-module-disabled"}"#
        );
    }

    #[test]
    fn an_application_that_does_not_know_now_who_somebody_is_is_asked_again() {
        let status = |code: &'static str| Refusal::unknown(Error::new(code, "the database is gone")).status;
        for code in ["no_database", code::UNKNOWN_SPACE, code::UNKNOWN_ROW, code::STORAGE, code::TIMEOUT] {
            assert_eq!(status(code), StatusCode::SERVICE_UNAVAILABLE, "{code}");
        }
        assert_eq!(status(code::FORBIDDEN), StatusCode::FORBIDDEN);
        assert_eq!(status(code::UNAUTHENTICATED), StatusCode::UNAUTHORIZED);
        assert_eq!(status(code::TOO_MANY), StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn what_an_application_says_of_a_person_is_for_the_log_and_not_for_them() {
        let refusal = Refusal::from(Error::new("banned", "you know why"));
        assert_eq!(refusal, Refusal::not_member());
    }
}
