//! Chromium and Firefox for the tests: found, fetched or asked for.
//!
//! In this order: the program that `SYNCLINE_CHROMIUM` or `SYNCLINE_FIREFOX` names, an installed one, Playwright's own
//! download, the distribution's package. Each candidate has to start under Playwright before it is taken: a stub of a package or a
//! browser too old for this Playwright counts as missing.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::repo::Repo;
use crate::{node, shell};

/// One kind of browser and where it may be.
struct Kind {
    name: &'static str,
    /// Names the program; set but empty it means Playwright's own.
    variable: &'static str,
    programs: &'static [&'static str],
    places: &'static [&'static str],
    debian_package: &'static str,
}

const CHROMIUM: Kind = Kind {
    name: "chromium",
    variable: "SYNCLINE_CHROMIUM",
    programs: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"],
    places: &["/snap/bin/chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"],
    debian_package: "chromium",
};

const FIREFOX: Kind = Kind {
    name: "firefox",
    variable: "SYNCLINE_FIREFOX",
    programs: &["firefox-esr", "firefox"],
    places: &["/snap/bin/firefox", "/Applications/Firefox.app/Contents/MacOS/firefox"],
    debian_package: "firefox-esr",
};

const KINDS: [&Kind; 2] = [&CHROMIUM, &FIREFOX];

/// A browser that has been chosen.
#[derive(Debug)]
enum Chosen {
    Program(PathBuf),
    /// What `playwright install` has fetched.
    Playwright,
}

impl Chosen {
    /// The value of the variable that tells the tests.
    fn value(&self) -> OsString {
        match self {
            Self::Program(path) => path.into(),
            Self::Playwright => OsString::new(),
        }
    }
}

/// The browsers to test in, by the variables that tell the tests where they are.
#[derive(Debug, Default)]
pub(crate) struct Browsers {
    variables: Vec<(&'static str, OsString)>,
}

impl Browsers {
    /// Finds or gets both browsers.
    pub(crate) fn ensure(repo: &Repo) -> Result<Self> {
        let mut browsers = Self::default();
        for kind in KINDS {
            let chosen = ensure(repo, kind)?;
            match &chosen {
                Chosen::Program(path) => println!("    {}: {}", kind.name, path.display()),
                Chosen::Playwright => println!("    {}: Playwright's own", kind.name),
            }
            browsers.variables.push((kind.variable, chosen.value()));
        }
        Ok(browsers)
    }

    /// The browsers as they are, for a test program run by itself.
    pub(crate) fn installed() -> Self {
        let installed = |kind: &&Kind| {
            let chosen =
                given(kind).or_else(|| find(kind).map(Chosen::Program)).unwrap_or(Chosen::Playwright);
            (kind.variable, chosen.value())
        };
        Self { variables: KINDS.iter().map(installed).collect() }
    }

    pub(crate) fn tell<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }
}

fn ensure(repo: &Repo, kind: &Kind) -> Result<Chosen> {
    if let Some(chosen) = given(kind) {
        if !starts(repo, kind, &chosen) {
            bail!("{} does not name a {} that Playwright can drive", kind.variable, kind.name);
        }
        return Ok(chosen);
    }
    if let Some(chosen) = installed(repo, kind) {
        return Ok(chosen);
    }
    println!("    no installed {} will do; fetching Playwright's own", kind.name);
    if shell::run(&mut node::playwright(repo, &["install", kind.name])).is_ok() {
        if starts(repo, kind, &Chosen::Playwright) {
            return Ok(Chosen::Playwright);
        }
        // it was fetched, so libraries are missing; Playwright calls sudo by itself
        if Apt::allowed(repo).is_some()
            && shell::run(&mut node::playwright(repo, &["install-deps", kind.name])).is_ok()
            && starts(repo, kind, &Chosen::Playwright)
        {
            return Ok(Chosen::Playwright);
        }
    }
    if let Some(apt) = Apt::allowed(repo)
        && apt.install(repo, kind.debian_package).is_ok()
        && let Some(chosen) = installed(repo, kind)
    {
        return Ok(chosen);
    }
    bail!(
        "no {} for the browser tests: install it (Debian: `apt install {}`) or set {} to its path",
        kind.name,
        kind.debian_package,
        kind.variable
    )
}

fn given(kind: &Kind) -> Option<Chosen> {
    let value = env::var_os(kind.variable)?;
    Some(if value.is_empty() { Chosen::Playwright } else { Chosen::Program(value.into()) })
}

fn installed(repo: &Repo, kind: &Kind) -> Option<Chosen> {
    find(kind).map(Chosen::Program).filter(|chosen| starts(repo, kind, chosen))
}

fn find(kind: &Kind) -> Option<PathBuf> {
    let placed = || kind.places.iter().map(PathBuf::from).find(|place| place.is_file());
    shell::find(kind.programs).or_else(placed)
}

/// Whether Playwright can open a page in it.
fn starts(repo: &Repo, kind: &Kind, browser: &Chosen) -> bool {
    let mut probe = node::script(repo, "e2e/wasm-runner.mjs");
    probe.args(["--probe", kind.name]).env(kind.variable, browser.value());
    shell::succeeds(&mut probe)
}

/// The distribution's packages, where this process may install them.
struct Apt {
    sudo: Option<PathBuf>,
}

impl Apt {
    fn allowed(repo: &Repo) -> Option<Self> {
        shell::find(&["apt-get"])?;
        let root = shell::output(repo.command("id").arg("-u")).is_ok_and(|id| id == "0");
        if root {
            return Some(Self { sudo: None });
        }
        let sudo = shell::find(&["sudo"])?;
        shell::succeeds(repo.command(&sudo).args(["-n", "true"])).then_some(Self { sudo: Some(sudo) })
    }

    fn install(&self, repo: &Repo, package: &str) -> Result<()> {
        shell::run(&mut self.command(repo, &["update"]))?;
        shell::run(&mut self.command(repo, &["install", "--yes", "--no-install-recommends", package]))
    }

    fn command(&self, repo: &Repo, args: &[&str]) -> Command {
        let mut command = match &self.sudo {
            None => repo.command("apt-get"),
            Some(sudo) => {
                let mut command = repo.command(sudo);
                command.args(["-n", "apt-get"]);
                command
            }
        };
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}
