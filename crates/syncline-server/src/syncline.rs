//! The handle of a running server.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use axum::Router;
use syncline_core::UserId;
use syncline_core::space::Gauges;
use tokio::sync::oneshot;

use crate::builder::Builder;
use crate::connection::Shared;
use crate::hub::Event;
use crate::origin::Origins;
use crate::partysync;
use crate::routes;
use crate::watch_records::{self, Face};

/// A running server: [build](Self::builder) it, mount its [`router`](Self::router), [shut it down](Self::shutdown).
///
/// Clones are the same server. It ends with the last clone and the last router, too, but only a shutdown says goodbye
/// to the clients.
#[derive(Clone)]
pub struct Syncline {
    pub(crate) shared: Arc<Shared>,
    doors: Doors,
}

/// What its routers are made of.
#[derive(Clone)]
pub(crate) struct Doors {
    pub(crate) origins: Origins,
    pub(crate) face: Option<Arc<Face>>,
    pub(crate) parties: Option<Arc<partysync::Face>>,
}

/// A [`Syncline`] that does not keep the server alive.
pub(crate) struct WeakSyncline {
    shared: Weak<Shared>,
    doors: Doors,
}

impl WeakSyncline {
    /// The server, unless it was let go of.
    pub(crate) fn lend(&self) -> Option<Syncline> {
        Some(Syncline { shared: self.shared.upgrade()?, doors: self.doors.clone() })
    }
}

impl fmt::Debug for Syncline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syncline").field("gauges", &self.gauges()).finish_non_exhaustive()
    }
}

impl Syncline {
    /// Begins to put a server together.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(shared: Arc<Shared>, doors: Doors) -> Self {
        Self { shared, doors }
    }

    pub(crate) fn downgrade(&self) -> WeakSyncline {
        WeakSyncline { shared: Arc::downgrade(&self.shared), doors: self.doors.clone() }
    }

    /// The routes `GET /ws`, `POST /stream` and `POST /send`, for [`Router::nest`] under any path, in a router with any
    /// state. Other paths below are answered with `unknown_route`; where that is in the way, as it is when it is merged
    /// into a router that has a fallback, there is [`Router::reset_fallback`].
    pub fn router<T: Clone + Send + Sync + 'static>(&self) -> Router<T> {
        routes::router(Arc::clone(&self.shared), self.doors.origins.clone())
    }

    /// The routes of [`watch_records`](crate::watch_records), for [`Router::nest`] under `/xrpc` or any other path:
    /// `GET <collection>.watchRecords` and `POST <collection>.watchTicket`. None where the
    /// [builder](crate::Builder::watch_records) was not told of any.
    pub fn xrpc_router<T: Clone + Send + Sync + 'static>(&self) -> Router<T> {
        watch_records::router(&self.shared, self.doors.origins.clone(), self.doors.face.as_ref())
    }

    /// The route of [`partysync`](crate::partysync), `GET /{party}/{room}`, for [`Router::nest`] under `/parties`, where its
    /// clients look for it, or any other path. None where the [builder](crate::Builder::partysync) was not told of any party.
    pub fn parties_router<T: Clone + Send + Sync + 'static>(&self) -> Router<T> {
        partysync::router(&self.shared, self.doors.origins.clone(), self.doors.parties.as_ref())
    }

    /// Tells the server that somebody may enter or see other things than before: a membership began or ended, a role
    /// changed. What they watch is looked at anew at once: a subscription to a space that is closed to them now fails
    /// with the error of the rule of spaces, rows they may not see any more go, others come. Writes are judged one
    /// by one and need no word.
    ///
    /// Rules are otherwise asked about a person when they connect and authenticate, and about a row when it changes.
    pub fn rights_changed(&self, user: impl Into<UserId>) {
        // without a hub nobody is shown anything
        let _ = self.shared.events.send(Event::RightsChanged { user: user.into() });
    }

    /// What is open, as of the last 50 ms.
    pub fn gauges(&self) -> Gauges {
        *self.shared.gauges.borrow()
    }

    /// Waits until the gauges fulfil a condition: for tests, which then need no sleeps. Comes back with the last ones
    /// when the server ends first.
    pub async fn gauges_when(&self, condition: impl FnMut(&Gauges) -> bool) -> Gauges {
        let mut gauges = self.shared.gauges.clone();
        match gauges.wait_for(condition).await {
            Ok(gauges) => *gauges,
            Err(_) => self.gauges(),
        }
    }

    /// Ends the server in peace: takes in nothing more, stores and acknowledges the writes it has, says goodbye on
    /// every connection, and lets go of storage. Within [`Config::shutdown_within`](crate::Config::shutdown_within).
    ///
    /// To axum, event streams are ordinary responses, and its own graceful shutdown waits for them. So end Syncline in
    /// the future that ends axum. It also waits, without end, for a socket whose client takes nothing any more: what
    /// has not ended a while after Syncline [has](Self::ended) is to be left behind.
    ///
    /// ```no_run
    /// # use std::future::IntoFuture as _;
    /// # use std::time::Duration;
    /// # use syncline_server::Syncline;
    /// # async fn example(listener: tokio::net::TcpListener, app: axum::Router, syncline: Syncline) -> std::io::Result<()> {
    /// # async fn ctrl_c() {}
    /// let handle = syncline.clone();
    /// let stop = async move {
    ///     ctrl_c().await;
    ///     handle.shutdown().await;
    /// };
    /// let patience = async {
    ///     syncline.ended().await;
    ///     tokio::time::sleep(Duration::from_secs(5)).await;
    /// };
    /// tokio::select! {
    ///     served = axum::serve(listener, app).with_graceful_shutdown(stop).into_future() => served?,
    ///     () = patience => {}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self) {
        self.shared.closing.store(true, Ordering::Release);
        let (done, ended) = oneshot::channel();
        if self.shared.events.send(Event::Shutdown { done }).is_ok() {
            // an error says that it has ended already
            let _ = ended.await;
        }
    }

    /// Waits until the server has ended: after a [`shutdown`](Self::shutdown), whoever asked for it.
    pub async fn ended(&self) {
        let mut gauges = self.shared.gauges.clone();
        // the hub shows them as long as it is there
        while gauges.changed().await.is_ok() {}
    }
}
