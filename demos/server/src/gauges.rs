//! `GET /gauges`: how much is open right now; tests see there that nothing is left behind.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use syncline_server::Syncline;

/// `/gauges` and `/healthz`.
pub(crate) fn routes(syncline: Syncline) -> Router {
    let gauges = move || {
        let gauges = syncline.gauges();
        async move {
            Json(json!({
                "connections": gauges.connections,
                "subscriptions": gauges.subscriptions,
                "spaces": gauges.spaces,
            }))
        }
    };
    Router::new().route("/gauges", get(gauges)).route("/healthz", get(|| async { "ok" }))
}
