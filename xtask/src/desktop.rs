//! `cargo xtask desktop`: the Dioxus app in a window of its own.

mod packages;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use lexopt::prelude::*;

use crate::browsers::Browsers;
use crate::repo::Repo;
use crate::web::{self, Profile};
use crate::{node, shell, toolchain};

/// The address of the page that would show the same in a browser, at the server of `cargo xtask demo`.
const ADDRESS: &str = "http://127.0.0.1:3000/dioxus/";

pub(crate) fn run(repo: &Repo, mut args: lexopt::Parser) -> Result<ExitCode> {
    let (mut address, mut test) = (ADDRESS.to_owned(), false);
    while let Some(arg) = args.next()? {
        match arg {
            Long("address") => address = args.value()?.string()?,
            Long("test") => test = true,
            other => return Err(other.unexpected().into()),
        }
    }
    // known before minutes of building
    packages::ensure(repo, test)?;
    println!("    the app, compiled for the desktop (the first time takes some minutes)");
    let program = compile(repo)?;
    if test {
        return test_beside_a_browser(repo, program);
    }
    println!(
        "\nThe Dioxus app at {address}. `cargo xtask demo` starts its server; what is done without one waits."
    );
    shell::run(repo.command(program).arg(address))?;
    Ok(ExitCode::SUCCESS)
}

/// The Dioxus app as a program.
fn compile(repo: &Repo) -> Result<PathBuf> {
    let mut cargo = repo.demos_cargo(&["build", "--release", "-p", "demo-dioxus", "--no-default-features"]);
    shell::run(cargo.args(["--features", "desktop"]))?;
    Ok(repo.target("release").join(format!("demo-dioxus{}", std::env::consts::EXE_SUFFIX)))
}

/// Edits travel between the window, on a display that nobody sees, and a browser.
fn test_beside_a_browser(repo: &Repo, program: PathBuf) -> Result<ExitCode> {
    toolchain::ensure_wasm_target(repo)?;
    node::ensure(repo)?;
    let browsers = Browsers::ensure(repo)?;
    web::compile(repo, Profile::Web)?;
    web::bundle(repo, Profile::Web)?;
    let server = web::server(repo, Profile::Dev)?.0;
    let mut playwright = node::playwright(repo, &["test", "--project=desktop"]);
    playwright
        .env("SYNCLINE_SERVER", server)
        .env("SYNCLINE_DIST", repo.dist())
        .env("SYNCLINE_DESKTOP", program);
    shell::run(browsers.tell(&mut playwright))?;
    Ok(ExitCode::SUCCESS)
}
