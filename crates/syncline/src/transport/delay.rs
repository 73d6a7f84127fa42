//! Holds frames back for a while, in order: a slow network for demonstrations and tests.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Sink, Stream};

use crate::platform::{Instant, sleep};
use crate::transport::Link;
use crate::{BoxFuture, Error, FrameSink, FrameStream};

/// Frames that may be held back in each direction; beyond that the connection waits.
const FRAMES: usize = 1024;

/// How long each frame is held back. Clones are the same switch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency {
    micros: Arc<AtomicU64>,
}

impl Latency {
    pub(crate) fn set(&self, latency: Duration) {
        self.micros.store(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

/// The same connection, each frame held back for `latency`.
pub(crate) fn delayed(link: Link, latency: &Latency) -> Link {
    Link {
        sender: Box::pin(DelayedSink { inner: link.sender, held: Held::new(latency) }),
        receiver: Box::pin(DelayedStream { inner: link.receiver, held: Held::new(latency), ended: false }),
    }
}

/// What is held back, with the time it is due; without one it is due when its turn comes, and nobody looks at the clock.
struct Held<T> {
    latency: Latency,
    items: VecDeque<(Option<Instant>, T)>,
    timer: Option<(Instant, BoxFuture<()>)>,
}

impl<T> Held<T> {
    fn new(latency: &Latency) -> Self {
        Self { latency: latency.clone(), items: VecDeque::new(), timer: None }
    }

    fn push(&mut self, item: T) {
        // due earlier than the one before it or not, it stands behind that one: nothing overtakes
        let latency = self.latency.get();
        self.items.push_back(((!latency.is_zero()).then(|| Instant::now() + latency), item));
    }

    /// Ready when the first item is due, pending when it is not or there is none.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((due, _)) = self.items.front() else { return Poll::Pending };
        let Some(due) = *due else { return Poll::Ready(()) };
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Poll::Ready(());
            }
            if self.timer.as_ref().is_none_or(|(set_for, _)| *set_for != due) {
                self.timer = Some((due, sleep(left)));
            }
            if let Some((_, timer)) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
            }
            self.timer = None;
        }
    }
}

struct DelayedStream {
    inner: FrameStream,
    // the end of the connection is held back like everything before it
    held: Held<Option<Result<Vec<u8>, Error>>>,
    ended: bool,
}

impl Stream for DelayedStream {
    type Item = Result<Vec<u8>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.held.poll_due(cx).is_ready() {
                return Poll::Ready(self.held.items.pop_front().and_then(|(_, item)| item));
            }
            // no further ahead than it has to: what is not read holds the sender back
            if self.ended || self.held.items.len() >= FRAMES {
                return Poll::Pending;
            }
            let item = ready!(self.inner.as_mut().poll_next(cx));
            self.ended = item.is_none();
            self.held.push(item);
        }
    }
}

struct DelayedSink {
    inner: FrameSink,
    held: Held<Vec<u8>>,
}

impl DelayedSink {
    fn poll_forward(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.held.items.is_empty() {
            ready!(self.held.poll_due(cx));
            ready!(self.inner.as_mut().poll_ready(cx))?;
            if let Some((_, frame)) = self.held.items.pop_front() {
                self.inner.as_mut().start_send(frame)?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Sink<Vec<u8>> for DelayedSink {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.held.items.len() < FRAMES {
            return Poll::Ready(Ok(()));
        }
        self.poll_forward(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Vec<u8>) -> Result<(), Error> {
        self.held.push(frame);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_forward(cx))?;
        self.inner.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_forward(cx))?;
        self.inner.as_mut().poll_close(cx)
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::transport::memory::link_pair;

    const SLOW: Duration = Duration::from_millis(800);

    #[tokio::test(start_paused = true)]
    async fn frames_are_late_both_ways_and_keep_their_order() {
        let latency = Latency::default();
        latency.set(SLOW);
        let (client, mut server) = link_pair();
        let mut client = delayed(client, &latency);

        let start = Instant::now();
        server.send("1").await.unwrap();
        server.send("2").await.unwrap();
        assert_eq!(client.receive().await, Ok(Some(b"1".to_vec())));
        assert_eq!(start.elapsed(), SLOW);
        assert_eq!(client.receive().await, Ok(Some(b"2".to_vec())));
        assert_eq!(start.elapsed(), SLOW);

        client.send("3").await.unwrap();
        assert_eq!(server.receive().await, Ok(Some(b"3".to_vec())));
        assert_eq!(start.elapsed(), SLOW * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_does_not_overtake_when_the_latency_is_lowered() {
        let latency = Latency::default();
        latency.set(SLOW);
        let (client, mut server) = link_pair();
        let mut client = delayed(client, &latency);
        server.send("slow").await.unwrap();
        assert!(client.receive().now_or_never().is_none());
        latency.set(Duration::ZERO);
        server.send("fast").await.unwrap();
        assert_eq!(client.receive().await, Ok(Some(b"slow".to_vec())));
        assert_eq!(client.receive().await, Ok(Some(b"fast".to_vec())));
    }

    #[tokio::test(start_paused = true)]
    async fn without_latency_nothing_waits() {
        let (client, mut server) = link_pair();
        let mut client = delayed(client, &Latency::default());
        let start = Instant::now();
        client.send("1").await.unwrap();
        assert_eq!(server.receive().await, Ok(Some(b"1".to_vec())));
        drop(server);
        assert_eq!(client.receive().await, Ok(None));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
