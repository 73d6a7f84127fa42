//! What an error is in HTTP and on a WebSocket: the one place that says so.

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use syncline_core::{Error, code};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The server itself failed, for instance because a rule of the application panicked. HTTP 500.
pub(crate) const INTERNAL: &str = "internal";

/// A refusal as a response: the error as JSON, with the status that fits its code.
pub(crate) struct Problem {
    status: StatusCode,
    error: Error,
}

impl Problem {
    /// A refusal that HTTP has a word for and Syncline's codes do not.
    pub(crate) fn with_status(status: StatusCode, error: Error) -> Self {
        Self { status, error }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { status: status(&error), error }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        answer(self.status, self.error)
    }
}

/// A refusal as JSON, which is of this moment.
pub(crate) fn answer(status: StatusCode, refusal: impl Serialize) -> Response {
    let mut response = (status, [(CACHE_CONTROL, "no-store")], Json(refusal)).into_response();
    if status == StatusCode::UPGRADE_REQUIRED {
        // to what, is said in headers: RFC 9110, 15.5.22, and RFC 6455, 4.4
        let asked = [(CONNECTION, "upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")];
        response.headers_mut().extend(asked.map(|(name, value)| (name, HeaderValue::from_static(value))));
    }
    response
}

/// Answers a method that a route does not have.
pub(crate) async fn method_not_allowed() -> Problem {
    let error = Error::new("method_not_allowed", "this route does not have this method");
    Problem::with_status(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// Answers a path that is no route.
pub(crate) async fn unknown_route() -> Problem {
    let error = Error::new("unknown_route", "there is no such route");
    Problem::with_status(StatusCode::NOT_FOUND, error)
}

/// The status for an error. What an application's own code means is not known here; it refuses a person, so 403.
fn status(error: &Error) -> StatusCode {
    match error.code() {
        code::BAD_FRAME
        | code::UNSUPPORTED_PROTOCOL
        | code::UNKNOWN_FIELD
        | code::BAD_QUERY
        | code::BAD_ROW
        | code::BAD_WRITE
        | code::BAD_ACTION
        | code::BAD_KEY => StatusCode::BAD_REQUEST,
        code::UNAUTHENTICATED => StatusCode::UNAUTHORIZED,
        code::UNKNOWN_SPACE
        | code::UNKNOWN_CHANNEL
        | code::UNKNOWN_COLLECTION
        | code::UNKNOWN_ROW
        | code::UNKNOWN_LINK => StatusCode::NOT_FOUND,
        code::TIMEOUT => StatusCode::REQUEST_TIMEOUT,
        code::WRITE_GAP => StatusCode::CONFLICT,
        code::FRAME_TOO_LARGE | code::VALUE_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        code::TOO_MANY => StatusCode::TOO_MANY_REQUESTS,
        code::STORAGE | code::CONFLICT | code::CONNECTION => StatusCode::SERVICE_UNAVAILABLE,
        code::UNREADABLE_ROW | code::ACTION_FAILED | code::BAD_JOB | INTERNAL => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::FORBIDDEN,
    }
}

/// Whether an error that ends a subscription means that the person has no right to it any more.
pub(crate) fn is_loss_of_rights(error: &Error) -> bool {
    status(error) == StatusCode::FORBIDDEN || error.code() == code::UNKNOWN_SPACE
}

/// The close code of a WebSocket that ends with `error`, or without one.
pub(crate) fn close_code(error: Option<&Error>) -> CloseCode {
    match error.map(Error::code) {
        None => CloseCode::Normal,
        Some(code::CONNECTION) => CloseCode::Away,
        Some(code::FRAME_TOO_LARGE) => CloseCode::Size,
        Some(code::BAD_FRAME | code::UNSUPPORTED_PROTOCOL) => CloseCode::Protocol,
        Some(code::STORAGE | INTERNAL) => CloseCode::Error,
        Some(_) => CloseCode::Policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_json_with_a_status_that_fits() {
        let cases = [
            (code::BAD_FRAME, 400),
            (code::UNAUTHENTICATED, 401),
            (code::FORBIDDEN_ORIGIN, 403),
            (code::UNKNOWN_LINK, 404),
            (code::FRAME_TOO_LARGE, 413),
            (code::TOO_MANY, 429),
            (code::STORAGE, 503),
            ("banned", 403),
        ];
        for (code, expected) in cases {
            assert_eq!(status(&Error::new(code, "")).as_u16(), expected, "{code}");
        }
    }

    #[test]
    fn a_socket_closes_with_the_code_of_its_error() {
        let close = |error: Option<&str>| {
            let error = error.map(|code| Error::new(code.to_owned(), ""));
            u16::from(close_code(error.as_ref()))
        };
        assert_eq!(close(None), 1000);
        assert_eq!(close(Some(code::CONNECTION)), 1001);
        assert_eq!(close(Some(code::BAD_FRAME)), 1002);
        assert_eq!(close(Some(code::UNAUTHENTICATED)), 1008);
        assert_eq!(close(Some(code::FRAME_TOO_LARGE)), 1009);
        assert_eq!(close(Some(code::STORAGE)), 1011);
    }
}
