//! A channel of notes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::Draft;
use syncline_server::{Builder, Channel, Error, Storage, Syncline, Tx, User, Who};

use crate::support::Note;

pub(crate) struct NoteChannel;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub(crate) enum NoteAction {
    /// Puts a note in the name of who acts; gives back how many there are.
    Add { id: String, text: String },
    /// Leaves a job of this name, and its payload.
    Leave { job: String, payload: Value },
    /// Puts a note and is refused.
    Refuse,
    /// Puts a note and panics.
    Panic,
    /// Gives back what panics when it is written.
    Burst,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NoteError {
    Full { most: usize },
}

impl From<NoteError> for Error {
    fn from(error: NoteError) -> Self {
        let NoteError::Full { most } = error;
        Self::new("full", format!("There is room for {most} notes."))
    }
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Counted {
    pub(crate) notes: usize,
    #[serde(default)]
    bursts: bool,
}

impl Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(!self.bursts, "the output bursts");
        json!({ "notes": self.notes }).serialize(serializer)
    }
}

impl Channel for NoteChannel {
    const NAME: &'static str = "notes";
    type Record = Note;
    type Action = NoteAction;
    type Output = Counted;
    type Error = NoteError;

    fn reduce(_: &mut Draft<'_, Note>, _: &NoteAction) {}
}

pub(crate) fn handle(tx: &mut Tx<'_>, action: NoteAction, who: &Who<'_>) -> Result<Counted, NoteError> {
    let mut bursts = false;
    let half_made = || Note { id: "half".into(), text: "half-made".into(), author: String::new() };
    match action {
        NoteAction::Add { id, text } => tx.rows().put(Note { id, text, author: who.user.id.to_string() }),
        NoteAction::Leave { job, payload } => tx.enqueue(job, &payload),
        NoteAction::Refuse => {
            tx.rows().put(half_made());
            return Err(NoteError::Full { most: 3 });
        }
        NoteAction::Panic => {
            tx.rows().put(half_made());
            panic!("a secret of the handler's");
        }
        NoteAction::Burst => {
            tx.rows().put(half_made());
            bursts = true;
        }
    }
    Ok(Counted { notes: tx.rows::<Note>().rows().len(), bursts })
}

/// A server with that channel alone; a token is a person's id, and none is let into "closed".
pub(crate) fn with_channel<S: Storage>(storage: S) -> Builder<S> {
    Syncline::builder()
        .storage(storage)
        .authenticate(async |credentials: syncline_server::Credentials| {
            let id = credentials.token.unwrap_or_else(|| "somebody".into()).into();
            Ok::<_, Error>(User { id, name: None })
        })
        .spaces(|_, space| match space.as_str() {
            "closed" => Err(Error::new("members_only", "This is for members.")),
            _ => Ok(()),
        })
        .collection::<Note>(())
        .channel::<NoteChannel>(handle)
}

pub(crate) fn ada() -> User {
    User { id: "ada".into(), name: None }
}

pub(crate) fn add(id: &str) -> NoteAction {
    NoteAction::Add { id: id.into(), text: format!("note {id}") }
}

/// An action as a frame.
pub(crate) fn act(client: &str, id: u64, space: &str, action: &NoteAction) -> Value {
    act_raw(client, id, space, "notes", json!(action))
}

pub(crate) fn act_raw(client: &str, id: u64, space: &str, channel: &str, action: Value) -> Value {
    let payload = json!({ "channel": channel, "action": action });
    json!({ "write": { "space": space, "client": client, "id": id, "kind": "action", "payload": payload } })
}
