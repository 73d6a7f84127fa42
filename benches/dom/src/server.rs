//! The server's end of a connection in memory.

use futures::{FutureExt as _, StreamExt as _};
use syncline::transport::{Link, memory};
use syncline::{Client, Error};

const WELCOME: &str = r#"{"welcome":{"protocol":1,"user":{"id":"u"},"encoding":"json-bytes","heartbeat_ms":30000,"limits":{"frame_bytes":2097152,"writes_in_flight":256,"subscriptions":256}}}"#;

pub(crate) struct Server(Link);

impl Server {
    /// Mounts a page whose client connects here, and waits until it has subscribed: the subscription has the number 1.
    pub(crate) async fn of(mount: impl FnOnce(Client)) -> Result<Self, Error> {
        let (connector, mut listener) = memory::pair();
        let client = Client::builder("memory").connector(connector).without_storage().build();
        mount(client);
        let incoming = listener.accept().await.ok_or_else(|| Error::new("closed", "nobody connects"))?;
        let mut server = Self(incoming.accept());
        server.hear().await?;
        server.send(WELCOME.into())?;
        server.hear().await?;
        Ok(server)
    }

    /// Hands a frame over, as a browser does: whoever takes it is awake when this returns.
    pub(crate) fn send(&mut self, frame: Vec<u8>) -> Result<(), Error> {
        let sent = self.0.send(frame).now_or_never();
        sent.unwrap_or_else(|| Err(Error::new("connection", "too many frames wait")))
    }

    /// The next frame from the client.
    async fn hear(&mut self) -> Result<(), Error> {
        match self.0.receiver.next().await {
            Some(frame) => frame.map(drop),
            None => Err(Error::new("closed", "the client is gone")),
        }
    }
}
