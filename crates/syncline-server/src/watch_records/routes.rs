//! `GET <collection>.watchRecords` and `POST <collection>.watchTicket`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts as _, OriginalUri, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, UPGRADE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use crate::connection::Shared;
use crate::origin::Origins;
use crate::routes::Upgrade;
use crate::watch_records::entrance::Route;
use crate::watch_records::params::Params;
use crate::watch_records::refusal::Refusal;
use crate::watch_records::{Face, handshake, socket, stream};

pub(crate) fn router<T: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared>,
    origins: Origins,
    face: Option<&Arc<Face>>,
) -> Router<T> {
    let cors = origins.cors().allow_headers([AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE]);
    let mut router = Router::new();
    if let Some(face) = face {
        for collection in &face.settings.collections {
            let name = &collection.route;
            let (shared, face, collection) = (Arc::clone(shared), Arc::clone(face), Arc::clone(collection));
            let of_collection = Router::new()
                .route(&format!("/{name}.watchRecords"), get(watch).fallback(no_such_method))
                .route(&format!("/{name}.watchTicket"), post(handshake::ticket).fallback(no_such_method))
                .with_state(Route { shared, face, collection });
            router = router.merge(of_collection);
        }
    }
    router
        .fallback(async || Refusal::not_found())
        .layer(from_fn_with_state(origins, check_origin))
        .layer(cors)
}

/// Three in one, as contrail has it: an event stream, the handshake before a socket, the socket.
async fn watch(
    State(route): State<Route>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let asked = route.read(Params::of(&uri))?;
    if asks_for_socket(&headers) {
        let (mut parts, _) = request.into_parts();
        let upgrade = Upgrade::from_request_parts(&mut parts, &()).await.map_err(|_| Refusal::no_socket())?;
        return socket::open(&route, &headers, asked, upgrade).await;
    }
    if asked.params.is_handshake() {
        return handshake::shake_hands(&route, uri.path(), &headers, asked).await;
    }
    stream::open(&route, &headers, asked).await
}

/// Whoever would rather speak another HTTP may, and is answered in this one.
fn asks_for_socket(headers: &HeaderMap) -> bool {
    let asked = headers.get_all(UPGRADE).into_iter().filter_map(|protocols| protocols.to_str().ok());
    asked.flat_map(|protocols| protocols.split(',')).any(|it| it.trim().eq_ignore_ascii_case("websocket"))
}

async fn no_such_method() -> Refusal {
    Refusal::no_such_method()
}

/// Middleware: a browser attaches the cookies of the host it goes to, whoever's page that is.
async fn check_origin(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    if origins.permit(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    tracing::warn!(origin = ?request.headers().get(ORIGIN), "refused a page of a foreign origin");
    Refusal::foreign_origin().into_response()
}
