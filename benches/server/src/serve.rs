//! The contenders.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use anyhow::{Result, bail};
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use serde::{Deserialize, Serialize};
use syncline_core::{Channel, Draft, Error};
use syncline_server::{Memory, Sqlite, Syncline};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::Item;

/// What serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// Syncline's server.
    Syncline,
    /// An axum handler around a broadcast channel, with the same settings of its sockets.
    Axum,
    /// Bytes made beforehand, written to one socket after the other: faster than anything could be that does something. It
    /// shows what the load can take.
    Bytes,
}

impl Contender {
    pub(crate) const ALL: [Self; 3] = [Self::Bytes, Self::Axum, Self::Syncline];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Syncline => "syncline",
            Self::Axum => "axum",
            Self::Bytes => "bytes",
        }
    }
}

impl FromStr for Contender {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|contender| contender.name() == name) {
            Some(contender) => Ok(contender),
            None => bail!("no contender {name}"),
        }
    }
}

/// Puts an item; nothing else is to be measured.
#[derive(Serialize, Deserialize)]
pub(crate) enum ItemAction {
    Put { id: String, text: String },
}

pub(crate) struct ItemChannel;

impl Channel for ItemChannel {
    const NAME: &'static str = "items";
    type Record = Item;
    type Action = ItemAction;
    type Output = ();
    type Error = Error;

    fn reduce(items: &mut Draft<'_, Item>, ItemAction::Put { id, text }: &ItemAction) {
        items.put(Item { id: id.clone(), text: text.clone() });
    }
}

/// Serves until it is killed, and says where.
pub(crate) fn run(contender: Contender, database: Option<String>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    if contender == Contender::Bytes {
        return bytes(&listener);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let app = match contender {
            Contender::Syncline => {
                let builder = Syncline::builder();
                let syncline = match database {
                    Some(file) => with_channel(builder.storage(Sqlite::open(file)?)).await?,
                    None => with_channel(builder.storage(Memory::default())).await?,
                };
                syncline.router()
            }
            _ => Router::new().route("/ws", get(upgrade)).with_state(broadcast::channel(1024).0),
        };
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(axum::serve(listener.tap_io(|tcp| drop(tcp.set_nodelay(true))), app).await?)
    })
}

async fn with_channel<S: syncline_server::Storage>(builder: syncline_server::Builder<S>) -> Result<Syncline> {
    let builder = builder.channel::<ItemChannel>(|tx, action, _| {
        ItemChannel::reduce(&mut tx.rows(), &action);
        Ok(())
    });
    Ok(builder.build().await?)
}

async fn upgrade(
    State(all): State<broadcast::Sender<Message>>,
    socket: WebSocketUpgrade,
) -> axum::response::Response {
    socket
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(32 * 1024)
        .max_message_size(2 * 1024 * 1024)
        .on_upgrade(move |socket| relay(socket, all))
}

async fn relay(mut socket: WebSocket, all: broadcast::Sender<Message>) {
    let mut others = all.subscribe();
    loop {
        tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(message @ Message::Text(_))) => drop(all.send(message)),
                Some(Ok(_)) => {}
                _ => return,
            },
            message = others.recv() => match message {
                Ok(message) => if socket.send(message).await.is_err() { return },
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}

/// One thread takes connections, and one a connection that says something, which is passed on as it is.
fn bytes(listener: &TcpListener) -> Result<()> {
    let all = Arc::new(Mutex::new(Vec::<TcpStream>::new()));
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut stream, &mut byte)?;
            request.push(byte[0]);
        }
        let accept = derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        stream.set_nodelay(true)?;
        let speaks = request.windows(7).any(|bytes| bytes == b"speaks:");
        let mut listening = all.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        listening.push(stream.try_clone()?);
        // the first one is the sender
        if listening.len() == 1 || speaks {
            let all = Arc::clone(&all);
            std::thread::spawn(move || pass_on(stream, &all));
        }
    }
    Ok(())
}

fn pass_on(mut sender: TcpStream, all: &Mutex<Vec<TcpStream>>) -> Option<()> {
    loop {
        let mut head = [0; 2];
        std::io::Read::read_exact(&mut sender, &mut head).ok()?;
        let mut length = usize::from(head[1] & 0x7f);
        if length == 126 {
            let mut long = [0; 2];
            std::io::Read::read_exact(&mut sender, &mut long).ok()?;
            length = usize::from(u16::from_be_bytes(long));
        }
        let mut masked = vec![0; length + 4];
        std::io::Read::read_exact(&mut sender, &mut masked).ok()?;
        let mut frame = vec![0x81, 126];
        frame.extend((length as u16).to_be_bytes());
        frame.extend(&masked[4..]);
        for stream in all.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter_mut() {
            stream.write_all(&frame).ok()?;
        }
    }
}
