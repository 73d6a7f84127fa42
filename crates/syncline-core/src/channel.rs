//! Channels: typed actions, what they do to rows at once on the client, and what the server answers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::draft::Draft;
use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::one_line::to_one_line;
use crate::query::{Filter, OrderBy, Query};
use crate::record::Record;
use crate::tx::Tx;

/// The kind of a write that carries an [`ActionPayload`].
pub const ACTION: &str = "action";

/// A set of actions on the rows of one collection: one trait for both ends, in the crate that they share.
///
/// The client runs [`reduce`](Self::reduce) the moment an action is sent, over what a person sees, and again over every
/// newer state until the server has answered; the server runs its own handler, whose word is final. Often that handler
/// checks what it has to and then runs the same reducer.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use syncline_core::{Channel, Draft, Error, Record};
///
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo {
///     id: String,
///     text: String,
///     done: bool,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(tag = "type", content = "payload", rename_all = "snake_case")]
/// enum TodoAction {
///     Create { id: String, text: String },
///     Toggle { id: String },
///     ClearCompleted,
/// }
///
/// struct TodoChannel;
///
/// impl Channel for TodoChannel {
///     const NAME: &'static str = "todos";
///     type Record = Todo;
///     type Action = TodoAction;
///     type Output = ();
///     type Error = Error;
///
///     fn reduce(todos: &mut Draft<'_, Todo>, action: &TodoAction) {
///         match action {
///             TodoAction::Create { id, text } => {
///                 todos.put(Todo { id: id.clone(), text: text.clone(), done: false });
///             }
///             TodoAction::Toggle { id } => {
///                 todos.update(id, |todo| todo.done = !todo.done);
///             }
///             TodoAction::ClearCompleted => {
///                 for todo in todos.rows().iter().filter(|todo| todo.done) {
///                     todos.remove(&todo.id);
///                 }
///             }
///         }
///     }
/// }
/// ```
pub trait Channel: Sized + 'static {
    /// The name on the wire, and in the server's registry.
    const NAME: &'static str;
    /// The rows that it is about.
    type Record: Record;
    /// What can be asked for. On the wire it is the JSON that serde makes of it; an enum with
    /// `#[serde(tag = "type", content = "payload")]` looks as partysync's actions do.
    type Action: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What the server's handler gives back; `()` where there is nothing to say.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// Why the handler refuses an action. The error that a person is shown is made of it; it crosses the wire as it is
    /// beside that. [`Error`] itself will do.
    type Error: Serialize + DeserializeOwned + Into<Error> + Send + 'static;

    /// What an action does to the rows, as far as the client can tell: nothing of it is kept but what the server then
    /// says. It must depend on its arguments alone, without a clock or random numbers: it is run more than once.
    fn reduce(draft: &mut Draft<'_, Self::Record>, action: &Self::Action);

    /// The rows that the hook shows of a space: all of them, unless the channel says which and in which order.
    fn records(space: SpaceId) -> Query<Self::Record> {
        Query::in_space(space)
    }

    /// The channel in one space: what the hook takes.
    fn in_space(space: impl Into<SpaceId>) -> ChannelQuery<Self> {
        ChannelQuery { query: Self::records(space.into()), _channel: PhantomData }
    }
}

/// A channel in one space, with the rows of it that are to be shown; made by [`Channel::in_space`].
pub struct ChannelQuery<C: Channel> {
    query: Query<C::Record>,
    _channel: PhantomData<fn() -> C>,
}

impl<C: Channel> ChannelQuery<C> {
    /// The rows to be shown.
    pub fn query(&self) -> &Query<C::Record> {
        &self.query
    }

    /// Shows the rows that also satisfy `filter`.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        self.map(|query| query.filter(filter))
    }

    /// In this order, behind the orders named before.
    #[must_use]
    pub fn order_by(self, order: impl Into<OrderBy>) -> Self {
        self.map(|query| query.order_by(order))
    }

    /// At most so many.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        self.map(|query| query.limit(limit))
    }

    fn map(self, change: impl FnOnce(Query<C::Record>) -> Query<C::Record>) -> Self {
        Self { query: change(self.query), _channel: PhantomData }
    }
}

impl<C: Channel> Clone for ChannelQuery<C> {
    fn clone(&self) -> Self {
        Self { query: self.query.clone(), _channel: PhantomData }
    }
}

impl<C: Channel> PartialEq for ChannelQuery<C> {
    fn eq(&self, other: &Self) -> bool {
        self.query == other.query
    }
}

impl<C: Channel> std::fmt::Debug for ChannelQuery<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelQuery").field("channel", &C::NAME).field("query", &self.query).finish()
    }
}

/// The payload of a write of kind `action`. On the wire: `{"channel":"todos","action":{…}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionPayload {
    /// Which channel.
    pub channel: Box<str>,
    /// The action, as the channel's type has it.
    pub action: Box<RawValue>,
}

impl ActionPayload {
    /// An action of a channel.
    ///
    /// # Errors
    /// `bad_action` when it cannot be written as JSON.
    pub fn of<C: Channel>(action: &C::Action) -> Result<Self, Error> {
        let json = serde_json::value::to_raw_value(action).map_err(|error| {
            Error::new(code::BAD_ACTION, format!("the action cannot be written as JSON: {error}"))
                .with_field(C::NAME)
        })?;
        Ok(Self { channel: C::NAME.into(), action: json })
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// `bad_write` when it is not one.
    pub fn parse(payload: &str) -> Result<Self, Error> {
        serde_json::from_str(payload).map_err(|error| {
            let message = format!("not a payload of kind `action`: {error}");
            Error::new(code::BAD_WRITE, message).with_field(ACTION)
        })
    }

    /// Writes the payload, in one line.
    ///
    /// # Errors
    /// `bad_action` when it cannot be written as JSON, which it can.
    pub fn to_payload(&self) -> Result<Box<RawValue>, Error> {
        to_one_line(self).map_err(|error| {
            Error::new(code::BAD_ACTION, format!("the action cannot be written as JSON: {error}"))
        })
    }

    /// The channel and the action's own name, as errors name it: `todos/toggle`.
    pub fn name(&self) -> String {
        match action_name(self.action.get()) {
            Some(name) => format!("{}/{name}", self.channel),
            None => self.channel.to_string(),
        }
    }
}

/// How an action is called: the text that it is, its `type`, or its only key, however serde tags it.
fn action_name(json: &str) -> Option<Cow<'_, str>> {
    if let Ok(name) = serde_json::from_str::<Text<'_>>(json) {
        return Some(name.0);
    }
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
    match fields.get("type").map(|name| serde_json::from_str::<Text<'_>>(name.get())) {
        Some(Ok(name)) => Some(name.0),
        _ if fields.len() == 1 => fields.into_keys().next(),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Why an action was not done.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use syncline_core::channel::ActionError;
/// use syncline_core::Error;
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// enum TodoError {
///     Full { most: u32 },
/// }
///
/// let wire = Error::new("full", "The list is full.").with_data(serde_json::json!({ "Full": { "most": 100 } }));
/// let error = ActionError::<TodoError>::from(wire);
/// assert_eq!(error.refusal(), Some(&TodoError::Full { most: 100 }));
/// assert_eq!(error.to_string(), "The list is full. (full)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionError<E> {
    /// The handler refused it: its own error, and what that is for a person.
    Refused(E, Error),
    /// It did not come to the handler, or its handler failed, or what became of it is not known: the code says which.
    Failed(Error),
}

impl<E> ActionError<E> {
    /// The error as it crosses the wire: code, sentence, and the action that it is about.
    pub fn error(&self) -> &Error {
        match self {
            Self::Refused(_, error) | Self::Failed(error) => error,
        }
    }

    /// The handler's own error, when it was the handler that refused.
    pub fn refusal(&self) -> Option<&E> {
        match self {
            Self::Refused(refusal, _) => Some(refusal),
            Self::Failed(_) => None,
        }
    }
}

/// Reads what came over the wire. A handler's error is in its [`data`](Error::data); one that is over 16 KiB as JSON, or is
/// `null` there, has been left behind on the way, and so has one of another version of the application: then the
/// action has [failed](ActionError::Failed), with the same code and sentence.
impl<E: DeserializeOwned> From<Error> for ActionError<E> {
    fn from(error: Error) -> Self {
        match error.data().map(E::deserialize) {
            Some(Ok(refusal)) => Self::Refused(refusal, error),
            Some(Err(_)) | None => Self::Failed(error),
        }
    }
}

impl<E> From<ActionError<E>> for Error {
    fn from(error: ActionError<E>) -> Self {
        match error {
            ActionError::Refused(_, error) | ActionError::Failed(error) => error,
        }
    }
}

impl<E> std::fmt::Display for ActionError<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error().fmt(f)
    }
}

impl<E: std::fmt::Debug> std::error::Error for ActionError<E> {}

/// An action that can be run again and again, without its type.
pub(crate) trait Reduce: Send + Sync {
    fn reduce(&self, tx: &mut Tx<'_>);
}

/// An action of a channel.
pub(crate) struct Typed<C: Channel>(pub(crate) C::Action);

impl<C: Channel> Reduce for Typed<C> {
    fn reduce(&self, tx: &mut Tx<'_>) {
        C::reduce(&mut tx.rows::<C::Record>(), &self.0);
    }
}

/// What is known of a channel without its Rust type.
#[derive(Clone, Copy)]
pub(crate) struct ChannelDef {
    pub(crate) name: &'static str,
    pub(crate) channel_type: std::any::TypeId,
    /// That of its records.
    pub(crate) collection: &'static str,
    reads_output: fn(&str) -> bool,
    decode: fn(&str) -> Result<Arc<dyn Reduce>, serde_json::Error>,
}

impl ChannelDef {
    pub(crate) fn of<C: Channel>() -> Self {
        Self {
            name: C::NAME,
            channel_type: std::any::TypeId::of::<C>(),
            collection: C::Record::COLLECTION,
            reads_output: |json| serde_json::from_str::<C::Output>(json).is_ok(),
            decode: |json| Ok(Arc::new(Typed::<C>(serde_json::from_str(json)?))),
        }
    }

    /// Whether this can be what an action gives back.
    pub(crate) fn reads_output(&self, json: &RawValue) -> bool {
        (self.reads_output)(json.get())
    }

    /// Reads an action, so that it can be run.
    ///
    /// # Errors
    /// `bad_action`, naming it.
    pub(crate) fn decode(&self, payload: &ActionPayload) -> Result<Arc<dyn Reduce>, Error> {
        (self.decode)(payload.action.get()).map_err(|error| not_an_action(&error).with_field(payload.name()))
    }
}

/// What is asked for is nothing that the channel has.
pub(crate) fn not_an_action(error: &serde_json::Error) -> Error {
    Error::new(code::BAD_ACTION, format!("not an action of this channel: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_one_line_however_the_action_was_written() {
        let written = "{\r\n  \"type\": \"create\",\n\t\"payload\": { \"text\": \"a  b\\n\\\"c\\\\\" }\n}";
        let action = RawValue::from_string(written.into()).unwrap();
        let payload = ActionPayload { channel: "todos".into(), action }.to_payload().unwrap();
        let expected = r#"{"channel":"todos","action":{"type":"create","payload":{"text":"a  b\n\"c\\"}}}"#;
        assert_eq!(payload.get(), expected);
    }

    #[test]
    fn an_action_is_named_however_it_is_tagged() {
        let name = |json| action_name(json).map(Cow::into_owned);
        assert_eq!(name(r#""clear""#), Some("clear".into()));
        assert_eq!(name(r#"{"toggle":{"id":"t1"}}"#), Some("toggle".into()));
        assert_eq!(name(r#"{"type":"to\u0067gle","payload":{"id":"t1"}}"#), Some("toggle".into()));
        assert_eq!(name(r#"{"type":5}"#), Some("type".into()));
        assert_eq!(name(r#"{"id":1,"done":true}"#), None);
        assert_eq!(name("17"), None);
    }
}
