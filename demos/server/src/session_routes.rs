//! `POST /session` makes or renews a guest; `POST /session/name` gives the guest a name.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, InvalidHeaderValue, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use demo_model::{Guest, GuestSession, check_name};
use serde::Deserialize;
use serde_json::json;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::session::{Sessions, set_cookie};

/// The longest body: a name and what JSON puts around it.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// The routes under `/session`, for pages of this origin and of those that are allowed.
pub(crate) fn routes(sessions: Sessions, allowed_origins: &[String]) -> Result<Router, InvalidHeaderValue> {
    let origins: Vec<HeaderValue> =
        allowed_origins.iter().map(|origin| origin.parse()).collect::<Result<_, _>>()?;
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE]);
    let routes = Router::new()
        .route("/session", post(renew))
        .route("/session/name", post(choose_name))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(cors)
        .with_state(sessions);
    Ok(routes)
}

#[derive(Deserialize)]
struct Seat {
    guest: Option<String>,
}

#[derive(Deserialize)]
struct ChosenName {
    name: String,
}

async fn renew(
    State(sessions): State<Sessions>,
    Query(seat): Query<Seat>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let guest = guest(&sessions, &headers, &seat)?;
    answer(&sessions, guest, &seat)
}

async fn choose_name(
    State(sessions): State<Sessions>,
    Query(seat): Query<Seat>,
    headers: HeaderMap,
    body: Result<Json<ChosenName>, JsonRejection>,
) -> Result<Response, Refused> {
    let Json(ChosenName { name }) =
        body.map_err(|error| Refused::bad_request("bad_request", error.body_text()))?;
    let name = name.trim().to_owned();
    check_name(&name).map_err(|invalid| Refused::bad_request(invalid.code, invalid.message))?;
    let guest = Guest { name: Some(name), ..guest(&sessions, &headers, &seat)? };
    answer(&sessions, guest, &seat)
}

fn guest(sessions: &Sessions, headers: &HeaderMap, seat: &Seat) -> Result<Guest, Refused> {
    // it becomes part of a cookie's name
    let is_plain = |label: &str| label.len() <= 16 && label.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !seat.guest.as_deref().is_none_or(is_plain) {
        return Err(Refused::bad_request("bad_guest", "`guest` is at most 16 letters and digits".into()));
    }
    match sessions.guest(headers, seat.guest.as_deref()) {
        Some(guest) => Ok(guest),
        None => Sessions::new_guest().map_err(Refused::internal),
    }
}

fn answer(sessions: &Sessions, guest: Guest, seat: &Seat) -> Result<Response, Refused> {
    let token = sessions.sign(&guest).map_err(Refused::internal)?;
    let cookie = set_cookie(&token, seat.guest.as_deref());
    Ok(([(SET_COOKIE, cookie)], Json(GuestSession { guest, token })).into_response())
}

/// What went wrong, in the shape of Syncline's errors.
struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refused {
    fn bad_request(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }

    fn internal(error: impl std::error::Error) -> Self {
        tracing::error!(%error, "a session could not be made");
        let message = "A session could not be made.".into();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: "internal", message }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "code": self.code, "message": self.message }))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, COOKIE, ORIGIN};
    use axum::http::{HeaderName, Request};
    use tower::ServiceExt as _;

    use super::*;

    struct Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: serde_json::Value,
    }

    impl Answer {
        /// What a browser would send back.
        fn cookie(&self) -> &str {
            self.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap()
        }
    }

    async fn post(path: &str, headers: &[(HeaderName, &str)], body: &str) -> Answer {
        let routes = routes(Sessions::for_tests(), &["http://app.example".into()]).unwrap();
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let response = routes.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), MAX_BODY_BYTES).await.unwrap();
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    #[tokio::test]
    async fn a_guest_stays_the_same_by_cookie_and_takes_a_name() {
        let first = post("/session", &[], "").await;
        assert_eq!(first.status, StatusCode::OK);
        let named = post("/session/name", &[(COOKIE, first.cookie())], r#"{"name":" Ada "}"#).await;
        let again = post("/session", &[(COOKIE, named.cookie())], "").await;
        assert_eq!(again.body["id"], first.body["id"]);
        assert_eq!(again.body["name"], "Ada");
    }

    #[tokio::test]
    async fn a_guest_without_cookies_is_known_by_the_token() {
        let first = post("/session", &[], "").await;
        let bearer = format!("Bearer {}", first.body["token"].as_str().unwrap());
        let again = post("/session", &[(AUTHORIZATION, bearer.as_str())], "").await;
        assert_eq!(again.body["id"], first.body["id"]);
    }

    #[tokio::test]
    async fn two_seats_are_two_guests() {
        let (left, right) =
            (post("/session?guest=left", &[], "").await, post("/session?guest=right", &[], "").await);
        assert_ne!(left.body["id"], right.body["id"]);
        let cookies = format!("{}; {}", left.cookie(), right.cookie());
        let again = post("/session?guest=right", &[(COOKIE, cookies.as_str())], "").await;
        assert_eq!(again.body["id"], right.body["id"]);
    }

    #[tokio::test]
    async fn nonsense_is_refused_with_a_code() {
        for (path, body, code) in [
            ("/session/name", r#"{"name":""}"#, "bad_name"),
            ("/session/name", r#"{"nome":"Ada"}"#, "bad_request"),
            ("/session/name", "{", "bad_request"),
            ("/session?guest=a%3Bb", "", "bad_guest"),
        ] {
            let answer = post(path, &[], body).await;
            assert_eq!(
                (answer.status, &answer.body["code"]),
                (StatusCode::BAD_REQUEST, &json!(code)),
                "{path} {body}"
            );
            assert!(!answer.headers.contains_key(SET_COOKIE));
        }
    }

    #[tokio::test]
    async fn pages_of_other_origins_read_the_answer_only_when_they_are_allowed() {
        let allowed = post("/session", &[(ORIGIN, "http://app.example")], "").await;
        assert_eq!(allowed.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://app.example");
        let foreign = post("/session", &[(ORIGIN, "http://evil.example")], "").await;
        assert!(!foreign.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
