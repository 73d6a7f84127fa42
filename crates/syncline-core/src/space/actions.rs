//! Actions: what a channel's handler does to a space, and what it gives back.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::channel::{ActionPayload, Channel, not_an_action};
use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::tx::Tx;
use crate::wire::User;

/// Who acts, where and when.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Who<'a> {
    /// The person, as `authenticate` named them, or as whoever acted from inside the process did.
    pub user: &'a User,
    /// The space that the action is for.
    pub space: &'a SpaceId,
    /// The server's time, in Unix ms.
    pub now: u64,
}

impl<'a> Who<'a> {
    /// A person in a space, at `now` in Unix ms: for tests of handlers.
    pub fn new(user: &'a User, space: &'a SpaceId, now: u64) -> Self {
        Self { user, space, now }
    }
}

/// What the engine does with actions: writes of kind `action`.
///
/// What a handler wrote becomes one change at one version, whatever it touched, so that every face of the space shows
/// it, and all of it at once. The rules for rows ([`Access::write`](crate::space::Access::write)) are not asked: they
/// say what people may write, and a handler is the application's own code, which has looked at who acts and knows more
/// of what the action means. Whether somebody may [open](crate::space::Access::open) the space is asked before, as for
/// every write.
pub trait Actions: Send + Sync {
    /// Does an action, and gives what it gives back; `None` for `null`. What it wrote into `tx` counts only when it
    /// returns `Ok`, and once it is stored.
    ///
    /// It is called on the thread that runs all spaces: it works on what is in memory and waits for nothing.
    ///
    /// # Errors
    /// The refusal: it is final, and all of it is kept for a sender that asks again. Where it names no field, it is made to
    /// name the action.
    fn run(
        &self,
        tx: &mut Tx<'_>,
        action: &ActionPayload,
        who: &Who<'_>,
    ) -> Result<Option<Box<RawValue>>, Error>;
}

/// The [`Actions`] of a server: channels by name, each with the handler of its actions. Names from outside are looked
/// up here and go nowhere else.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::{Channel, Draft, Error, Record};
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String, done: bool }
/// # #[derive(Serialize, Deserialize)]
/// # enum TodoAction { Finish(String) }
/// # struct TodoChannel;
/// # impl Channel for TodoChannel {
/// #     const NAME: &'static str = "todos";
/// #     type Record = Todo;
/// #     type Action = TodoAction;
/// #     type Output = bool;
/// #     type Error = Error;
/// #     fn reduce(_: &mut Draft<'_, Todo>, _: &TodoAction) {}
/// # }
/// use syncline_core::space::Channels;
///
/// let mut channels = Channels::default();
/// channels.add::<TodoChannel>(|tx, action, _who| match action {
///     TodoAction::Finish(id) => Ok(tx.rows::<Todo>().update(&id, |todo| todo.done = true)),
/// });
/// ```
#[derive(Default)]
pub struct Channels {
    handlers: BTreeMap<&'static str, Box<dyn Actions>>,
}

impl Channels {
    /// Adds a channel.
    ///
    /// # Panics
    /// When there is a channel of that name: a mistake in the program.
    #[track_caller]
    pub fn add<C: Channel>(
        &mut self,
        handler: impl Fn(&mut Tx<'_>, C::Action, &Who<'_>) -> Result<C::Output, C::Error> + Send + Sync + 'static,
    ) {
        let typed = Typed { handler, _channel: PhantomData::<fn() -> C> };
        let before = self.handlers.insert(C::NAME, Box::new(typed));
        assert!(before.is_none(), "there are two channels with the name {:?}", C::NAME);
    }
}

impl Actions for Channels {
    fn run(
        &self,
        tx: &mut Tx<'_>,
        action: &ActionPayload,
        who: &Who<'_>,
    ) -> Result<Option<Box<RawValue>>, Error> {
        match self.handlers.get(&*action.channel) {
            Some(handler) => handler.run(tx, action, who),
            None => Err(Error::new(code::UNKNOWN_CHANNEL, "there is no such channel")),
        }
    }
}

/// The handler of one channel.
struct Typed<C, F> {
    handler: F,
    _channel: PhantomData<fn() -> C>,
}

impl<C, F> Actions for Typed<C, F>
where
    C: Channel,
    F: Fn(&mut Tx<'_>, C::Action, &Who<'_>) -> Result<C::Output, C::Error> + Send + Sync,
{
    fn run(
        &self,
        tx: &mut Tx<'_>,
        payload: &ActionPayload,
        who: &Who<'_>,
    ) -> Result<Option<Box<RawValue>>, Error> {
        let action = serde_json::from_str(payload.action.get()).map_err(|error| not_an_action(&error))?;
        let output = (self.handler)(tx, action, who).map_err(refusal)?;
        let output = serde_json::value::to_raw_value(&output).map_err(|error| {
            Error::new(code::ACTION_FAILED, format!("what it gives back cannot be written as JSON: {error}"))
        })?;
        Ok((output.get() != "null").then_some(output))
    }
}

/// A handler's own error, as what a person is told, with itself beside that.
fn refusal<E: Serialize + Into<Error>>(error: E) -> Error {
    let data = serde_json::to_value(&error).ok().filter(|data| !data.is_null());
    let error = error.into();
    match data {
        Some(data) => error.with_data(data),
        None => error,
    }
}
