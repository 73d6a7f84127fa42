//! `syncline`: what is in a space, what happens there, and writes to it, from a terminal or a script.
//!
//! ```text
//! syncline watch https://app.example/sync list-42 todos --filter done=false --order position --limit 20
//! syncline tail  https://app.example/sync list-42 todos --json
//! syncline send  https://app.example/sync list-42 --put todos '{"id":"t1","text":"Milk"}' --patch todos t2 '{"done":true}'
//! syncline send  https://app.example/sync list-42 todos '{"type":"clear_completed"}'
//! ```
//!
//! `watch` shows the rows and then every change, `tail` the changes alone. Both come back by themselves when the connection
//! or the server goes, and tell what has changed meanwhile: nothing is missed and nothing told twice. `send` makes one write,
//! of rows or of a channel's action, and waits for the server's word; it takes effect once, however often the connection
//! breaks. The exit code is 0 when all went well or Ctrl-C ended a `watch` or `tail`, 1 when the server or the connection failed it, 2 when it
//! was called wrongly, 130 when Ctrl-C ended a `send`, which may have been done or not.
//!
//! Rows are whatever the server says: the tool knows no types. It speaks the protocol itself and keeps the rows that it has shown; only which field is the key it
//! has to be told, where that is not `id`.

mod args;
mod line;
mod output;
mod rows;
mod send;
mod watch;

use std::process::ExitCode;

use syncline_core::{Error, code};

use args::{Args, Run, Task};
use output::Output;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Run { server, task, json } = match args::parse(lexopt::Parser::from_env()) {
        Ok(Args::Run(run)) => *run,
        Ok(Args::Say(text)) => {
            return Output::new(false).text(&text).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
        Err(error) => {
            let why = format!("{error}; `syncline --help` says more");
            output::end("usage", &why, args::is_for_a_program());
            return ExitCode::from(2);
        }
    };
    let mut output = Output::new(json);
    let is_write = matches!(task, Task::Send(_));
    let work = async {
        match task {
            Task::Watch(watch) => watch::run(server, watch, &mut output).await,
            Task::Send(send) => send::run(server, send, &mut output).await,
        }
    };
    let ended = tokio::select! {
        // listened for before the first thing is done
        biased;
        // where the system gives no notice of it, it ends the tool by itself
        Ok(()) = tokio::signal::ctrl_c() => {
            return if is_write { undecided(json) } else { ExitCode::SUCCESS };
        }
        ended = work => ended,
    };
    match ended {
        Ok(()) | Err(End::Reader) => ExitCode::SUCCESS,
        Err(End::Failed(error)) => {
            output::fail(&error, json);
            ExitCode::FAILURE
        }
    }
}

/// A write was interrupted.
fn undecided(json: bool) -> ExitCode {
    let why = "interrupted: the server may have done it, or may not";
    output::end(code::OUTCOME_UNKNOWN, why, json);
    ExitCode::from(130)
}

/// Why the tool ends before it is done.
#[derive(Debug)]
enum End {
    /// Nobody reads what it says any more.
    Reader,
    /// Something went wrong for good.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
