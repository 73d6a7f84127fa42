//! Both directions of a client's socket.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::config::Config;
use crate::connection::{Budget, Budgeted, Refuser};
use crate::partysync::guest::{Guest, Next, Piece};
use crate::partysync::request::Request;
use crate::routes::ws::{FRAGMENT, Sink, Socket, Source, read_away, refusal, short};

/// The requests that are read ahead of those that are being done.
const AHEAD: usize = 4;
/// The most pongs that wait to be told to the engine. It asks once and waits for the answer.
const PONGS: usize = 4;

/// How both directions have come to an end.
enum End {
    /// The client is gone, or takes nothing any more.
    Gone,
    /// The goodbye is sent; the client's is awaited.
    Goodbye,
    /// The goodbye is sent to a client that was not understood.
    Refusal,
}

pub(super) async fn serve(socket: Socket, guest: Guest, config: &Config) {
    let (mut sink, mut source) = socket.split();
    match both_ways(&mut sink, &mut source, guest, config).await {
        End::Gone => {}
        End::Goodbye => {
            let rest = async { while let Some(Ok(_)) = source.next().await {} };
            let _ = timeout(config.close_within, rest).await;
        }
        // a socket that is closed with something unread takes back what it has sent
        End::Refusal => {
            if let Ok(socket) = sink.reunite(source) {
                read_away(socket.into_inner(), config.close_within).await;
            }
        }
    }
}

async fn both_ways(sink: &mut Sink, source: &mut Source, mut guest: Guest, config: &Config) -> End {
    let outbox = Arc::clone(&guest.connection.outbox);
    let refuser = guest.connection.refuser();
    let (requests, asked) = mpsc::channel(AHEAD);
    let (pongs, ponged) = mpsc::channel(PONGS);
    let mut sending = pin!(send(sink, &mut guest, asked, ponged));
    let ahead = Ahead { requests, budget: Budget::new(config) };
    let mut receiving = pin!(receive(source, &ahead, &pongs, &refuser, config));
    let mut overdue = pin!(async {
        outbox.closed().await;
        sleep(config.close_within).await;
    });
    let mut is_receiving = true;
    loop {
        tokio::select! {
            () = &mut receiving, if is_receiving => {
                is_receiving = false;
                if !outbox.is_closed() {
                    return End::Gone;
                }
            }
            sent = &mut sending => return match sent {
                Ok(()) if is_receiving => End::Goodbye,
                Ok(()) => End::Refusal,
                Err(_) => End::Gone,
            },
            () = &mut overdue => return End::Gone,
        }
    }
}

/// Sends what happens, a close frame last, and does what is asked in between.
async fn send(
    sink: &mut Sink,
    guest: &mut Guest,
    mut asked: mpsc::Receiver<(Request, Budgeted)>,
    mut ponged: mpsc::Receiver<u64>,
) -> Result<(), SocketError> {
    let (mut quiet, mut turns) = (guest.quiet(), Turns::default());
    loop {
        guest.let_go().await;
        let (is_free, is_streaming) = (guest.is_free(), guest.is_streaming());
        let next = tokio::select! {
            next = guest.next() => next,
            // the engine is told that the client is there when it says so itself
            Some(ping) = ponged.recv() => {
                guest.alive(ping).await;
                continue;
            }
            Some((request, _share)) = asked.recv(), if is_free => {
                Next::Told(guest.ask(request).await.into_iter().collect())
            }
            Ok(()) = quiet.changed(), if !is_streaming => Next::Told(guest.quiet_news()),
        };
        match next {
            Next::Told(pieces) => {
                for piece in turns.of(pieces) {
                    send_piece(sink, piece).await?;
                }
            }
            Next::Ping(ping) => {
                let number = Bytes::copy_from_slice(&ping.to_be_bytes());
                sink.send(Message::Ping(number)).await?;
            }
            Next::End { code, reason } => {
                let close = CloseFrame { code, reason: short(&reason) };
                return sink.send(Message::Close(Some(close))).await;
            }
        }
    }
}

/// One message at a time: what begins while another is sent in pieces waits for the end of that. Answers may come in between.
#[derive(Default)]
struct Turns {
    is_open: bool,
    waiting: Vec<Piece>,
}

impl Turns {
    /// Those of the pieces whose turn it is, in their order.
    fn of(&mut self, pieces: Vec<Piece>) -> Vec<Piece> {
        let mut next = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if self.is_open && piece.begins {
                self.waiting.push(piece);
                continue;
            }
            self.is_open = !piece.ends;
            next.push(piece);
            if !self.is_open {
                next.append(&mut self.waiting);
            }
        }
        next
    }
}

/// Of a message, in fragments of a bounded size.
async fn send_piece(sink: &mut Sink, Piece { bytes, begins, ends }: Piece) -> Result<(), SocketError> {
    let fragments = bytes.len().div_ceil(FRAGMENT).max(1);
    for number in 0..fragments {
        let part = bytes.slice(number * FRAGMENT..bytes.len().min((number + 1) * FRAGMENT));
        let kind = if begins && number == 0 { Data::Text } else { Data::Continue };
        let is_last = ends && number + 1 == fragments;
        sink.send(Message::Frame(Frame::message(part, OpCode::Data(kind), is_last))).await?;
    }
    Ok(())
}

/// Where requests wait that are read ahead: so many, and so many bytes.
struct Ahead {
    requests: mpsc::Sender<(Request, Budgeted)>,
    budget: Budget,
}

/// Reads what the client says, until it is gone or not understood any more.
async fn receive(
    source: &mut Source,
    ahead: &Ahead,
    pongs: &mpsc::Sender<u64>,
    refuser: &Refuser,
    config: &Config,
) {
    while let Some(received) = source.next().await {
        let (request, bytes) = match received {
            Ok(Message::Text(text)) => (Request::read(text.as_bytes()), text.len()),
            Ok(Message::Binary(bytes)) => (Request::read(&bytes), bytes.len()),
            Ok(Message::Pong(number)) => {
                if let Ok(number) = <[u8; 8]>::try_from(&*number) {
                    // with so many on their way the engine knows
                    let _ = pongs.try_send(u64::from_be_bytes(number));
                }
                continue;
            }
            // pings and the answer to a close are sent by the socket itself, as it is read on
            Ok(_) => continue,
            Err(error) => {
                if let Some(error) = refusal(&error, config) {
                    refuser.refuse(error);
                }
                return;
            }
        };
        // a connection that is ending is read to its end and not listened to
        let Ok(share) = ahead.budget.take(bytes, config).await else { return };
        if ahead.requests.send((request, share)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_waits_for_the_end_of_a_message_that_is_sent_in_pieces() {
        let piece = |text: &'static str, begins, ends| Piece { bytes: text.into(), begins, ends };
        let mut turns = Turns::default();
        let mut told = |pieces| turns.of(pieces).into_iter().map(|piece| piece.bytes).collect::<Vec<_>>();
        assert_eq!(told(vec![Piece::whole("0"), piece("[", true, false)]), ["0", "["]);
        assert_eq!(told(vec![Piece::whole("1"), piece("2", false, false)]), ["2"]);
        assert_eq!(told(vec![Piece::whole("3"), piece("]", false, true)]), ["]", "1", "3"]);
        assert_eq!(told(vec![Piece::whole("4")]), ["4"]);
    }
}
