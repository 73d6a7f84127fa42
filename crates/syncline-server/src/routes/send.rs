//! `POST /send`: frames towards the server, one a line, for the connection that the header names.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use syncline_core::{Error, code};

use crate::connection::Shared;
use crate::origin::LINK_HEADER;
use crate::problem::Problem;
use crate::routes::body;

pub(super) async fn frames(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let Some(link) = headers.get(LINK_HEADER) else {
        let message = "the link is missing that the stream's welcome told";
        return Err(Error::new(code::BAD_FRAME, message).with_field(LINK_HEADER.as_str()).into());
    };
    let inbound = link.to_str().ok().and_then(|link| shared.link(link)).ok_or_else(unknown_link)?;
    let _turn = inbound.call()?;
    let frames = body::read(body, &shared.config).await?;
    for frame in frames.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        inbound.frame(frame.to_vec(), &shared.config).await.map_err(|_| unknown_link())?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn unknown_link() -> Error {
    Error::new(code::UNKNOWN_LINK, "the link is not open, or not any more")
}
