//! A client on a WebSocket.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Heard, Server, hello, soon, subscribe};

pub(crate) struct Ws {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Ws {
    /// Connects and says nothing.
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::connect_with(server, &[]).await.unwrap()
    }

    pub(crate) async fn connect_with(
        server: &Server,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut request = server.url("ws", "ws").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        soon(connect_async(request)).await.map(|(socket, _)| Self { socket })
    }

    /// Connects, says hello and is welcome.
    pub(crate) async fn open(server: &Server, client: &str) -> Self {
        let mut ws = Self::connect(server).await;
        ws.say(&hello(client)).await;
        assert_eq!(ws.hear().await.name, "welcome");
        ws
    }

    /// Also subscribes to the notes of a space, and gets the snapshot.
    pub(crate) async fn watch(server: &Server, client: &str, space: &str) -> (Self, Heard) {
        let mut ws = Self::open(server, client).await;
        ws.say(&subscribe(1, space)).await;
        let snapshot = ws.hear_one("snapshot").await;
        (ws, snapshot)
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        self.say_raw(Message::text(frame.to_string())).await;
    }

    pub(crate) async fn say_raw(&mut self, message: Message) {
        soon(self.socket.send(message)).await.unwrap();
    }

    /// The next frame.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> impl Future<Output = Heard> {
        let next = soon(self.next());
        async move { next.await.unwrap_or_else(|close| panic!("closed instead: {close:?}")) }
    }

    /// The next frame, which is this message.
    #[track_caller]
    pub(crate) fn hear_one(&mut self, name: &str) -> impl Future<Output = Heard> {
        let next = self.hear();
        async move {
            let heard = next.await;
            assert_eq!(heard.name, name, "{heard:?}");
            heard
        }
    }

    /// The frames until the connection ends, and the code and reason it is closed with.
    #[track_caller]
    pub(crate) fn hear_to_the_end(mut self) -> impl Future<Output = (Vec<Heard>, Option<(u16, String)>)> {
        soon(async move {
            let mut heard = Vec::new();
            loop {
                match self.next().await {
                    Ok(frame) => heard.push(frame),
                    Err(close) => return (heard, close),
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Heard, Option<(u16, String)>> {
        let told = |close: CloseFrame| (close.code.into(), close.reason.to_string());
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Heard::parse(text.as_bytes())),
                Some(Ok(Message::Binary(bytes))) => return Ok(Heard::parse(&bytes)),
                Some(Ok(Message::Close(close))) => return Err(close.map(told)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        soon(self.socket.close(None)).await.unwrap();
        while soon(self.socket.next()).await.is_some() {}
    }
}
