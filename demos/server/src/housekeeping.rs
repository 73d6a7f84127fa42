//! What follows from an action elsewhere: when somebody clears a list of what was done, the lobby is told.
//!
//! The list's handler cannot write to a room, which is another space. It leaves a job, stored together with what it
//! cleared, and the job says it in the room, by an action that only this server may do.

use demo_model::rules::Cleared;
use demo_model::{Message, room_space};
use serde::{Deserialize, Serialize};
use syncline_core::Draft;
use syncline_server::{ActionError, Channel, Error, Job, Tx, User, Who, code};

/// The room that is told.
const ROOM: &str = "lobby";

/// The id of this server among the authors; those of guests are random and longer.
const SERVER: &str = "server";

/// What the server says in rooms.
pub(crate) struct Announcements;

/// Says something. The same id is the same message.
#[derive(Serialize, Deserialize)]
pub(crate) struct Announce {
    id: String,
    text: String,
    sent_at: u64,
}

impl Channel for Announcements {
    const NAME: &'static str = "announcements";
    type Record = Message;
    type Action = Announce;
    type Output = ();
    type Error = Error;

    fn reduce(messages: &mut Draft<'_, Message>, Announce { id, text, sent_at }: &Announce) {
        messages.put(Message {
            id: id.clone(),
            author: SERVER.into(),
            author_name: "Syncline".into(),
            text: text.clone(),
            sent_at: *sent_at,
        });
    }
}

/// # Errors
/// `forbidden` for everybody but this server.
pub(crate) fn on_announcement(tx: &mut Tx<'_>, announce: Announce, who: &Who<'_>) -> Result<(), Error> {
    if who.user.id != *SERVER {
        return Err(Error::new(code::FORBIDDEN, "Only the server speaks for itself."));
    }
    Announcements::reduce(&mut tx.rows(), &announce);
    Ok(())
}

/// Tells the lobby. A job may be done twice, its announcement is made once.
///
/// # Errors
/// Those of the action; the job is tried again.
pub(crate) async fn tell_of_cleared(job: Job<Cleared>) -> Result<(), ActionError<Error>> {
    let announce = Announce { id: job.id.to_string(), text: words(&job.payload), sent_at: job.at };
    let server = User { id: SERVER.into(), name: None };
    job.syncline.send_action_once::<Announcements>(&job.id, room_space(ROOM), server, announce).await
}

fn words(Cleared { list, count, by }: &Cleared) -> String {
    let todos = if *count == 1 { "to-do" } else { "to-dos" };
    format!("{by} has cleared {count} {todos} off the list “{list}”.")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use demo_model::rules::{CLEARED, on_todo_action};
    use demo_model::{TodoAction, TodoChannel, list_space};
    use syncline_server::{Memory, Syncline};
    use tokio::sync::mpsc;

    use super::*;

    fn ada() -> User {
        User { id: "3f2b".into(), name: Some("Ada".into()) }
    }

    #[tokio::test]
    async fn the_lobby_is_told_of_what_was_cleared() {
        let (told, mut tells) = mpsc::unbounded_channel();
        let server = Syncline::builder()
            .storage(Memory::new())
            .channel::<TodoChannel>(on_todo_action)
            .channel::<Announcements>(move |tx, announce, who| {
                on_announcement(tx, announce, who)?;
                let said = tx.rows::<Message>().rows();
                // the test may have ended
                let _ = told.send(said.iter().map(|message| message.text.clone()).collect::<Vec<_>>());
                Ok(())
            })
            .job(CLEARED, tell_of_cleared)
            .build()
            .await
            .unwrap();
        let act = async |action| {
            server.send_action::<TodoChannel>(list_space("main"), ada(), action).await.unwrap().changed
        };
        let position = || "a0".to_owned();
        act(TodoAction::Create { id: "1".into(), text: "Milk".into(), position: position(), created_at: 0 })
            .await;
        act(TodoAction::Toggle { id: "1".into(), done: true }).await;
        assert_eq!(act(TodoAction::ClearCompleted).await, 1);
        let said = tokio::time::timeout(Duration::from_secs(60), tells.recv()).await.unwrap().unwrap();
        assert_eq!(said, ["Ada has cleared 1 to-do off the list “main”."]);
    }

    #[tokio::test]
    async fn nobody_else_speaks_for_the_server() {
        let server = Syncline::builder()
            .storage(Memory::new())
            .channel::<Announcements>(on_announcement)
            .build()
            .await
            .unwrap();
        let announce = Announce { id: "1".into(), text: "Free money".into(), sent_at: 0 };
        let refused = server.send_action::<Announcements>(room_space(ROOM), ada(), announce).await;
        assert_eq!(refused.unwrap_err().error().code(), code::FORBIDDEN);
    }
}
