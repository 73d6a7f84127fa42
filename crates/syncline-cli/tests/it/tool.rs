//! The tool, run.

use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::soon;

/// It runs until it is told to end, or dropped.
pub(crate) struct Tool {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    complained: Lines<BufReader<ChildStderr>>,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(args).stdin(Stdio::null()).env_remove("SYNCLINE_TOKEN").kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn run(args: &[&str]) -> Output {
    soon(command(args).output()).await.unwrap()
}

/// The same: its exit code, what it said and what it complained about.
pub(crate) async fn ran(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = run(args).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The same with something to read on the standard input.
pub(crate) async fn ran_reading(args: &[&str], input: &str) -> (i32, String, String) {
    let mut command = command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let Output { status, stdout, stderr } = soon(child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

impl Tool {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let complained = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, said, complained }
    }

    /// The next line it says.
    pub(crate) async fn line(&mut self) -> String {
        soon(self.said.next_line()).await.unwrap().unwrap()
    }

    #[track_caller]
    pub(crate) fn says(&mut self, lines: &[&str]) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            for expected in lines {
                assert_eq!(self.line().await, *expected, "{place}");
            }
        }
    }

    /// The next line it complains with.
    pub(crate) async fn complaint(&mut self) -> String {
        soon(self.complained.next_line()).await.unwrap().unwrap()
    }

    /// Nobody reads what it says any more.
    pub(crate) async fn stop_reading(self) -> i32 {
        let Self { mut child, said, complained } = self;
        drop((said, complained));
        soon(child.wait()).await.unwrap().code().unwrap()
    }

    /// Presses Ctrl-C, and gives the exit code.
    pub(crate) async fn interrupt(self) -> i32 {
        self.interrupted().await.0
    }

    /// The same, and what it complains about.
    pub(crate) async fn interrupted(mut self) -> (i32, Vec<String>) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
        let code = soon(self.child.wait()).await.unwrap().code().unwrap();
        assert_eq!(soon(self.said.next_line()).await.unwrap(), None);
        let mut complaints = Vec::new();
        while let Some(complaint) = soon(self.complained.next_line()).await.unwrap() {
            complaints.push(complaint);
        }
        (code, complaints)
    }
}
