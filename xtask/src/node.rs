//! Node and the npm packages of package-lock.json; only tests need them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::repo::Repo;
use crate::shell;

/// What Playwright asks for.
const OLDEST: u32 = 20;

/// Checks that Node is there and installs the packages of the lock file.
pub(crate) fn ensure(repo: &Repo) -> Result<()> {
    if shell::find(&["node"]).is_none() || shell::find(&[NPM]).is_none() {
        bail!(
            "the browser tests need Node.js {OLDEST} or newer with npm: install it from https://nodejs.org"
        );
    }
    let version = shell::output(repo.command("node").arg("--version"))?;
    if major(&version).is_none_or(|major| major < OLDEST) {
        bail!("the browser tests need Node.js {OLDEST} or newer, this is {version}: see https://nodejs.org");
    }
    println!("    Node.js {version}");
    install_packages(repo)
}

/// A script of the repository.
pub(crate) fn script(repo: &Repo, file: &str) -> Command {
    let mut node = repo.command("node");
    node.arg(repo.path(file));
    node
}

pub(crate) fn npm(repo: &Repo, args: &[&str]) -> Command {
    let mut npm = repo.command(NPM);
    npm.args(args);
    npm
}

/// Playwright, as installed by the lock file.
pub(crate) fn playwright(repo: &Repo, args: &[&str]) -> Command {
    let mut npx = repo.command(NPX);
    npx.args(["--no-install", "playwright"]).args(args);
    npx
}

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };
const NPX: &str = if cfg!(windows) { "npx.cmd" } else { "npx" };

fn install_packages(repo: &Repo) -> Result<()> {
    let lock = fs::read_to_string(repo.path("package-lock.json"))?;
    // a copy of the lock file that was installed, since `npm ci` starts over each time
    let installed = repo.path("node_modules/.syncline-lock.json");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == lock) {
        println!("    npm packages are as package-lock.json has them");
        return Ok(());
    }
    // Playwright's own browsers are fetched later, and only when no installed one will do
    shell::run(npm(repo, &["ci", "--no-audit", "--no-fund"]).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"))?;
    write(&installed, &lock)
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    Ok(fs::write(file, text)?)
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20"), None);
    }
}
