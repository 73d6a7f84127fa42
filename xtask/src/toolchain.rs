//! What has to be installed beside the toolchain's default parts.

use std::path::Path;

use anyhow::{Result, bail};

use crate::repo::Repo;
use crate::shell;

pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Adds the browser's compile target when it is missing.
pub(crate) fn ensure_wasm_target(repo: &Repo) -> Result<()> {
    let libdir = shell::output(repo.command("rustc").args(["--print", "target-libdir", "--target", WASM]))?;
    if Path::new(&libdir).exists() {
        println!("    {WASM} is installed");
        return Ok(());
    }
    if shell::find(&["rustup"]).is_none() {
        bail!("this Rust has no {WASM}: install that target, or Rust by https://rustup.rs");
    }
    shell::run(repo.command("rustup").args(["target", "add", WASM]))
}

/// Adds rustfmt and clippy when they are missing, as in rustup's minimal profile.
pub(crate) fn ensure_checkers(repo: &Repo) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if shell::succeeds(&mut repo.cargo(&[subcommand, "--version"])) {
            continue;
        }
        if shell::find(&["rustup"]).is_none() {
            bail!("`cargo {subcommand}` is missing: install {component}");
        }
        shell::run(repo.command("rustup").args(["component", "add", component]))?;
    }
    Ok(())
}
