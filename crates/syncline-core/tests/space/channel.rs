//! A channel of notes, and what its handler does.

use serde::{Deserialize, Serialize};
use syncline_core::channel::ActionPayload;
use syncline_core::space::{Channels, Who};
use syncline_core::{Channel, Draft, Error, Tx};

use crate::rules::{Gauge, Note, Secret};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// Puts a note; gives nothing back.
    Add(String, i64),
    /// Adds one to a note, with a job where that makes it even; gives back what it is now.
    Bump(String),
    /// Counts the notes.
    Count,
    /// A note that nobody may write by hand, and one of somebody else's secrets.
    Rude(String),
    /// Gives back so many bytes.
    Say(usize),
    /// Gives back JSON that somebody has laid out over several lines.
    Lines,
    /// Puts a note, leaves so many jobs, and is refused.
    Refuse(usize),
    /// Leaves so many jobs.
    Leave(usize),
    /// Puts a note whose key is too long.
    LongKey,
    /// Puts a gauge with this level over that, so many marks, and a value nested so deep.
    Gauge(f64, f64, u64, usize),
    /// Deletes a row of any collection.
    Delete(String),
    /// Who acts, where and when.
    Who,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ActError {
    Gone { id: String },
    Full { most: usize },
}

impl From<ActError> for Error {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Gone { id } => Self::new("gone", "It is gone.").with_field(id),
            ActError::Full { most } => Self::new("full", format!("There is room for {most}.")),
        }
    }
}

pub(crate) struct NoteChannel;

impl Channel for NoteChannel {
    const NAME: &'static str = "notes";
    type Record = Note;
    type Action = Act;
    type Output = Option<Box<serde_json::value::RawValue>>;
    type Error = ActError;

    fn reduce(_: &mut Draft<'_, Note>, _: &Act) {}
}

pub(crate) fn channels() -> Channels {
    let mut channels = Channels::default();
    channels.add::<NoteChannel>(handle);
    channels
}

pub(crate) fn payload(act: &Act) -> ActionPayload {
    ActionPayload::of::<NoteChannel>(act).unwrap()
}

fn handle(
    tx: &mut Tx<'_>,
    act: Act,
    who: &Who<'_>,
) -> Result<Option<Box<serde_json::value::RawValue>>, ActError> {
    let give = |value: serde_json::Value| Ok(Some(serde_json::value::to_raw_value(&value).unwrap()));
    let note = |id: &str, text: &str, n| Note { id: id.into(), text: text.into(), n };
    match act {
        Act::Add(id, n) => tx.rows().put(note(&id, "", n)),
        Act::Bump(id) => {
            let mut notes = tx.rows::<Note>();
            if !notes.update(&id, |note| note.n += 1) {
                return Err(ActError::Gone { id });
            }
            let n = notes.get(&id).unwrap().n;
            if n % 2 == 0 {
                tx.enqueue("even", &(&id, n));
            }
            return give(n.into());
        }
        Act::Count => return give(tx.rows::<Note>().rows().len().into()),
        Act::Rude(owner) => {
            tx.rows().put(note("rude", "rude", 1));
            tx.rows().put(Secret { id: "planted".into(), owner, text: String::new(), n: 1 });
        }
        Act::Say(bytes) => return give("x".repeat(bytes).into()),
        Act::Lines => {
            return Ok(serde_json::value::RawValue::from_string("{\r\n\"a\":\n\"\\n\"}".into()).ok());
        }
        Act::Refuse(jobs) => {
            tx.rows().put(note("half", "", 1));
            (0..jobs).for_each(|n| tx.enqueue("never", &n));
            return Err(ActError::Full { most: 3 });
        }
        Act::Leave(jobs) => (0..jobs).for_each(|n| tx.enqueue("later", &n)),
        Act::LongKey => tx.rows().put(note(&"k".repeat(300), "", 1)),
        Act::Gauge(level, over, marks, depth) => {
            let more = (0..depth).fold(serde_json::Value::Null, |value, _| vec![value].into());
            let marks = (0..marks).collect();
            tx.rows().put(Gauge { id: "g".into(), level: level / over, marks, more });
        }
        Act::Delete(id) => drop(tx.rows::<Note>().remove(&id)),
        Act::Who => return give(serde_json::json!([who.user.id, who.space, who.now])),
    }
    Ok(None)
}
