//! The handle that an application holds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use syncline_core::client::{ClientCore, WriteRef};
use syncline_core::ops::{Put, RowOp, RowOps};

use crate::shared::Shared;
use crate::storage::Command;
use crate::write::closed;
use crate::{
    ActionHandle, Channel, ClientBuilder, ConnectionChanges, ConnectionState, Error, Export, IntoError,
    Query, Record, SpaceId, UserId, Watch, WriteHandle, code,
};

/// One client of one server: everything that is watched and written through its clones rides on one connection.
///
/// A client costs nothing until something is watched or written. The connection closes shortly after the last watch,
/// and for good with the last clone of the client and the last [`Watch`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use syncline::{Client, Record};
///
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo {
///     id: String,
///     text: String,
///     done: bool,
/// }
///
/// # async fn example() -> Result<(), syncline::Error> {
/// let client = Client::new("/sync");
/// let open = client.watch(Todo::in_space("list-42").filter(Todo::done.eq(false)));
/// let write = client.put("list-42", Todo { id: "t1".into(), text: "Milk".into(), done: false });
/// assert_eq!(open.entries()[0].key(), "t1"); // on the screen at once
/// let version = write.await?; // the server's verdict, for those who want it
/// # let _ = version;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// Ends the client when the last of its owners is gone. The driver is no owner.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Client {
    /// A client of the server at `url`: where Syncline is mounted, `/sync` or `https://api.example.org/sync`. In a
    /// browser a path is relative to the page.
    pub fn new(url: impl Into<String>) -> Self {
        Self::builder(url).build()
    }

    /// A client to be set up.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Self {
        Self { handle: Arc::new(Handle { shared }) }
    }

    pub(crate) fn from_handle(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Where the server is, as given to [`new`](Self::new).
    pub fn url(&self) -> &str {
        &self.shared().setup.url
    }

    /// Watches a query until the [`Watch`] is dropped. Equal queries share one subscription.
    ///
    /// # Panics
    /// As [`register`](Self::register) does.
    #[track_caller]
    pub fn watch<R: Record>(&self, query: Query<R>) -> Watch<R> {
        Watch::new(Arc::clone(&self.handle), query)
    }

    /// Puts a row in the place of whatever has its key. Visible at once, in every watch that it belongs to.
    pub fn put<R: Record>(&self, space: impl Into<SpaceId>, record: R) -> WriteHandle {
        let space = space.into();
        // the row's own code runs outside the lock, and may use the client
        match Put::new(&record) {
            Ok(put) => self.write_by(|core, now| core.put(now, &space, put)),
            Err(error) => WriteHandle::refused(self.shared().unheard(error)),
        }
    }

    /// Changes the row at a key, starting from what a watch shows of it now. Only the fields that `change` changes are
    /// written, so that two people can edit one row; of one that was put and refused, all of it is put again. A change that changes nothing is not written and succeeds with
    /// version 0.
    pub fn update<R: Record>(
        &self,
        space: impl Into<SpaceId>,
        key: impl AsRef<str>,
        change: impl FnOnce(&mut R),
    ) -> WriteHandle {
        let space = space.into();
        // the closure is the application's: it runs outside the lock, and may use the client
        let (before, whole) = self.shared().look(|state| {
            let (core, key) = (&state.core, key.as_ref());
            (core.row::<R>(&space, key), core.is_put_in_vain::<R>(&space, key))
        });
        let op = before.and_then(|before| {
            let mut after = R::clone(&before.record);
            change(&mut after);
            RowOp::change(&*before.record, &after, whole)
        });
        match op {
            Ok(Some(op)) => self.write_typed::<R>(&space, vec![op]),
            Ok(None) => WriteHandle::settled(0),
            Err(error) => WriteHandle::refused(self.shared().unheard(error)),
        }
    }

    /// Removes the row at a key.
    pub fn delete<R: Record>(&self, space: impl Into<SpaceId>, key: impl AsRef<str>) -> WriteHandle {
        self.write_typed::<R>(&space.into(), vec![RowOp::delete::<R>(key.as_ref())])
    }

    /// Takes several steps at once: all of them or none. The collections must have been watched or written before, so
    /// that the client knows their types; see [`register`](Self::register).
    pub fn write(&self, space: impl Into<SpaceId>, ops: RowOps) -> WriteHandle {
        let space = space.into();
        self.write_by(|core, now| core.write_rows(now, &space, &ops))
    }

    /// Sends an action of a channel to the server's handler. What its reducer makes of it is visible at once.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use syncline::{Channel, Client, Draft, Error, Record};
    /// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    /// # #[record(collection = "todos", key = id)]
    /// # struct Todo { id: String, done: bool }
    /// # #[derive(Serialize, Deserialize)]
    /// # enum TodoAction { Toggle(String) }
    /// # struct TodoChannel;
    /// # impl Channel for TodoChannel {
    /// #     const NAME: &'static str = "todos";
    /// #     type Record = Todo;
    /// #     type Action = TodoAction;
    /// #     type Output = bool;
    /// #     type Error = Error;
    /// #     fn reduce(todos: &mut Draft<'_, Todo>, TodoAction::Toggle(id): &TodoAction) {
    /// #         todos.update(id, |todo| todo.done = !todo.done);
    /// #     }
    /// # }
    /// # async fn example(client: Client) -> Result<(), Error> {
    /// let is_done = client.send::<TodoChannel>("list-42", TodoAction::Toggle("t1".into())).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`register_channel`](Self::register_channel) does.
    #[track_caller]
    pub fn send<C: Channel>(&self, space: impl Into<SpaceId>, action: C::Action) -> ActionHandle<C> {
        let space = space.into();
        self.shared().act_driven(|state, now| {
            if state.closed {
                return ActionHandle::closed();
            }
            match state.core.send_action::<C>(now, &space, action) {
                Ok(write) => ActionHandle::waiting(state.add_write(write)),
                Err(error) => ActionHandle::refused(self.shared().unheard(error)),
            }
        })
    }

    /// Makes a channel known before anything is sent over it, so that actions of an earlier visit are shown that still
    /// wait; [`send`](Self::send) does so itself.
    ///
    /// # Panics
    /// When another Rust type has the same channel or collection name: a mistake in the program.
    #[track_caller]
    pub fn register_channel<C: Channel>(&self) {
        self.shared().act(|state, _| state.core.register_channel::<C>());
    }

    /// Makes a row type known before any of its rows is watched or written; [`watch`](Self::watch), [`put`](Self::put)
    /// and the like do so themselves.
    ///
    /// # Panics
    /// When another Rust type has the same collection name: a mistake in the program.
    #[track_caller]
    pub fn register<R: Record>(&self) {
        self.shared().act(|state, _| state.core.register::<R>());
    }

    fn write_typed<R: Record>(&self, space: &SpaceId, ops: Vec<RowOp>) -> WriteHandle {
        self.write_by(|core, now| {
            core.register::<R>();
            core.write_rows(now, space, &RowOps { ops })
        })
    }

    fn write_by(
        &self,
        write: impl FnOnce(&mut ClientCore, Duration) -> Result<WriteRef, Error>,
    ) -> WriteHandle {
        self.shared().act_driven(|state, now| {
            if state.closed {
                return WriteHandle::closed();
            }
            match write(&mut state.core, now) {
                Ok(write) => WriteHandle::waiting(state.add_write(write)),
                Err(error) => WriteHandle::refused(self.shared().unheard(error)),
            }
        })
    }

    /// Sends the refused writes of a row again. Says how many there were.
    pub fn retry<R: Record>(&self, space: impl Into<SpaceId>, key: impl AsRef<str>) -> usize {
        let space = space.into();
        self.shared().act_driven(|state, now| match state.closed {
            true => 0,
            false => state.core.retry(now, &space, R::COLLECTION, key.as_ref()).len(),
        })
    }

    /// Gives up the refused writes of a row; what the server holds shows again. Says how many there were.
    pub fn dismiss<R: Record>(&self, space: impl Into<SpaceId>, key: impl AsRef<str>) -> usize {
        let space = space.into();
        self.shared().act(|state, now| state.core.dismiss(now, &space, R::COLLECTION, key.as_ref()))
    }

    /// Shows a row that the application writes by its own means, as pending, until it comes from the server.
    ///
    /// # Errors
    /// `unknown_space`, `bad_row`, `bad_key`, `value_too_large`, `too_many`; `bad_write` at a partysync server; `closed` when
    /// the client is.
    pub fn add_optimistic<R: Record>(&self, space: impl Into<SpaceId>, record: R) -> Result<(), Error> {
        let space = space.into();
        // written outside the lock, as in `put`
        let put = Put::new(&record)?;
        self.shared().act(|state, now| match state.closed {
            true => Err(closed()),
            false => state.core.add_optimistic(now, &space, put),
        })
    }

    /// Marks an optimistic row as failed. Says whether there is one.
    pub fn mark_failed<R: Record>(
        &self,
        space: impl Into<SpaceId>,
        key: impl AsRef<str>,
        why: impl IntoError,
    ) -> bool {
        let (space, why) = (space.into(), why.into_error());
        self.shared().act(|state, now| state.core.mark_failed(now, &space, R::COLLECTION, key.as_ref(), why))
    }

    /// Takes an optimistic row away. Says whether there was one.
    pub fn remove_optimistic<R: Record>(&self, space: impl Into<SpaceId>, key: impl AsRef<str>) -> bool {
        let space = space.into();
        self.shared().act(|state, now| state.core.remove_optimistic(now, &space, R::COLLECTION, key.as_ref()))
    }

    /// How the connection stands now.
    pub fn connection(&self) -> ConnectionState {
        self.shared().connection_state()
    }

    /// A stream of what [`connection`](Self::connection) gives: what it is now, then whenever it changes. It ends when
    /// the client is closed, and does not keep it open.
    pub fn connection_changes(&self) -> ConnectionChanges {
        ConnectionChanges::new(Arc::clone(self.shared()))
    }

    /// The latest 32 refusals that nobody waited for and that no row shows, oldest first: of actions whose handles were
    /// dropped, or were made on an earlier visit, and of whatever could not even be sent, as `too_many`. A change of them is a
    /// change of the [connection](Self::connection_changes).
    pub fn refusals(&self) -> Vec<Error> {
        self.shared().look(|state| state.refusals.iter().cloned().collect())
    }

    /// Forgets the [refusals](Self::refusals), once a person has seen them.
    pub fn dismiss_refusals(&self) {
        if self.shared().look(|state| !std::mem::take(&mut state.refusals).is_empty()) {
            self.shared().connection_changed();
        }
    }

    /// Does not wait for the next attempt to connect.
    pub fn retry_now(&self) {
        self.shared().act_driven(|state, now| state.core.retry_now(now));
    }

    /// The person's own offline switch: writes wait, watches show what they have.
    pub fn set_online(&self, online: bool) {
        self.shared().act_driven(|state, now| state.core.set_enabled(now, online));
    }

    /// Holds every frame back for `latency`, each way: for showing and trying things. Zero switches it off.
    pub fn set_latency(&self, latency: Duration) {
        self.shared().setup.latency.set(latency);
    }

    /// Says who is here now, where the server is a contrail service, see
    /// [`Contrail::identity`](crate::contrail::Contrail::identity), or speaks partysync. Of somebody else nothing stays to be
    /// seen or sent: every stream begins again, with tickets and credentials that are asked for anew, and with what was kept of this
    /// person; every room is left and entered again, and actions that waited there are `foreign_client`. With
    /// `None` nothing is kept. A Syncline server says by itself who is here, and then this does nothing.
    ///
    /// ```
    /// # use syncline::{Client, contrail::Contrail};
    /// # fn example(client: &Client) {
    /// client.set_identity(Some("did:plc:bob".into()));
    /// # }
    /// ```
    pub fn set_identity(&self, person: Option<UserId>) {
        self.shared().act_driven(|state, now| state.core.set_identity(now, person));
    }

    /// Asks for credentials again and gives them to the server, on the connection that is open if there is one.
    pub fn refresh_credentials(&self) {
        self.shared().act_driven(|state, now| state.core.refresh_credentials(now));
    }

    /// Somebody leaves and takes everything along: what is kept of this server between visits is removed, whoever it
    /// belongs to, and nothing more is kept before the server says who is here, or [`set_identity`](Self::set_identity) where
    /// it does not. To be called once the server has been told,
    /// or it would say the same person again. What is shown now stays until then. Rooms of a partysync server are left and
    /// entered again at once, and actions that waited there are `foreign_client`.
    ///
    /// # Errors
    /// Why storage could not be reached, and what is in it may still be there; `closed` when the client is.
    pub async fn wipe_storage(&self) -> Result<(), Error> {
        self.part(true).await
    }

    /// Somebody leaves and may come back: what is kept stays, and is shown to nobody before the server has said that they
    /// are here again. Otherwise as [`wipe_storage`](Self::wipe_storage).
    ///
    /// # Errors
    /// As [`wipe_storage`](Self::wipe_storage).
    pub async fn park_storage(&self) -> Result<(), Error> {
        self.part(false).await
    }

    async fn part(&self, wipe: bool) -> Result<(), Error> {
        let (done, parted) = oneshot::channel();
        let part = Command::Part { wipe, done };
        self.shared().act_before(part, |state, now| state.core.pause_storing(now, wipe));
        if self.shared().setup.cache.is_none() {
            return Ok(());
        }
        parted.await.unwrap_or_else(|_| Err(Error::new(code::CLOSED, "nobody uses storage any more")))
    }

    /// Rows that another client has [exported](Watch::export) are shown at once, in the watch of their query that there is
    /// or will be, until the server has said what has changed since: for a page that a server has rendered.
    pub fn import(&self, export: Export) {
        self.shared().act_driven(|state, now| state.core.import(now, export));
    }

    /// Ends the connection and everything that rides on it, for good and for all clones. What is kept between visits stays, and
    /// is shown to whoever comes next: who leaves calls [`wipe_storage`](Self::wipe_storage) or
    /// [`park_storage`](Self::park_storage).
    pub fn close(&self) {
        self.shared().close();
    }
}

/// Two handles are equal when they are clones of one client.
impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }
}

impl Eq for Client {}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url()).finish_non_exhaustive()
    }
}
