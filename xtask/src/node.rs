//! Node and the npm packages of package-lock.json; only tests need them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::repo::Repo;
use crate::shell;

/// Major and minor version; as package.json has it, for `import.meta.dirname`.
const OLDEST: (u32, u32) = (20, 11);

/// Checks that Node is there and installs the packages of the lock file.
pub(crate) fn ensure(repo: &Repo) -> Result<()> {
    let (major, minor) = OLDEST;
    let needed = format!("the browser tests need Node.js {major}.{minor} or newer with npm");
    if shell::find(&["node"]).is_none() || shell::find(&[NPM]).is_none() {
        bail!("{needed}: install it from https://nodejs.org");
    }
    let version = shell::output(repo.command("node").arg("--version"))?;
    if parse(&version).is_none_or(|version| version < OLDEST) {
        bail!("{needed}, this is {version}: see https://nodejs.org");
    }
    println!("    Node.js {version}");
    install_packages(repo, "")
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

/// Installs the packages of the lock file in a folder of the repository.
pub(crate) fn install_packages(repo: &Repo, folder: &str) -> Result<()> {
    let folder = repo.path(folder);
    let lock = fs::read_to_string(folder.join("package-lock.json"))?;
    // a copy of the lock file that was installed, since `npm ci` starts over each time
    let installed = folder.join("node_modules/.syncline-lock.json");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == lock) {
        println!("    npm packages are as package-lock.json has them");
        return Ok(());
    }
    // Playwright's own browsers are fetched later, and only when no installed one will do
    let mut ci = npm(repo, &["ci", "--no-audit", "--no-fund"]);
    shell::run(ci.current_dir(&folder).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"))?;
    write(&installed, &lock)
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    Ok(fs::write(file, text)?)
}

/// Major and minor version of what `node --version` says.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix('v')?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_too_old_by_its_minor_version_is_too_old() {
        let is_new_enough = |version| parse(version).is_some_and(|version| version >= OLDEST);
        for version in ["v20.11.0", "v20.20.2", "v22.0.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["v20.0.0", "v20.10.0", "v18.20.4", "20.11", "v20", "vx.y", ""] {
            assert!(!is_new_enough(version), "{version}");
        }
    }

    #[test]
    fn package_json_and_the_readme_ask_for_the_same_node() {
        let read = |file: &str| fs::read_to_string(Repo::find().unwrap().path(file)).unwrap();
        let (major, minor) = OLDEST;
        assert!(read("package.json").contains(&format!("\"node\": \">={major}.{minor}\"")));
        assert!(read("README.md").contains(&format!("Node.js {major}.{minor} or newer")));
    }
}
