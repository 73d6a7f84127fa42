//! The actions that are replayed: edits and new rows, each made of what one other row says.

use serde::{Deserialize, Serialize};
use syncline::{Channel, Draft, Error};
use syncline_benches::Item;

/// What page/actions.js does in JavaScript.
pub(crate) struct ItemChannel;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub(crate) enum ItemAction {
    /// Another text, and nothing else.
    Edit { id: String, heading: String, text: String },
    /// One more row.
    Create { id: String, heading: String, text: String, created_at: u64 },
}

impl Channel for ItemChannel {
    const NAME: &'static str = "items";
    type Record = Item;
    type Action = ItemAction;
    type Output = ();
    type Error = Error;

    fn reduce(items: &mut Draft<'_, Item>, action: &ItemAction) {
        match action {
            ItemAction::Edit { id, heading, text } => {
                if let Some(text) = under(items, heading, text) {
                    items.update(id, |item| item.text = text);
                }
            }
            ItemAction::Create { id, heading, text, created_at } => {
                if let Some(text) = under(items, heading, text) {
                    let (id, created_at) = (id.clone(), *created_at);
                    items.put(Item { id, text, done: false, created_at, updated_at: created_at });
                }
            }
        }
    }
}

/// A text as it reads under a heading: with the heading's time, so that it is another one whenever the heading changes.
fn under(items: &Draft<'_, Item>, heading: &str, text: &str) -> Option<String> {
    let heading = items.get(heading)?;
    Some(format!("{text}, {}", heading.updated_at))
}
