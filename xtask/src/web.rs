//! Both demo apps built for the browser, and the server that serves them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::bundle::{self, App, Bundled};
use crate::repo::Repo;
use crate::shell;
use crate::toolchain::WASM;

/// The apps, by the name of their folders in demos/ and in what is served.
const APPS: [&str; 2] = ["leptos", "dioxus"];

/// How the apps or the server are compiled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    /// Unoptimised, quick to build.
    Dev,
    /// A fast server.
    Release,
    /// Small downloads.
    Web,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
            Self::Web => "web",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            other => other.name(),
        }
    }
}

/// Compiles both apps; false when both were up to date.
pub(crate) fn compile(repo: &Repo, profile: Profile) -> Result<bool> {
    let wasm = APPS.map(|app| wasm(repo, app, profile));
    let before = wasm.each_ref().map(|file| modified(file));
    let mut cargo = repo.demos_cargo(&["build", "--target", WASM, "--profile", profile.name()]);
    for app in APPS {
        cargo.args(["-p", &package(app)]);
    }
    shell::run(&mut cargo)?;
    Ok(before != wasm.each_ref().map(|file| modified(file)))
}

/// Fills the folders that are served; false when they were up to date.
pub(crate) fn bundle(repo: &Repo, profile: Profile) -> Result<bool> {
    let mut any = false;
    for app in APPS {
        let out = repo.dist().join(app);
        let bundled = bundle::bundle(
            repo,
            &App {
                source: &repo.path("demos").join(app),
                wasm: &wasm(repo, app, profile),
                out: &out,
                dev: matches!(profile, Profile::Dev),
            },
        )?;
        any |= bundled == Bundled::New;
        let what = if bundled == Bundled::New { "" } else { ", unchanged" };
        println!("    {}: {}{what}", repo.display(&out), size(&out)?);
    }
    Ok(any)
}

/// Compiles the server and says where it is; false when it was up to date.
pub(crate) fn server(repo: &Repo, profile: Profile) -> Result<(PathBuf, bool)> {
    let program = server_program(repo, profile);
    let before = modified(&program);
    shell::run(&mut repo.demos_cargo(&["build", "--profile", profile.name(), "-p", "demo-server"]))?;
    let changed = before != modified(&program);
    Ok((program, changed))
}

pub(crate) fn server_program(repo: &Repo, profile: Profile) -> PathBuf {
    repo.target(profile.folder()).join(format!("demo-server{}", std::env::consts::EXE_SUFFIX))
}

fn package(app: &str) -> String {
    format!("demo-{app}")
}

fn wasm(repo: &Repo, app: &str, profile: Profile) -> PathBuf {
    repo.target(WASM).join(profile.folder()).join(format!("{}.wasm", package(app)))
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// The size of what a browser downloads first, as it is on disk.
fn size(bundle: &Path) -> Result<String> {
    let mut bytes = 0;
    let entries = fs::read_dir(bundle).with_context(|| format!("cannot read {}", bundle.display()))?;
    for entry in entries {
        let metadata = entry?.metadata()?;
        if metadata.is_file() {
            bytes += metadata.len();
        }
    }
    Ok(format!("{} KB", bytes.div_ceil(1000)))
}
