//! Which web pages may connect.
//!
//! A browser says in the `Origin` header which page a WebSocket or a POST comes from, and attaches the cookies of the
//! host it goes to, whoever's page that is. So a page of another origin is refused unless it is on the list.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use syncline_core::{Error, code};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::problem::Problem;

/// The header with which a POST names its link.
pub(crate) const LINK_HEADER: HeaderName = HeaderName::from_static("x-syncline-link");

/// The origins that may connect beside the server's own.
#[derive(Clone, Default)]
pub(crate) struct Origins {
    allowed: Arc<[HeaderValue]>,
}

impl Origins {
    /// Reads the list, `https://app.example.com` each.
    pub(crate) fn parse(origins: &[String]) -> Result<Self, Error> {
        origins.iter().map(|origin| parse(origin)).collect::<Result<_, _>>().map(|allowed| Self { allowed })
    }

    /// Answers preflights, and lets the pages of the list read the answers and send cookies.
    pub(crate) fn cors(&self) -> CorsLayer {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.allowed.iter().cloned()))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([CONTENT_TYPE, LINK_HEADER])
            .max_age(Duration::from_secs(60 * 60))
    }

    /// Whether a request may pass. One without an origin is not a page's.
    pub(crate) fn permit(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return true;
        };
        if origins.next().is_some() {
            return false;
        }
        self.allowed.contains(origin) || is_own(origin, headers, uri)
    }
}

/// Middleware: refuses what comes from a page of a foreign origin.
pub(crate) async fn check(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    if origins.permit(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    tracing::warn!(origin = ?request.headers().get(ORIGIN), "refused a page of a foreign origin");
    let error = Error::new(code::FORBIDDEN_ORIGIN, "pages of this origin may not connect here");
    Problem::from(error).into_response()
}

/// Whether the page is from the host that the request goes to. The scheme is left aside: behind a proxy that ends TLS
/// the server does not know its own.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    let Some((scheme, origin)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    // HTTP/2 names the host in the address instead
    let host =
        headers.get(HOST).and_then(|host| host.to_str().ok()).or(uri.authority().map(|it| it.as_str()));
    let bare = |authority: &str| without_default_port(scheme, authority).to_ascii_lowercase();
    host.is_some_and(|host| bare(host) == bare(origin))
}

/// As browsers name a host.
fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    authority.strip_suffix(default_port).unwrap_or(authority)
}

fn parse(origin: &str) -> Result<HeaderValue, Error> {
    let refuse = || {
        let message = "an allowed origin is a scheme and a host, like https://app.example.com";
        Error::new("bad_config", message).with_field(origin)
    };
    let origin_only = origin.strip_suffix('/').unwrap_or(origin).to_ascii_lowercase();
    let uri: Uri = origin_only.parse().map_err(|_| refuse())?;
    let is_origin = matches!(uri.scheme_str(), Some("http" | "https" | "tauri"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && origin_only.matches('/').count() == 2;
    let scheme = uri.scheme_str().filter(|_| is_origin).ok_or_else(refuse)?;
    let named = if scheme == "tauri" { &origin_only } else { without_default_port(scheme, &origin_only) };
    HeaderValue::from_str(named).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(allowed: &[&str], origin: Option<&str>, host: &str) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|&origin| origin.to_owned()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        Origins::parse(&allowed).unwrap().permit(&headers, &Uri::from_static("/ws"))
    }

    #[test]
    fn a_page_of_the_same_host_connects_behind_a_proxy_too() {
        assert!(permits(&[], Some("http://127.0.0.1:3000"), "127.0.0.1:3000"));
        assert!(permits(&[], Some("https://example.com"), "example.com"));
        assert!(permits(&[], Some("https://example.com"), "Example.com:443"));
    }

    #[test]
    fn what_is_no_page_connects() {
        assert!(permits(&[], None, "example.com"));
    }

    #[test]
    fn a_page_of_another_host_connects_only_when_it_is_on_the_list() {
        for origin in
            ["https://evil.example", "https://example.com.evil.example", "http://example.com:8080", "null"]
        {
            assert!(!permits(&["https://app.example"], Some(origin), "example.com"), "{origin}");
        }
        assert!(permits(&["https://app.example/"], Some("https://app.example"), "example.com"));
        assert!(!permits(&["https://app.example"], Some("http://app.example"), "example.com"));
    }

    #[test]
    fn a_default_port_is_no_other_origin() {
        assert!(permits(&["https://app.example:443"], Some("https://app.example"), "example.com"));
        assert!(permits(&["http://app.example:80/"], Some("http://app.example"), "example.com"));
        assert!(!permits(&["https://app.example:80"], Some("https://app.example"), "example.com"));
        assert!(permits(&["https://app.example:80"], Some("https://app.example:80"), "example.com"));
        assert!(permits(&["https://app.example:8443"], Some("https://app.example:8443"), "example.com"));
    }

    #[test]
    fn two_origins_are_none() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "example.com".parse().unwrap());
        headers.append(ORIGIN, "https://example.com".parse().unwrap());
        headers.append(ORIGIN, "https://evil.example".parse().unwrap());
        assert!(!Origins::default().permit(&headers, &Uri::from_static("/ws")));
    }

    #[test]
    fn a_list_is_made_of_origins() {
        for origin in
            ["*", "null", "example.com", "https://", "https://a.example/path", "https://u@a.example", ""]
        {
            assert_eq!(Origins::parse(&[origin.to_owned()]).err().unwrap().code(), "bad_config", "{origin}");
        }
    }
}
