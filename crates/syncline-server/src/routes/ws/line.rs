//! The two halves of a connection's socket, both of its one task: frames go out past the WebSocket library, which reads and
//! answers what the protocol itself asks.
//!
//! Most of what a server does is to tell many connections the same, so the way of a frame from the outbox to the socket
//! is short: one copy behind its header, together with all frames that wait, in one write.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use syncline_core::Error;
use syncline_core::wire::{Frame, JSON, ServerMessage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::outbox::{Next, Outbox};
use crate::routes::ws::FRAGMENT;

/// The most that a header takes before the payload of a frame from a server.
const HEADER: usize = 10;

/// How much may be on its way before a client's pings are answered no more: some fragments' worth of pongs.
const MOST_LEAVING: usize = 4 * FRAGMENT;

/// What both halves share. A lock, for a task moves between threads; there is never anybody to wait for.
struct Line<W> {
    /// `None` once it is closed.
    wire: Option<W>,
    /// What is on its way, whole fragments and what the protocol has to say between them; and how much of it the wire has
    /// taken.
    leaving: Vec<u8>,
    taken: usize,
    /// The other half waits until all of it has left: what frees the wire wakes the half that has used it last.
    protocol: Option<Waker>,
}

/// Both halves of a socket.
pub(super) fn halves<W>(wire: W) -> (Frames<W>, Protocol<W>) {
    let line = Line { wire: Some(wire), leaving: Vec::new(), taken: 0, protocol: None };
    let line = Arc::new(Mutex::new(line));
    (Frames { line: Arc::clone(&line), kind: Data::Text, frame: None }, Protocol { line })
}

/// The half that sends what comes out of the outbox.
pub(super) struct Frames<W> {
    line: Arc<Mutex<Line<W>>>,
    /// What messages in the client's encoding are.
    kind: Data,
    /// The frame that is being sent, and where its next fragment begins.
    frame: Option<(Arc<[u8]>, usize)>,
}

impl<W: AsyncWrite + Unpin> Frames<W> {
    /// Ready when everything has left that was begun, by either half.
    pub(super) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.line).poll_left(cx)
    }

    /// Sends until everything has left and nothing follows; gives why. `drained` is told of each [`Next::Drained`].
    pub(super) fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &Outbox,
        mut drained: impl FnMut(u64),
    ) -> Poll<io::Result<Option<Error>>> {
        let Self { line, kind, frame } = self;
        let mut line = lock(line);
        loop {
            ready!(line.poll_left(cx))?;
            let (bytes, start) = match frame.take() {
                Some(cut) => cut,
                None => match outbox.poll_next(cx) {
                    Poll::Ready(Next::Frame(bytes)) => (bytes, 0),
                    Poll::Ready(Next::Drained { epoch }) => {
                        drained(epoch);
                        continue;
                    }
                    Poll::Ready(Next::Closed(error)) => return Poll::Ready(Ok(error)),
                    Poll::Pending => {
                        ready!(line.poll_flush(cx))?;
                        return Poll::Pending;
                    }
                },
            };
            let end = line.add(&bytes, start, *kind)?;
            if end < bytes.len() {
                *frame = Some((bytes, end));
                continue;
            }
            *kind = welcomed_kind(&bytes).unwrap_or(*kind);
            while let Some(bytes) = outbox.more(FRAGMENT.saturating_sub(line.leaving.len())) {
                line.add(&bytes, 0, *kind)?;
                *kind = welcomed_kind(&bytes).unwrap_or(*kind);
            }
        }
    }
}

impl<W: AsyncWrite + Unpin> Line<W> {
    /// [`poll_left`](Self::poll_left), and whichever half it is that sends the rest, the protocol's hears of it.
    fn poll_left_for_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let left = self.poll_left(cx);
        if left.is_pending() {
            self.protocol = Some(cx.waker().clone());
        }
        left
    }

    /// Adds the fragment of a frame that begins there; gives where it ends. Those of a text may end within a character.
    fn add(&mut self, frame: &[u8], start: usize, kind: Data) -> io::Result<usize> {
        let end = frame.len().min(start + FRAGMENT);
        let opcode = OpCode::Data(if start == 0 { kind } else { Data::Continue });
        let header = FrameHeader { is_final: end == frame.len(), opcode, ..FrameHeader::default() };
        self.leaving.reserve(HEADER + end - start);
        header.format((end - start) as u64, &mut self.leaving).map_err(io::Error::other)?;
        self.leaving.extend_from_slice(&frame[start..end]);
        Ok(end)
    }

    /// Ready when everything has left.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.taken < self.leaving.len() {
            let wire = self.wire.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            match ready!(Pin::new(wire).poll_write(cx, &self.leaving[self.taken..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.taken += count,
            }
        }
        // an idle connection keeps no room
        (self.leaving, self.taken) = (Vec::new(), 0);
        if let Some(protocol) = self.protocol.take() {
            protocol.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.wire.as_mut().ok_or(io::ErrorKind::NotConnected)?).poll_flush(cx)
    }
}

/// The half that is read, and through which pongs and goodbyes are sent; dropped, it closes the socket.
pub(super) struct Protocol<W> {
    line: Arc<Mutex<Line<W>>>,
}

impl<W> Drop for Protocol<W> {
    fn drop(&mut self) {
        lock(&self.line).wire = None;
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for Protocol<W> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut line = lock(&self.line);
        Pin::new(line.wire.as_mut().ok_or(io::ErrorKind::NotConnected)?).poll_read(cx, buffer)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Protocol<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut line = lock(&self.line);
        if line.leaving.len() > MOST_LEAVING {
            ready!(line.poll_left_for_protocol(cx))?;
        }
        // right behind the fragments that have begun, before all frames that wait
        line.leaving.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = lock(&self.line);
        ready!(line.poll_left_for_protocol(cx))?;
        line.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = lock(&self.line);
        Pin::new(line.wire.as_mut().ok_or(io::ErrorKind::NotConnected)?).poll_shutdown(cx)
    }
}

fn lock<W>(line: &Mutex<Line<W>>) -> MutexGuard<'_, Line<W>> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What messages are from this frame on, when it is a welcome.
fn welcomed_kind(frame: &[u8]) -> Option<Data> {
    if !frame.starts_with(br#"{"welcome""#) {
        return None;
    }
    match Frame::parse(frame).ok()?.message {
        ServerMessage::Welcome(welcome) if welcome.encoding != JSON => Some(Data::Binary),
        _ => Some(Data::Text),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use futures::FutureExt as _;
    use syncline_core::code;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const LIMIT: usize = 1_000_000;
    const WELCOME: &[u8] = br#"{"welcome":{"protocol":1,"user":{"id":"ada"},"encoding":"packed","heartbeat_ms":30000,"limits":{"frame_bytes":1,"writes_in_flight":1,"subscriptions":1}}}"#;

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    struct Rig {
        outbox: Outbox,
        frames: Frames<DuplexStream>,
        protocol: Protocol<DuplexStream>,
        client: DuplexStream,
    }

    /// A socket that takes so many bytes before its client has read them.
    fn rig(room: usize) -> Rig {
        let (wire, client) = duplex(room);
        let (frames, protocol) = halves(wire);
        Rig { outbox: Outbox::new(LIMIT), frames, protocol, client }
    }

    impl Rig {
        fn put(&self, frame: &[u8]) {
            let _ = self.outbox.put(frame.into(), true, false);
        }

        /// Sends as far as the socket takes it.
        fn send(&mut self) -> Option<io::Result<Option<Error>>> {
            let Self { outbox, frames, .. } = self;
            poll_fn(|cx| frames.poll_end(cx, outbox, |_| {})).now_or_never()
        }

        fn read(&mut self, count: usize) -> Vec<u8> {
            let mut bytes = vec![0; count];
            let read = self.client.read_exact(&mut bytes).now_or_never();
            assert!(read.is_some_and(|read| read.is_ok()), "{count} bytes are there");
            bytes
        }
    }

    #[test]
    fn what_waits_leaves_in_one_write_and_keeps_no_room() {
        let mut rig = rig(1);
        rig.put(b"{}");
        rig.put(b"[1]");
        assert!(rig.send().is_none());
        assert_eq!(lock(&rig.frames.line).leaving, b"\x81\x02{}\x81\x03[1]");
        for byte in *b"\x81\x02{}\x81\x03[1]" {
            assert_eq!(rig.read(1), [byte]);
            assert!(rig.send().is_none());
        }
        assert_eq!(lock(&rig.frames.line).leaving.capacity(), 0);
    }

    #[test]
    fn a_large_frame_leaves_in_fragments_and_the_next_one_behind_it() {
        let mut rig = rig(1_000_000);
        rig.put(&vec![b'a'; FRAGMENT + 1]);
        rig.put(b"{}");
        assert!(rig.send().is_none());
        let length = (FRAGMENT as u16).to_be_bytes();
        assert_eq!(rig.read(4), [0x01, 126, length[0], length[1]]);
        assert_eq!(rig.read(FRAGMENT), vec![b'a'; FRAGMENT]);
        assert_eq!(rig.read(7), b"\x80\x01a\x81\x02{}");
    }

    #[test]
    fn frames_are_binary_after_a_welcome_that_says_so() {
        let mut rig = rig(1_000);
        rig.put(WELCOME);
        rig.put(b"{}");
        assert!(rig.send().is_none());
        assert_eq!(rig.read(1), [0x81]);
        rig.read(3 + WELCOME.len());
        assert_eq!(rig.read(4), b"\x82\x02{}");
    }

    #[test]
    fn a_pong_leaves_behind_the_fragment_that_has_begun_and_before_frames_that_wait() {
        let mut rig = rig(4);
        rig.put(&vec![b'a'; 2 * FRAGMENT]);
        assert!(rig.send().is_none());
        assert_eq!(rig.read(4), [0x01, 126, 0x40, 0x00]);
        assert!(matches!(rig.protocol.write(b"\x8a\x00").now_or_never(), Some(Ok(2))));
        let mut bytes = Vec::new();
        while bytes.len() < FRAGMENT + 4 {
            assert!(rig.send().is_none());
            bytes.extend(rig.read(4));
        }
        assert_eq!(bytes[FRAGMENT..], *b"\x8a\x00\x80\x7e");
    }

    #[test]
    fn what_the_protocol_has_to_say_leaves_without_any_frame() {
        let mut rig = rig(1);
        assert!(matches!(rig.protocol.write(b"\x8a\x00").now_or_never(), Some(Ok(2))));
        assert!(rig.protocol.flush().now_or_never().is_none());
        assert_eq!(rig.read(1), b"\x8a");
        assert!(matches!(rig.protocol.flush().now_or_never(), Some(Ok(()))));
        assert_eq!(rig.read(1), b"\x00");
    }

    /// What frees the wire wakes whoever wrote to it last, and that is not the half that waits.
    #[test]
    fn the_protocol_hears_when_the_other_half_has_sent_what_it_said() {
        let mut rig = rig(1);
        assert!(matches!(rig.protocol.write(b"\x88\x00").now_or_never(), Some(Ok(2))));
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        assert!(Pin::new(&mut rig.protocol).poll_flush(&mut Context::from_waker(&waker)).is_pending());
        assert!(rig.send().is_none());
        rig.read(1);
        assert!(rig.send().is_none());
        assert!(woken.0.load(Ordering::Relaxed));
    }

    #[test]
    fn pongs_that_nobody_takes_are_bounded() {
        let mut rig = rig(1);
        let pongs = std::iter::repeat_with(|| rig.protocol.write(&[0; 1_024]).now_or_never());
        assert_eq!(pongs.take_while(Option::is_some).take(1_000).count(), MOST_LEAVING / 1_024 + 1);
    }

    #[test]
    fn it_ends_when_everything_has_left() {
        let mut rig = rig(3);
        rig.put(b"{}");
        rig.outbox.close(Some(Error::new(code::FORBIDDEN, "no")));
        assert!(rig.send().is_none());
        rig.read(3);
        assert!(matches!(rig.send(), Some(Ok(Some(error))) if error.code() == code::FORBIDDEN));
    }

    #[test]
    fn a_client_that_is_gone_is_noticed() {
        let mut rig = rig(1_000);
        drop(std::mem::replace(&mut rig.client, duplex(1).0));
        rig.put(b"{}");
        assert!(matches!(rig.send(), Some(Err(_))));
    }

    #[test]
    fn the_socket_is_closed_with_the_half_that_reads() {
        let mut rig = rig(1_000);
        drop(std::mem::replace(&mut rig.protocol, halves(duplex(1).0).1));
        assert!(rig.client.read_u8().now_or_never().is_some_and(|read| read.is_err()));
    }
}
