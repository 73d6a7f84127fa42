//! The routes: one for WebSockets, two for where there are none.

mod body;
mod send;
pub(crate) mod stream;
pub(crate) mod ws;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, post};

use crate::connection::Shared;
use crate::origin::{self, Origins};
pub(crate) use crate::routes::ws::upgrade::Upgrade;

use crate::problem::{method_not_allowed, unknown_route};

pub(crate) fn router<T: Clone + Send + Sync + 'static>(shared: Arc<Shared>, origins: Origins) -> Router<T> {
    let cors = origins.cors();
    Router::new()
        // any: whoever does not ask for an upgrade is told so, whatever the method
        .route("/ws", any(ws::connect))
        .route("/stream", post(stream::open).fallback(method_not_allowed))
        .route("/send", post(send::frames).fallback(method_not_allowed))
        .fallback(unknown_route)
        .layer(from_fn_with_state(origins, origin::check))
        // outermost: a preflight is answered before anything else is asked
        .layer(cors)
        .with_state(shared)
}
