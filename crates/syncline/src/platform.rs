//! What differs between a browser and a native program: tasks, time, hints from the surroundings, small memory.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
mod tasks;

use std::pin::Pin;

use futures::{Sink, Stream};

#[cfg(target_arch = "wasm32")]
pub(crate) use browser::{
    Hints, Instant, Spawner, SystemTime, default_connector, default_storage, event_streams, remember,
    remembered, sleep,
};
#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
pub use tasks::spawn_local;
// wakes tasks from other threads too
#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
pub use wasm_bindgen_futures::spawn_local;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{
    Hints, Instant, Spawner, SystemTime, default_connector, default_storage, event_streams, remember,
    remembered, sleep,
};

use crate::Error;

/// `Send` natively, nothing in a browser, where futures that touch JavaScript stay on their thread.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send` natively, nothing in a browser, where futures that touch JavaScript stay on their thread.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// A boxed future, [`MaybeSend`].
#[cfg(not(target_arch = "wasm32"))]
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// A boxed future, [`MaybeSend`].
#[cfg(target_arch = "wasm32")]
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// Frames that come in, [`MaybeSend`]. It ends with the connection; an error says why, and is the last item.
#[cfg(not(target_arch = "wasm32"))]
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Error>> + Send>>;
/// Frames that come in, [`MaybeSend`]. It ends with the connection; an error says why, and is the last item.
#[cfg(target_arch = "wasm32")]
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Error>>>>;

/// Where frames go out, [`MaybeSend`].
#[cfg(not(target_arch = "wasm32"))]
pub type FrameSink = Pin<Box<dyn Sink<Vec<u8>, Error = Error> + Send>>;
/// Where frames go out, [`MaybeSend`].
#[cfg(target_arch = "wasm32")]
pub type FrameSink = Pin<Box<dyn Sink<Vec<u8>, Error = Error>>>;
