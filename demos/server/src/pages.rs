//! What a browser loads: both apps, and the page that shows them side by side.

use std::path::Path;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{Html, Redirect};
use axum::routing::get;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

/// `/`, `/leptos/` and `/dioxus/`.
pub(crate) fn routes(dist: &Path) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("../../assets/side-by-side.html")) }))
        .route("/leptos", get(|| async { Redirect::permanent("/leptos/") }))
        .route("/dioxus", get(|| async { Redirect::permanent("/dioxus/") }))
        .nest_service("/leptos/", ServeDir::new(dist.join("leptos")))
        .nest_service("/dioxus/", ServeDir::new(dist.join("dioxus")))
        // a new build has the same file names: browsers are to ask whether what they have is still good
        .layer(SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-cache")))
}
