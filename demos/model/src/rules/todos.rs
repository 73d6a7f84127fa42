//! What the server does with the actions of to-do lists.

use serde::{Deserialize, Serialize};
use syncline_core::{Channel as _, Draft, Error, SpaceId};
use syncline_server::{Change, Rules, Tx, User, Who};

use crate::guest::shown_name;
use crate::position::is_position;
use crate::space::Place;
use crate::text::check_text;
use crate::todo::{Todo, TodoAction, TodoChannel, TodoError, TodoOutput};

/// The name of the job that a list leaves when what was done has been cleared away, with a [`Cleared`].
pub const CLEARED: &str = "cleared";

/// What was cleared away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The name of the list.
    pub list: String,
    /// How many to-dos, at least 1.
    pub count: usize,
    /// What the person is called who did it.
    pub by: String,
}

/// Everybody may do everything to every list, as long as it makes sense: what the browser has shown already, done by the
/// same reducer.
///
/// # Errors
/// All that a [`TodoError`] can be. The list is as it was then.
pub fn on_todo_action(tx: &mut Tx<'_>, action: TodoAction, who: &Who<'_>) -> Result<TodoOutput, TodoError> {
    let Some(Place::List(list)) = Place::of(who.space) else { return Err(TodoError::NotAList) };
    let mut todos = tx.rows::<Todo>();
    check(&todos, &action)?;
    let changed = match &action {
        TodoAction::ClearCompleted => todos.rows().iter().filter(|todo| todo.done).count(),
        // whoever is too late has what they wanted
        TodoAction::Delete { id } => usize::from(todos.contains(id)),
        _ => 1,
    };
    TodoChannel::reduce(&mut todos, &action);
    if matches!(action, TodoAction::ClearCompleted) && changed > 0 {
        // to be told elsewhere, once this is stored
        tx.enqueue(CLEARED, &Cleared { list: list.into(), count: changed, by: shown_name(who.user) });
    }
    Ok(TodoOutput { changed })
}

fn check(todos: &Draft<'_, Todo>, action: &TodoAction) -> Result<(), TodoError> {
    let is_there = |id| if todos.contains(id) { Ok(()) } else { Err(TodoError::Gone) };
    let is_place = |position| if is_position(position) { Ok(()) } else { Err(TodoError::BadPosition) };
    match action {
        TodoAction::Create { id, text, position, .. } => {
            if todos.contains(id) {
                return Err(TodoError::Taken);
            }
            is_place(position)?;
            check_text(text).map_err(TodoError::Text)
        }
        TodoAction::Edit { id, text } => {
            is_there(id)?;
            check_text(text).map_err(TodoError::Text)
        }
        TodoAction::Toggle { id, .. } => is_there(id),
        TodoAction::Move { id, position } => {
            is_there(id)?;
            is_place(position)
        }
        TodoAction::Delete { .. } | TodoAction::ClearCompleted => Ok(()),
    }
}

/// To-dos are changed by actions alone: nobody gets past [`on_todo_action`] by writing rows.
#[derive(Clone, Copy, Debug)]
pub struct TodoRules;

impl Rules<Todo> for TodoRules {
    fn write(&self, _user: &User, _space: &SpaceId, _change: Change<'_, Todo>) -> Result<(), Error> {
        Err(Error::new("actions_only", "To-dos are changed by actions only."))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use syncline_core::Schema;
    use syncline_core::record::AnyRow;
    use syncline_core::tx::{Finished, ReadRows};

    use super::*;
    use crate::text::BadText;

    /// A list of which the even ones are done.
    struct List(Vec<Todo>);

    impl List {
        fn of(count: usize) -> Self {
            Self((0..count).map(|index| todo(&index.to_string(), index % 2 == 0)).collect())
        }

        fn act(&self, space: &str, action: TodoAction) -> Result<(TodoOutput, Finished), TodoError> {
            let mut schema = Schema::new(0);
            schema.add::<Todo>();
            let (ada, space) = (User { id: "3f2b".into(), name: Some("Ada".into()) }, space.into());
            let mut tx = Tx::new(&schema, self);
            let output = on_todo_action(&mut tx, action, &Who::new(&ada, &space, 0))?;
            Ok((output, tx.finish().unwrap()))
        }
    }

    impl ReadRows for List {
        fn row(&self, _: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
            let row = self.0.iter().find(|todo| todo.id == key)?;
            Some(Arc::new(row.clone()))
        }

        fn all_rows(&self, _: &'static str) -> Vec<Arc<dyn AnyRow>> {
            self.0.iter().map(|todo| Arc::new(todo.clone()) as Arc<dyn AnyRow>).collect()
        }
    }

    fn todo(id: &str, done: bool) -> Todo {
        Todo { id: id.into(), text: "Milk".into(), done, position: "a0".into(), created_at: 0 }
    }

    fn create(id: &str, text: &str, position: &str) -> TodoAction {
        TodoAction::Create { id: id.into(), text: text.into(), position: position.into(), created_at: 0 }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let id = || "gone".to_owned();
        let refused = |space: &str, action: TodoAction| List::of(2).act(space, action).err();
        assert_eq!(refused("list-main", create("new", "Milk", "a1")), None);
        assert_eq!(refused("room-lobby", create("new", "Milk", "a1")), Some(TodoError::NotAList));
        assert_eq!(refused("list-main", create("0", "Milk", "a1")), Some(TodoError::Taken));
        assert_eq!(refused("list-main", create("new", " ", "a1")), Some(TodoError::Text(BadText::Empty)));
        assert_eq!(refused("list-main", create("new", "Milk", "1.5")), Some(TodoError::BadPosition));
        for action in [
            TodoAction::Edit { id: id(), text: "Bread".into() },
            TodoAction::Toggle { id: id(), done: true },
            TodoAction::Move { id: id(), position: "a1".into() },
        ] {
            assert_eq!(refused("list-main", action), Some(TodoError::Gone));
        }
        let too_long = TodoAction::Edit { id: "0".into(), text: "x".repeat(501) };
        assert_eq!(refused("list-main", too_long), Some(TodoError::Text(BadText::TooLong { chars: 501 })));
        let nowhere = TodoAction::Move { id: "0".into(), position: String::new() };
        assert_eq!(refused("list-main", nowhere), Some(TodoError::BadPosition));
    }

    #[test]
    fn whoever_deletes_too_late_has_what_they_wanted() {
        let (output, finished) =
            List::of(2).act("list-main", TodoAction::Delete { id: "gone".into() }).unwrap();
        assert_eq!((output.changed, finished.touched.len()), (0, 0));
    }

    #[test]
    fn what_is_cleared_away_is_told() {
        let (output, finished) = List::of(5).act("list-main", TodoAction::ClearCompleted).unwrap();
        assert_eq!((output.changed, finished.touched.len()), (3, 3));
        let [job] = finished.jobs.as_slice() else { panic!("{:?}", finished.jobs) };
        let told: Cleared = serde_json::from_str(job.payload.get()).unwrap();
        assert_eq!(
            (&*job.name, told),
            (CLEARED, Cleared { list: "main".into(), count: 3, by: "Ada".into() })
        );

        let (output, finished) =
            List(vec![todo("1", false)]).act("list-main", TodoAction::ClearCompleted).unwrap();
        assert_eq!((output.changed, finished.jobs.len()), (0, 0), "there is nothing to tell");
    }

    #[test]
    fn an_action_looks_as_in_partysync() {
        let action = TodoAction::Toggle { id: "t1".into(), done: true };
        let json = r#"{"type":"toggle","payload":{"id":"t1","done":true}}"#;
        assert_eq!(serde_json::to_string(&action).unwrap(), json);
        assert_eq!(
            serde_json::to_string(&TodoAction::ClearCompleted).unwrap(),
            r#"{"type":"clear_completed"}"#
        );
    }
}
