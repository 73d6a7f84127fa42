//! Real servers on ports of their own, and what may stand between them and a client.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use axum::serve::ListenerExt as _;
use syncline_server::{AuthError, Credentials, Memory, Syncline, User};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Todo, soon};

/// A Syncline server with todos in memory, until dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) syncline: Syncline,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Where anybody may do anything.
    pub(crate) async fn start() -> Self {
        Self::of(
            Syncline::builder().storage(Memory::new()).collection::<Todo>(()).build().await.unwrap(),
            |app| app,
        )
        .await
    }

    /// The same, where something on the way lets no WebSocket pass.
    pub(crate) async fn without_websockets() -> Self {
        let refuse = |request: Request, next: Next| async move {
            if request.uri().path().ends_with("/ws") {
                return (StatusCode::FORBIDDEN, "<h1>no such thing in this hotel</h1>").into_response();
            }
            next.run(request).await
        };
        let syncline =
            Syncline::builder().storage(Memory::new()).collection::<Todo>(()).build().await.unwrap();
        Self::of(syncline, |app| app.layer(from_fn(refuse))).await
    }

    /// Where one has to show one of these tokens; they may change.
    pub(crate) async fn with_tokens(good: Arc<Mutex<String>>) -> Self {
        let authenticate = move |credentials: Credentials| {
            let good = good.lock().unwrap().clone();
            async move {
                match credentials.token {
                    Some(token) if token == "forbidden" => {
                        Err(syncline_server::Error::new("forbidden", "not you"))
                    }
                    Some(token) if token == good => Ok(User { id: "ada".into(), name: None }),
                    _ => Err(AuthError::new("who are you?").into()),
                }
            }
        };
        let builder = Syncline::builder().storage(Memory::new()).authenticate(authenticate);
        Self::of(builder.collection::<Todo>(()).build().await.unwrap(), |app| app).await
    }

    pub(crate) async fn of(syncline: Syncline, around: impl FnOnce(Router) -> Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.tap_io(|connection| connection.set_nodelay(true).unwrap());
        let app = around(Router::new().nest("/sync", syncline.router()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, syncline, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/sync", self.address)
    }
}

/// Counts the connections to a server, until dropped.
pub(crate) struct Between {
    pub(crate) address: SocketAddr,
    counted: watch::Receiver<Counted>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Ever made.
    pub(crate) made: usize,
    /// Open now.
    pub(crate) open: usize,
}

impl Between {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        Self::wrapping(server, |stream| async { Some(stream) }).await
    }

    /// At an address where somebody listened before.
    pub(crate) async fn start_at(address: SocketAddr, server: SocketAddr) -> Self {
        // whoever went may take a moment to be gone
        let listener = soon(async {
            loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        Self::of(listener.await, server, |stream| async { Some(stream) })
    }

    /// With something around each connection, or nothing where that fails.
    pub(crate) async fn wrapping<S, Fut>(
        server: SocketAddr,
        wrap: impl Fn(TcpStream) -> Fut + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        Fut: Future<Output = Option<S>> + Send + 'static,
    {
        // also at the other addresses of this machine
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        Self::of(listener, server, wrap)
    }

    fn of<S, Fut>(
        listener: TcpListener,
        server: SocketAddr,
        wrap: impl Fn(TcpStream) -> Fut + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        Fut: Future<Output = Option<S>> + Send + 'static,
    {
        let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
        let (count, counted) = watch::channel(Counted::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (count, mut pairs) = (Arc::new(count), JoinSet::new());
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.send_modify(|count| (count.made, count.open) = (count.made + 1, count.open + 1));
                let (wrapped, count) = (wrap(stream), Arc::clone(&count));
                pairs.spawn(async move {
                    if let Some(mut client) = wrapped.await {
                        let mut server = TcpStream::connect(server).await.unwrap();
                        server.set_nodelay(true).unwrap();
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                    count.send_modify(|count| count.open -= 1);
                });
            }
        });
        Self { address, counted, _tasks: tasks }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/sync", self.address)
    }

    pub(crate) fn counted(&self) -> Counted {
        *self.counted.borrow()
    }

    /// Waits until so many are open.
    pub(crate) async fn open(&mut self, open: usize) {
        soon(self.counted.wait_for(|counted| counted.open == open)).await.unwrap();
    }
}

/// A connection whose bytes are counted, in either direction.
pub(crate) struct Metered {
    stream: TcpStream,
    bytes: Arc<AtomicUsize>,
}

impl Metered {
    pub(crate) fn new(stream: TcpStream, bytes: &Arc<AtomicUsize>) -> Self {
        Self { stream, bytes: Arc::clone(bytes) }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.bytes.fetch_add(into.filled().len() - before, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, from);
        if let Poll::Ready(Ok(bytes)) = written {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
