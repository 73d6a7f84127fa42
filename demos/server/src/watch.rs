//! The rooms as contrail's clients watch them: `GET /xrpc/dev.syncline.demo.message.watchRecords?spaceUri=room-lobby`.

use std::time::Duration;

use demo_model::{Message, Reaction};
use syncline_server::ticket::{BadSecret, Keys};
use syncline_server::watch_records::{Mapping, WatchRecords};

use crate::session::Sessions;

/// Messages with their reactions, with tickets that are good for so long.
///
/// # Errors
/// None, as long as the sessions' secret makes a ticket secret.
pub(crate) fn records(sessions: &Sessions, ticket_lifetime: Duration) -> Result<WatchRecords, BadSecret> {
    let reactions =
        Mapping::new(|reaction: &Reaction| reaction.author.clone(), Reaction::at).named("reaction");
    let messages = Mapping::new(|message: &Message| message.author.clone(), Message::sent_at)
        .named("message")
        .relation("reactions", Reaction::to_messages(), reactions);
    let keys = Keys::new("1", &sessions.ticket_secret())?;
    Ok(WatchRecords::namespace("dev.syncline.demo")
        .collection(messages)
        .tickets(keys)
        .ticket_lifetime(ticket_lifetime))
}
