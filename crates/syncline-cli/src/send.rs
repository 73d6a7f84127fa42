//! `send`.

use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use syncline_core::wire::{Ack, Changes, ClientMessage, EncodedRow, Frame, ServerMessage, Write, WriteState};
use syncline_core::{ClientId, Error, Version, WriteId, code};
use tokio::time::{sleep, timeout};

use crate::End;
use crate::args::{Send, Server};
use crate::line::{Line, Way};
use crate::output::Output;

/// The one write of its client.
const ID: WriteId = 1;
/// The wait before a write is sent again that the server could not handle.
const AGAIN: Duration = Duration::from_secs(1);

/// What the server made of the write.
#[derive(Debug)]
struct Verdict {
    version: Version,
    output: Option<Value>,
}

pub(crate) async fn run(server: Server, send: Send, output: &mut Output) -> Result<(), End> {
    let mut way = Way::to(server, output.is_json())?;
    let write = Write {
        space: send.space,
        client: way.client().clone(),
        id: ID,
        settled: 0,
        kind: send.kind.into(),
        payload: send.payload,
    };
    let late = |_| Error::new(code::TIMEOUT, "the server has not said whether it has done it");
    let verdict = timeout(send.within, deliver(&mut way, write)).await.map_err(late)??;
    output.applied(verdict.version, verdict.output.as_ref())
}

/// Sends it until there is a verdict. Under the same number it is done once, however often it arrives.
async fn deliver(way: &mut Way, write: Write) -> Result<Verdict, Error> {
    let client = write.client.clone();
    let message = ClientMessage::Write(write);
    loop {
        let mut line = way.connect().await?;
        match attempt(&mut line, &message, &client).await {
            Ok(verdict) => return verdict,
            Err(lost) => way.lost(line, lost).await?,
        }
    }
}

/// Sends it over one connection, and waits for the verdict.
async fn attempt(
    line: &mut Line,
    message: &ClientMessage,
    client: &ClientId,
) -> Result<Result<Verdict, Error>, Error> {
    line.say(message).await?;
    loop {
        let frame = line.hear().await?;
        let ServerMessage::Changes(changes) = Frame::parse(&frame)?.message else { continue };
        match word(&changes, client) {
            Word::None => {}
            Word::NotNow => {
                sleep(AGAIN).await;
                line.say(message).await?;
            }
            Word::Final(verdict) => return Ok(verdict),
        }
    }
}

/// What a frame says of the write.
enum Word {
    /// Nothing.
    None,
    /// It was not handled, and is to be sent again.
    NotNow,
    /// The verdict.
    Final(Result<Verdict, Error>),
}

fn word(changes: &Changes, client: &ClientId) -> Word {
    let version = changes.to;
    let own = |ack: &&Ack| ack.client == *client && ack.id == ID;
    if let Some(ack) = changes.acks.iter().find(own) {
        return match &ack.error {
            _ if ack.expected.is_some() => Word::NotNow,
            Some(error) => Word::Final(Err(error.clone())),
            None => Word::Final(Ok(Verdict { version, output: ack.output.as_deref().and_then(read) })),
        };
    }
    // stands for an answer that was lost
    let own = |state: &&WriteState| state.client == *client && state.last >= ID;
    let Some(state) = changes.writes.iter().find(own) else { return Word::None };
    let refused = state.refused.iter().find(|refusal| refusal.id == ID);
    let given = state.outputs.iter().find(|given| given.id == ID);
    Word::Final(match refused {
        Some(refusal) => Err(refusal.error.clone()),
        None => Ok(Verdict { version, output: given.and_then(|given| read(&given.output)) }),
    })
}

/// What an action gave back, as rows are read; `None` where it is nothing to be shown.
fn read(output: &RawValue) -> Option<Value> {
    EncodedRow::Json(output.get().as_bytes()).decode(&[]).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

    use super::*;

    fn done(changes: &str) -> Option<Value> {
        match word(&serde_json::from_str(changes).unwrap(), &"c".into()) {
            Word::Final(verdict) => verdict.unwrap().output,
            Word::None | Word::NotNow => panic!("there is no verdict"),
        }
    }

    #[test]
    fn an_output_is_said_wherever_it_comes() {
        let ack = r#"{"space":"l","from":1,"to":2,"acks":[{"client":"c","id":1,"output":[7]}]}"#;
        assert_eq!(done(ack), Some(Value::from(vec![7])));
        let account = r#"{"space":"l","from":1,"to":2,"writes":[{"client":"c","last":1,"outputs":[{"id":1,"output":[7]}]}]}"#;
        assert_eq!(done(account), Some(Value::from(vec![7])));
        let hidden = r#"{"space":"l","from":1,"to":2,"acks":[{"client":"c","id":1,"output":{"$serde_json::private::RawValue":"[[7]]"}}]}"#;
        assert_eq!(done(hidden), None);
    }
}
