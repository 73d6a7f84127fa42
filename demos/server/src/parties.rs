//! The to-do lists as partysync's clients know them: `ws://…/parties/todos/main`.

use demo_model::list_space;
use syncline_server::partysync::{Party, Partysync};

pub(crate) fn parties() -> Partysync {
    Partysync::new().party(Party::named("todos").rooms(|list| Some(list_space(list))))
}
