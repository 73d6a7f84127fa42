//! The project's commands: `cargo xtask demo`, `cargo xtask desktop`, `cargo xtask test`, `cargo xtask bench`.
#![allow(clippy::print_stdout, reason = "what these commands tell a person goes to standard output")]

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::prelude::*;

mod bench;
mod browser_tests;
mod browsers;
mod bundle;
mod copied_demos;
mod demo;
mod desktop;
mod node;
mod repo;
mod shell;
mod steps;
mod test;
mod toolchain;
mod web;

use repo::Repo;

const HELP: &str = "\
The project's commands. Run as `cargo xtask <command>`.

  demo [--data FILE] [--port N] [--host ADDR] [--allow-origin ORIGIN]... [--dev]
      Builds both apps and the server, then serves them on http://127.0.0.1:3000.
        --data FILE   where the server keeps its data      (default demo-data/demo.db)
        --port N      the port to listen on, 0 picks one   (default 3000)
        --host ADDR   the address to listen on             (default 127.0.0.1)
        --allow-origin ORIGIN   lets pages of this origin connect too
        --dev         unoptimised: larger pages, built sooner; lets the pages of `trunk serve` and
                      `dx serve` on port 8080 of this machine connect too

  desktop [--address URL] [--test]
      Builds the Dioxus app as a desktop program and opens its window. Names the system packages that are missing.
        --address URL  as of a page: its server, `?list=`, `?room=`, `?guest=`
                       (default http://127.0.0.1:3000/dioxus/, the server of `cargo xtask demo`)
        --test         opens it on a virtual display instead, and shows that edits travel between it and a browser

  test [--no-e2e] [--every-combination] [--keep-going] [--only WORDS]
      Every check there is; CI runs this.
        --no-e2e      leaves out the Playwright tests
        --every-combination   runs all Playwright tests for every framework, browser and transport, not only where
                              each pair of them stands
        --keep-going  goes on after a check has failed
        --only WORDS  runs the checks with these words in their names, like `end to end`

  bench [NAME] [-- ARGS]
      Runs one of benches/benches/*.rs, `browser`, `dom` or `server`, prints its medians and writes them to
      target/bench/NAME.json. ARGS go to criterion (`-- --quick`). Without a name: lists them.

  help
      This text.
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut args = lexopt::Parser::from_env();
    let command = match args.next()? {
        None | Some(Short('h') | Long("help")) => "help".to_owned(),
        Some(Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    let repo = Repo::find()?;
    match command.as_str() {
        "demo" => demo::run(&repo, args),
        "desktop" => desktop::run(&repo, args),
        "test" => test::run(repo, args),
        "bench" => bench::run(&repo, args),
        // called by cargo for each test program built for the browser, not by a person
        browser_tests::RUNNER_COMMAND => browser_tests::run_program(&repo, args),
        "help" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        unknown => bail!("no command `{unknown}`; `cargo xtask help` lists them"),
    }
}
