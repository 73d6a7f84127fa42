//! The to-do lists as partysync's clients know them: `ws://…/parties/todos/main`.

use demo_model::{TodoChannel, list_space};
use syncline_server::partysync::{Party, Partysync};

pub(crate) fn parties() -> Partysync {
    let todos = Party::named("todos").rooms(|list| Some(list_space(list)));
    Partysync::new().party(todos.channel::<TodoChannel>())
}
