//! The upgrade of a request to a WebSocket, as RFC 6455 has it for HTTP/1.1.
//!
//! Not axum's own: its socket writes a frame as one piece and keeps room for the largest one for good, 128 KiB for
//! every connection that was ever sent a snapshot. With the socket in hand a frame leaves in fragments, and what
//! is still unread when it closes can be read away.

use axum::extract::FromRequestParts;
use axum::http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use syncline_core::Error;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::problem::Problem;

/// What travels below a WebSocket.
pub(crate) type Wire = TokioIo<hyper::upgrade::Upgraded>;

/// A request that asks for a WebSocket and can have one.
pub(crate) struct Upgrade {
    accept: String,
    upgraded: OnUpgrade,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let asked = parts.method == Method::GET
            && names(&parts.headers, CONNECTION, "upgrade")
            && names(&parts.headers, UPGRADE, "websocket")
            && names(&parts.headers, SEC_WEBSOCKET_VERSION, "13");
        let key = parts.headers.get(SEC_WEBSOCKET_KEY).filter(|_| asked);
        let Some(accept) = key.map(|key| derive_accept_key(key.as_bytes())) else {
            return Err(required("this route speaks WebSocket, version 13"));
        };
        let upgraded = parts.extensions.remove::<OnUpgrade>();
        let upgraded = upgraded.ok_or_else(|| required("this connection cannot become a WebSocket"))?;
        Ok(Self { accept, upgraded })
    }
}

impl Upgrade {
    /// The answer to the request, and what travels below the WebSocket once the answer has been sent.
    pub(crate) fn wire(self) -> (Response, impl Future<Output = Result<Wire, hyper::Error>> + Send) {
        let Self { accept, upgraded } = self;
        let headers = [
            (CONNECTION, HeaderValue::from_static("upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
        ];
        let response = (StatusCode::SWITCHING_PROTOCOLS, headers, [(SEC_WEBSOCKET_ACCEPT, accept)]);
        (response.into_response(), async move { Ok(TokioIo::new(upgraded.await?)) })
    }

    /// The answer to the request, and the socket once the answer has been sent.
    pub(crate) fn accept(
        self,
        config: WebSocketConfig,
    ) -> (Response, impl Future<Output = Result<WebSocketStream<Wire>, hyper::Error>> + Send) {
        let (response, wire) = self.wire();
        let socket = async move {
            Ok(WebSocketStream::from_raw_socket(wire.await?, Role::Server, Some(config)).await)
        };
        (response, socket)
    }
}

/// Whether a header is a list with this word in it.
fn names(headers: &HeaderMap, header: HeaderName, word: &str) -> bool {
    let lines = headers.get_all(header).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

fn required(message: &'static str) -> Problem {
    Problem::with_status(StatusCode::UPGRADE_REQUIRED, Error::new("upgrade_required", message))
}
