//! `cargo xtask bench server`: fan-out, idle connections and writers; what is measured stands in benches/server.

use std::ffi::OsString;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::write_json;
use crate::repo::Repo;

pub(super) const NAME: &str = "server";

/// Runs it; an argument is a part of it, `fanout` or `writers`.
pub(super) fn run(repo: &Repo, args: &[OsString]) -> Result<()> {
    let mut cargo = repo.cargo(&["run", "--release", "-p", "syncline-bench-server", "--", "load"]);
    let output = cargo.args(args).stderr(Stdio::inherit()).output().context("cargo does not start")?;
    if !output.status.success() {
        bail!("the measurement failed ({})", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    let (table, json) = text.trim_end().rsplit_once('\n').context("it printed no figures")?;
    println!("{table}");
    let file = repo.target("bench").join("server.json");
    write_json(&file, &serde_json::from_str::<Value>(json)?)?;
    println!("\nwritten to {}", repo.display(&file));
    Ok(())
}
