//! A live query.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures::Stream;
use syncline_core::client::{WatchId, WatchState};

use crate::client::Handle;
use crate::notify::Listener;
use crate::related::{Related, WatchRef};
use crate::shared::{Mailbox, Shared};
use crate::{Client, Diff, Entry, Error, Export, Field, Query, Record, SpaceId, Status, code};

/// A live query: its rows now, and every change of them from now on. Made by [`Client::watch`](crate::Client::watch);
/// dropping it ends it.
///
/// Its diffs are read with [`next`](Self::next) or from [`updates`](Self::updates): each is given out once, to
/// whoever asks first.
pub struct Watch<R: Record> {
    handle: Arc<Handle>,
    query: Query<R>,
    id: WatchId,
    mailbox: Arc<Mailbox>,
}

impl<R: Record> Watch<R> {
    pub(crate) fn new(handle: Arc<Handle>, query: Query<R>) -> Self {
        let mailbox = Arc::<Mailbox>::default();
        // the first reader is given what there is without waiting
        mailbox.notifier.notify();
        let (id, closed) = handle.shared.act_driven(|state, now| {
            let id = state.core.watch(now, &query);
            if !state.closed {
                state.add_watch(id, Arc::clone(&mailbox));
            }
            (id, state.closed)
        });
        if closed {
            mailbox.notifier.close();
        }
        Self { handle, query, id, mailbox }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The client it belongs to.
    pub fn client(&self) -> Client {
        Client::from_handle(Arc::clone(&self.handle))
    }

    /// The space it looks at.
    pub fn space(&self) -> &SpaceId {
        &self.query.spec().space
    }

    /// What is watched.
    pub fn query(&self) -> &Query<R> {
        &self.query
    }

    /// The next batch of diffs, as soon as there is one: all that has changed since the last one, so that a reader
    /// that was away gets one batch and not many. The first one comes at once and starts with [`Diff::Reset`]. A batch
    /// is empty when only the [`state`](Self::state) changed. `None` once the client is closed.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&self) -> Option<Vec<Diff<R>>> {
        let mut updates = self.updates();
        poll_fn(|cx| updates.poll_batch(cx)).await
    }

    /// A stream of what [`next`](Self::next) gives, which does not keep the watch alive: it ends when the watch is
    /// dropped or the client is closed.
    pub fn updates(&self) -> Updates<R> {
        let (shared, mailbox) = (Arc::clone(self.shared()), Arc::clone(&self.mailbox));
        let listener = mailbox.notifier.listen_from(mailbox.read.load(Ordering::Acquire));
        Updates { shared, id: self.id, mailbox, listener, _row: PhantomData }
    }

    /// The rows now, in order.
    pub fn entries(&self) -> Vec<Entry<R>> {
        self.shared().look(|state| state.core.entries(self.id))
    }

    /// The rows of another collection that belong to these rows: those of the relation by this field that the query
    /// [includes](Query::include), of the first one where it includes several. There are none where it includes no such
    /// relation.
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use syncline::{Client, Record};
    /// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    /// # #[record(collection = "messages", key = id)]
    /// # struct Message { id: String }
    /// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    /// # #[record(collection = "reactions", key = id)]
    /// # struct Reaction { id: String, message: String }
    /// # async fn example(client: Client) {
    /// let messages = client.watch(Message::in_space("lobby").include(Reaction::message.children().counted()));
    /// let reactions = messages.related(Reaction::message);
    /// while messages.next().await.is_some() {
    ///     for message in messages.entries() {
    ///         println!("{}: {}", message.key(), reactions.count(message.key()));
    ///     }
    /// }
    /// # }
    /// ```
    pub fn related<C: Record, T>(&self, field: Field<C, T>) -> Related<C> {
        self.without_type().related(field.name())
    }

    pub(crate) fn without_type(&self) -> WatchRef {
        let query = Arc::new(self.query.spec().clone());
        WatchRef { shared: Arc::clone(self.shared()), id: self.id, query }
    }

    /// Status and error, taken at once.
    pub fn state(&self) -> WatchState {
        self.shared().watch_state(self.id)
    }

    /// How the watch stands.
    pub fn status(&self) -> Status {
        self.state().status
    }

    /// Why it failed, or which row could not be read.
    pub fn error(&self) -> Option<Error> {
        self.state().error
    }

    /// The confirmed rows as they are now, and where they stand, for [`Client::import`](crate::Client::import); `None`
    /// before they have been complete once.
    pub fn export(&self) -> Option<Export> {
        self.shared().look(|state| state.core.export(self.id))
    }

    /// Waits until the rows have been complete once, be it on an earlier visit.
    ///
    /// # Errors
    /// Why they will not come without somebody doing something: the query was refused, credentials are needed, there
    /// is no way to connect, the watch is stopped or the client closed.
    pub async fn loaded(&self) -> Result<(), Error> {
        let mut changes = self.mailbox.notifier.listen();
        loop {
            let WatchState { status, error, loaded, .. } = self.state();
            let without = |code, message| Err(error.clone().unwrap_or_else(|| Error::new(code, message)));
            match status {
                _ if loaded => return Ok(()),
                Status::Live => return Ok(()),
                Status::Connecting | Status::Snapshot { .. } | Status::Reconnecting => {}
                Status::Idle => return without(code::CONNECTION, "there is nothing to connect with"),
                Status::NeedsAuth => return without(code::UNAUTHENTICATED, "credentials are needed"),
                Status::Failed => return without(code::CONNECTION, "the watch failed"),
                Status::Closed => return without(code::CLOSED, "the watch is stopped"),
            }
            if !changes.changed().await {
                return Err(Error::new(code::CLOSED, "the client is closed"));
            }
        }
    }

    /// Starts again after [`stop`](Self::stop).
    pub fn start(&self) {
        self.shared().act_driven(|state, now| state.core.start(now, self.id));
    }

    /// Ends the subscription until [`start`](Self::start). What has been read so far stays with its reader.
    pub fn stop(&self) {
        self.shared().act(|state, now| state.core.stop(now, self.id));
    }
}

impl<R: Record> Drop for Watch<R> {
    fn drop(&mut self) {
        let mailbox = self.shared().act(|state, now| {
            state.core.unwatch(now, self.id);
            state.remove_watch(self.id)
        });
        if let Some(mailbox) = mailbox {
            mailbox.notifier.abandon();
        }
    }
}

impl<R: Record> fmt::Debug for Watch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("query", &self.query)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// The diffs of a [`Watch`] as a stream; made by [`Watch::updates`].
#[must_use = "streams do nothing unless polled"]
pub struct Updates<R> {
    shared: Arc<Shared>,
    id: WatchId,
    mailbox: Arc<Mailbox>,
    listener: Listener,
    _row: PhantomData<fn() -> R>,
}

impl<R: Record> Updates<R> {
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<Diff<R>>>> {
        loop {
            if !ready!(self.listener.poll_changed(cx)) {
                return Poll::Ready(None);
            }
            // another reader may have been faster
            let seen = self.listener.seen();
            if self.mailbox.read.fetch_max(seen, Ordering::AcqRel) < seen {
                return Poll::Ready(Some(self.shared.look(|state| state.core.take(self.id))));
            }
        }
    }
}

impl<R: Record> Stream for Updates<R> {
    type Item = Vec<Diff<R>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_batch(cx)
    }
}

impl<R> fmt::Debug for Updates<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updates").finish_non_exhaustive()
    }
}
