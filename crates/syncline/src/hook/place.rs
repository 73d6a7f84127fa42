//! Where a hook writes.

use std::marker::PhantomData;

use crate::write::Unheard;
use crate::{ActionHandle, Channel, Client, Error, IntoError, Record, SpaceId, WriteHandle, code};

/// Where a hook writes: the space of its query. While a hook has no query, and once its component is gone, that is
/// nowhere: writes are refused with `closed`.
pub struct Place<R> {
    at: Option<(Client, SpaceId)>,
    _record: PhantomData<fn() -> R>,
}

impl<R: Record> Place<R> {
    /// In a space of a client, when there are both.
    pub fn new(client: Option<Client>, space: Option<SpaceId>) -> Self {
        Self { at: client.zip(space), _record: PhantomData }
    }

    /// See [`Client::put`].
    pub fn put(self, record: R) -> WriteHandle {
        self.write(|client, space| client.put(space, record))
    }

    /// See [`Client::update`].
    pub fn update(self, key: impl AsRef<str>, change: impl FnOnce(&mut R)) -> WriteHandle {
        self.write(|client, space| client.update(space, key, change))
    }

    /// See [`Client::delete`].
    pub fn delete(self, key: impl AsRef<str>) -> WriteHandle {
        self.write(|client, space| client.delete::<R>(space, key))
    }

    /// See [`Client::send`].
    pub fn send<C: Channel<Record = R>>(self, action: C::Action) -> ActionHandle<C> {
        match self.at {
            Some((client, space)) => client.send(space, action),
            None => ActionHandle::refused(Unheard::by_nobody(nowhere())),
        }
    }

    /// See [`Client::retry`].
    pub fn retry(self, key: impl AsRef<str>) -> usize {
        self.at.map_or(0, |(client, space)| client.retry::<R>(space, key))
    }

    /// See [`Client::dismiss`].
    pub fn dismiss(self, key: impl AsRef<str>) -> usize {
        self.at.map_or(0, |(client, space)| client.dismiss::<R>(space, key))
    }

    /// See [`Client::add_optimistic`].
    ///
    /// # Errors
    /// `unknown_space`, `bad_row`, `bad_key`, `value_too_large`, `too_many`; `bad_write` at a partysync server; `closed` where
    /// there is no space, and once the client is.
    pub fn add_optimistic(self, record: R) -> Result<(), Error> {
        let (client, space) = self.at.ok_or_else(nowhere)?;
        client.add_optimistic(space, record)
    }

    /// See [`Client::mark_failed`].
    pub fn mark_failed(self, key: impl AsRef<str>, why: impl IntoError) -> bool {
        self.at.is_some_and(|(client, space)| client.mark_failed::<R>(space, key, why))
    }

    /// See [`Client::remove_optimistic`].
    pub fn remove_optimistic(self, key: impl AsRef<str>) -> bool {
        self.at.is_some_and(|(client, space)| client.remove_optimistic::<R>(space, key))
    }

    fn write(self, write: impl FnOnce(Client, SpaceId) -> WriteHandle) -> WriteHandle {
        match self.at {
            Some((client, space)) => write(client, space),
            None => WriteHandle::refused(Unheard::by_nobody(nowhere())),
        }
    }
}

fn nowhere() -> Error {
    Error::new(code::CLOSED, "there is no query now, and so no space to write to")
}
