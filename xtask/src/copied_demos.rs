//! demos/ is meant to be copied and made into an app; this proves that it can be.

mod tools;

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::bundle::remove_dir;
use crate::repo::Repo;
use crate::shell;
use crate::toolchain::WASM;
use crate::web::{self, Profile};

/// How demos/Cargo.toml names Syncline's crates, and how its own files would if they reached out of the folder.
const PATH_TO_SYNCLINE: &str = "../crates/";

/// Copies demos/ out of the repository, where none of its settings reach, and builds the copy: server and apps,
/// unoptimised, into the shared target directory, so that only what has moved is compiled again.
pub(crate) fn build(repo: &Repo) -> Result<()> {
    let copy = place(repo)?;
    remove_dir(&copy)?;
    let built = build_in(repo, &copy);
    remove_dir(&copy)?;
    built
}

/// The same place each time for one clone, since cargo builds anew what has moved.
fn place(repo: &Repo) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    repo.path("").hash(&mut hasher);
    let place = env::temp_dir().join(format!("syncline-demos-{:016x}", hasher.finish()));
    if place.starts_with(repo.path("")) {
        bail!("the folder for temporary files, {}, is inside the repository", env::temp_dir().display());
    }
    Ok(place)
}

fn build_in(repo: &Repo, copy: &Path) -> Result<()> {
    copy_dir(&repo.path("demos"), copy)?;

    let manifest = copy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    fs::write(&manifest, with_paths_to(&text, &repo.path("crates"))?)?;
    refuse_paths_out(copy)?;

    let build = |args: &[&str]| {
        let mut cargo = repo.cargo(&["build", "--locked"]);
        shell::run(cargo.args(args).current_dir(copy))
    };
    build(&["-p", "demo-server"])?;
    build(&["--target", WASM, "-p", "demo-leptos", "-p", "demo-dioxus"])?;
    let server = web::server_program(repo, Profile::Dev);
    tools::check(copy, &shell::output(repo.command(server).arg("--help"))?)
}

fn with_paths_to(manifest: &str, crates: &Path) -> Result<String> {
    if !manifest.contains(PATH_TO_SYNCLINE) {
        bail!("demos/Cargo.toml does not name Syncline's crates by {PATH_TO_SYNCLINE}");
    }
    Ok(manifest.replace(PATH_TO_SYNCLINE, &format!("{}/", crates.display())))
}

/// demos/Cargo.toml is the only place to change.
fn refuse_paths_out(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            refuse_paths_out(&path)?;
            continue;
        }
        let checked = path.extension().is_some_and(|extension| extension == "toml" || extension == "rs");
        if checked && fs::read_to_string(&path)?.contains(PATH_TO_SYNCLINE) {
            bail!("{} names a path out of demos/", path.display());
        }
    }
    Ok(())
}

/// Copies what a person would copy: not what was built.
fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() && (name == "target" || name == "dist") {
            continue;
        }
        let to = to.join(name);
        if path.is_dir() {
            copy_dir(&path, &to)?;
        } else {
            fs::copy(&path, &to).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_out_of_the_repository_and_always_in_the_same_place() {
        let repo = Repo::find().unwrap();
        let copy = place(&repo).unwrap();
        assert!(!copy.starts_with(repo.path("")));
        assert_eq!(copy, place(&repo).unwrap());
    }

    #[test]
    fn the_paths_are_changed_wherever_they_stand() {
        let manifest = "syncline = { path = \"../crates/syncline\" }\nmodel = { path = \"model\" }\n";
        let changed = with_paths_to(manifest, Path::new("/repo/crates")).unwrap();
        assert_eq!(
            changed,
            "syncline = { path = \"/repo/crates/syncline\" }\nmodel = { path = \"model\" }\n"
        );
        assert!(with_paths_to("model = { path = \"model\" }", Path::new("/repo/crates")).is_err());
    }
}
