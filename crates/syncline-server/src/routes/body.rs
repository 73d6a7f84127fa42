//! Bodies of a bounded size, in a bounded time.

use axum::body::Body;
use futures::StreamExt as _;
use syncline_core::{Error, code};
use tokio::time::timeout;

use crate::config::Config;

/// How far a body that is too large is read all the same, in limits: whoever is still sending cannot hear the refusal.
const PATIENCE: usize = 4;

/// Reads a body.
///
/// # Errors
/// `frame_too_large`, `bad_frame` when it breaks off, `timeout` when it does not come.
pub(super) async fn read(body: Body, config: &Config) -> Result<Vec<u8>, Error> {
    let late = |_| Err(Error::new(code::TIMEOUT, "the body did not arrive in time"));
    timeout(config.body_within, read_all(body, config.engine.limits.frame_bytes)).await.unwrap_or_else(late)
}

async fn read_all(body: Body, limit: usize) -> Result<Vec<u8>, Error> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Error::new(code::BAD_FRAME, "the body broke off"))?;
        length = length.saturating_add(chunk.len());
        if length <= limit {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
            if length > limit.saturating_mul(PATIENCE) {
                break;
            }
        }
    }
    if length <= limit { Ok(bytes) } else { Err(too_large(limit)) }
}

/// A frame is over the limit.
pub(super) fn too_large(limit: usize) -> Error {
    Error::new(code::FRAME_TOO_LARGE, format!("a frame, or a body of frames, is at most {limit} bytes"))
}
