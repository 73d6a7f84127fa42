//! `GET /{party}/{room}`.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::any;
use syncline_core::{Error, SpaceId, code};
use tracing::Instrument as _;

use crate::connection::Shared;
use crate::origin::{self, Origins};
use crate::partysync::guest::Guest;
use crate::partysync::{Face, socket};
use crate::problem::{Problem, unknown_route};
use crate::routes::Upgrade;
use crate::routes::ws::bounded;

pub(crate) fn router<T: Clone + Send + Sync + 'static>(
    shared: &Arc<Shared>,
    origins: Origins,
    face: Option<&Arc<Face>>,
) -> Router<T> {
    let cors = origins.cors();
    let mut router = Router::new();
    if let Some(face) = face {
        let state = (Arc::clone(shared), Arc::clone(face));
        // any: whoever does not ask for an upgrade is told so, whatever the method
        router = router.merge(Router::new().route("/{party}/{room}", any(connect)).with_state(state));
    }
    router.fallback(unknown_route).layer(from_fn_with_state(origins, origin::check)).layer(cors)
}

// the query is not looked at: `_pk` says nothing that is needed, and credentials do not belong there
async fn connect(
    State((shared, face)): State<(Arc<Shared>, Arc<Face>)>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let unknown = || Error::new(code::UNKNOWN_SPACE, "there is no such party or room");
    // what is not UTF-8 names nothing
    let Path((party, room)) = path.map_err(|_| unknown())?;
    let (rooms, spokes) =
        face.parties.get(&party).filter(|(_, spokes)| !spokes.is_empty()).ok_or_else(unknown)?;
    let space = rooms(&room).ok_or_else(unknown)?;
    let space = SpaceId::checked(space.as_str())?;
    let guest = Guest::open(&shared, &face, &headers, space, Arc::clone(spokes)).await?;
    let (response, socket) = upgrade.accept(bounded(shared.config.engine.limits.frame_bytes));
    let span = tracing::debug_span!("party", conn = guest.connection.inbound.conn);
    let serving = async move {
        match socket.await {
            Ok(socket) => socket::serve(socket, guest, &shared.config).await,
            Err(error) => tracing::debug!(%error, "the upgrade failed"),
        }
    };
    tokio::spawn(serving.instrument(span));
    Ok(response)
}
