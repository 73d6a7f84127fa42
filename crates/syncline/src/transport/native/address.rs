//! The addresses of a server's routes.

use hyper::Uri;
use hyper::http::uri::Scheme;
use syncline_core::client::{contrail, partysync};

use crate::{Error, code};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Over TLS.
    pub(super) secure: bool,
    /// A name or a number, as it is looked up.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port, as a request names them.
    pub(super) authority: String,
    /// The path, with what is asked.
    pub(super) target: String,
}

impl Address {
    /// The address of `route` under the place where Syncline is mounted, `base`.
    pub(super) fn of_route(base: &str, route: &str) -> Result<Self, Error> {
        let uri = parse(base)?;
        let mut target = format!("{}/{route}", uri.path().trim_end_matches('/'));
        if let Some(query) = uri.query() {
            target = format!("{target}?{query}");
        }
        Self::new(&uri, target)
    }

    /// Where a request to a contrail service at `base` goes.
    pub(super) fn of_call(base: &str, address: &contrail::Address) -> Result<Self, Error> {
        let uri = parse(base)?;
        if address.is_at_origin() {
            // the service has said all of it
            return Self::new(&uri, format!("/{}", address.as_str().trim_start_matches('/')));
        }
        let (path, params) = address.as_str().split_once('?').unwrap_or((address.as_str(), ""));
        Ok(Self::of_route(base, path)?.asking(params))
    }

    /// The socket of a room of the partysync server at `base`.
    pub(super) fn of_room(base: &str, room: &partysync::Address) -> Result<Self, Error> {
        Ok(Self::of_route(base, &room.segment())?.asking(&room.params()))
    }

    /// With these parameters behind its own.
    fn asking(mut self, params: &str) -> Self {
        let between = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{between}{params}", self.target);
        self
    }

    fn new(uri: &Uri, target: String) -> Result<Self, Error> {
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else { return Err(no_address()) };
        let secure = is_secure(uri).ok_or_else(no_address)?;
        Ok(Self {
            secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            target,
        })
    }
}

fn is_secure(uri: &Uri) -> Option<bool> {
    let scheme = uri.scheme()?;
    match scheme.as_str() {
        _ if *scheme == Scheme::HTTPS => Some(true),
        _ if *scheme == Scheme::HTTP => Some(false),
        "wss" => Some(true),
        "ws" => Some(false),
        _ => None,
    }
}

fn parse(base: &str) -> Result<Uri, Error> {
    let uri: Uri = base.parse().map_err(|_| no_address())?;
    let authority = uri.authority().ok_or_else(no_address)?;
    // it would be kept and shown where addresses are
    if authority.as_str().contains('@') {
        return Err(Error::new(code::CONNECTION, "a name or a password does not belong in an address"));
    }
    if uri.host().is_none_or(str::is_empty) || is_secure(&uri).is_none() {
        return Err(no_address());
    }
    Ok(uri)
}

fn no_address() -> Error {
    Error::new(
        code::CONNECTION,
        "the server's address is none: it has to be whole, as https://example.org/sync is",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(base: &str, route: &str) -> (bool, String, u16, String, String) {
        let Address { secure, host, port, authority, target } = Address::of_route(base, route).unwrap();
        (secure, host, port, authority, target)
    }

    fn expected(
        secure: bool,
        host: &str,
        port: u16,
        authority: &str,
        target: &str,
    ) -> (bool, String, u16, String, String) {
        (secure, host.into(), port, authority.into(), target.into())
    }

    #[test]
    fn routes_stand_under_the_place_where_the_server_is_mounted() {
        let whole = route("https://api.example.org/v1/sync/?tenant=7", "ws");
        assert_eq!(whole, expected(true, "api.example.org", 443, "api.example.org", "/v1/sync/ws?tenant=7"));
        let plain = route("http://127.0.0.1:8080", "stream");
        assert_eq!(plain, expected(false, "127.0.0.1", 8080, "127.0.0.1:8080", "/stream"));
        assert_eq!(route("wss://a/s", "ws"), expected(true, "a", 443, "a", "/s/ws"));
        assert_eq!(route("ws://[::1]:7/", "ws"), expected(false, "::1", 7, "[::1]:7", "/ws"));
    }

    #[test]
    fn what_is_no_whole_address_is_refused() {
        for base in [
            "",
            "/sync",
            "sync",
            "memory",
            "example.org/sync",
            "ftp://a/b",
            "https://",
            "https:///sync",
            "http://a b/",
        ] {
            assert_eq!(Address::of_route(base, "ws").unwrap_err().code(), code::CONNECTION, "{base:?}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_neither_used_nor_shown() {
        let error = Address::of_route("https://ada:secret@example.org/", "ws").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
