//! Where things are, and cargo called on them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The checked out repository.
#[derive(Debug)]
pub(crate) struct Repo {
    root: PathBuf,
    target: PathBuf,
}

impl Repo {
    pub(crate) fn find() -> Result<Self> {
        // cargo sets it for what it runs; the build-time value serves a binary started by hand
        let manifest_dir =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let mut root = PathBuf::from(manifest_dir);
        while !root.join("demos/Cargo.toml").exists() || !root.join("xtask").exists() {
            root = root.parent().context("not inside the repository")?.to_owned();
        }
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => env::current_dir()?.join(dir),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    pub(crate) fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.root.join(inside)
    }

    /// The one target directory: both workspaces and the copy of demos/ build into it, so that a dependency
    /// of several of them is compiled once.
    pub(crate) fn target(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.target.join(inside)
    }

    /// What browsers download: a folder for each app.
    pub(crate) fn dist(&self) -> PathBuf {
        self.target("site")
    }

    /// `path` as a person at the repository's top would type it.
    pub(crate) fn display(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// A program to be run at the repository's top.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut cargo = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(args).env("CARGO_TARGET_DIR", &self.target);
        // incremental files cost time and disk and are of use to a second build only
        if env::var_os("CI").is_some() {
            cargo.env("CARGO_INCREMENTAL", "0");
        }
        cargo
    }

    /// cargo on demos/, which is a workspace of its own.
    pub(crate) fn demos_cargo(&self, args: &[&str]) -> Command {
        let mut cargo = self.cargo(&args[..1]);
        cargo.args(["--manifest-path", "demos/Cargo.toml"]).args(&args[1..]);
        cargo
    }
}
