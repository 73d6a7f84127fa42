//! Actions from inside the process.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};
use syncline_core::channel::ActionPayload;
use syncline_core::wire::User;
use syncline_core::{ActionError, Channel, ClientId, Error, SpaceId, code};
use tokio::sync::oneshot;

use crate::connection::stopping;
use crate::hub::Event;
use crate::syncline::Syncline;

impl Syncline {
    /// Does an action, as if `user` had sent it: for jobs, HTTP handlers, agents. It goes the way of all actions, through the
    /// space's queue and its log, so that everybody who watches sees what it did, and is answered once that is on disk.
    ///
    /// Whether the user may open the space is asked; that they are who is said, is taken for granted.
    ///
    /// A call whose answer is lost, with this process, may or may not have been done; where that matters, there is
    /// [`send_action_once`](Self::send_action_once).
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use syncline_core::{Channel, Draft, Error, Record};
    /// # use syncline_server::{Syncline, User};
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
    /// # async fn example(syncline: Syncline) -> Result<(), Error> {
    /// let robot = User { id: "robot".into(), name: None };
    /// let found = syncline.send_action::<TodoChannel>("list-42", robot, TodoAction::Finish("t1".into())).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refused`](ActionError::Refused) with the handler's error. [`Failed`](ActionError::Failed) otherwise: `storage`, `too_many`
    /// (more waits for the space than may) and `connection` (the server is stopping) say that nothing was done, and so do
    /// the errors of [`Builder::spaces`](crate::Builder::spaces); `action_failed` that the handler panicked.
    pub async fn send_action<C: Channel>(
        &self,
        space: impl Into<SpaceId>,
        user: User,
        action: C::Action,
    ) -> Result<C::Output, ActionError<C::Error>> {
        self.act::<C>(space.into(), user, None, &action).await
    }

    /// The same, once for each `key`: whoever comes again with the same key, user, space and channel is given what came of it the
    /// first time, whatever the action is, be it done or refused by its handler. What is said to have changed nothing may be tried again.
    ///
    /// For jobs, which may be done twice: with [their id](crate::Job::id) as the key, what they do to spaces happens once. It is remembered for
    /// [`client_retention`](syncline_core::space::Config::client_retention), with the history of the space.
    ///
    /// # Errors
    /// As [`send_action`](Self::send_action).
    pub async fn send_action_once<C: Channel>(
        &self,
        key: &str,
        space: impl Into<SpaceId>,
        user: User,
        action: C::Action,
    ) -> Result<C::Output, ActionError<C::Error>> {
        let once = author(C::NAME, &user, key);
        self.act::<C>(space.into(), user, Some(once), &action).await
    }

    async fn act<C: Channel>(
        &self,
        space: SpaceId,
        user: User,
        once: Option<ClientId>,
        action: &C::Action,
    ) -> Result<C::Output, ActionError<C::Error>> {
        let action = ActionPayload::of::<C>(action).map_err(ActionError::Failed)?;
        let name = action.name();
        let failed = |error: Error| ActionError::Failed(error.with_field(name.clone()));
        let (answer, answered) = oneshot::channel();
        let event = Event::Act { user, space, once, action, answer };
        self.shared.events.send(event).map_err(|_| failed(stopping()))?;
        let acted = answered.await.map_err(|_| {
            failed(Error::new(code::CONNECTION, "the server has stopped; it may have been done or not"))
        })?;
        let (_, output) = acted.map_err(ActionError::from)?;
        let output = output.as_ref().map_or("null", |output| output.get());
        serde_json::from_str(output).map_err(|_| {
            failed(Error::new(code::OUTPUT_LOST, "it was done, and what it gave back is not known any more"))
        })
    }
}

/// Who acts under a key. No client from outside can be called that: it is no checked id.
fn author(channel: &str, user: &User, key: &str) -> ClientId {
    let mut hash = Sha256::new();
    for part in [channel, user.id.as_str(), key] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    format!("key:{}", BASE32_NOPAD.encode(&hash.finalize())).into()
}
