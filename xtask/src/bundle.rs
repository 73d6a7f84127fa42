//! From an app's index.html and its compiled wasm to a folder that any web server can serve.
//!
//! `trunk` and `dx` do this for people who work on the apps; doing it here keeps the demo to one command
//! with nothing to install. index.html stays the file those tools read, and this much of their language is understood:
//!
//! | in index.html | becomes |
//! |---|---|
//! | `<link data-trunk rel="rust">` (or its absence, as `dx` has it) | the script that starts the app |
//! | `<link data-trunk rel="css" href="F">`, `rel="icon"` | a link to a copy of F |
//! | `<link data-trunk rel="copy-file" href="F">` | nothing; F is copied |
//!
//! Anything else with `data-trunk` is an error, so that the two ways of building cannot drift apart unseen. Every address
//! is relative, so the folder can be served under any path, and carries a hash of the whole bundle, so that
//! no cache joins the files of two builds.

mod page;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::repo::Repo;
use crate::shell;
use page::Page;

/// One app to be bundled.
pub(crate) struct App<'a> {
    /// The folder with index.html.
    pub(crate) source: &'a Path,
    /// What the compiler made.
    pub(crate) wasm: &'a Path,
    /// The folder to fill.
    pub(crate) out: &'a Path,
    /// Names and debug information are kept for a development build.
    pub(crate) dev: bool,
}

/// Whether a bundle had to be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bundled {
    New,
    Unchanged,
}

/// Fills `app.out`, unless it already holds what the same input gave before.
pub(crate) fn bundle(repo: &Repo, app: &App<'_>) -> Result<Bundled> {
    let page = page(app.source)?;
    let wasm_opt = if app.dev { None } else { shell::find(&["wasm-opt"]) };
    let version = version(app, &page, wasm_opt.is_some())?;
    let stamp = app.out.with_extension("version");
    if app.out.is_dir() && fs::read_to_string(&stamp).is_ok_and(|made| made == version) {
        return Ok(Bundled::Unchanged);
    }

    // made beside the old one and exchanged for it, so that a failure leaves a working bundle
    let fresh = app.out.with_extension("new");
    remove_dir(&fresh)?;
    fs::create_dir_all(&fresh)?;
    let module = generate_bindings(app.wasm, &fresh, app.dev)?;
    if let Some(program) = wasm_opt {
        optimise(repo, &program, &fresh.join(format!("{module}_bg.wasm")));
    }
    for (from, name) in page.copies() {
        fs::copy(from, fresh.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    fs::write(fresh.join("index.html"), page.render(&module, &version))?;
    remove_dir(app.out)?;
    fs::rename(&fresh, app.out)?;
    fs::write(&stamp, &version)?;
    Ok(Bundled::New)
}

/// The page in the folder of an app.
pub(crate) fn page(source: &Path) -> Result<Page> {
    let index = source.join("index.html");
    let html =
        fs::read_to_string(&index).with_context(|| format!("no page to bundle at {}", index.display()))?;
    Page::parse(&html, source).with_context(|| format!("in {}", index.display()))
}

/// A hash of everything that goes into a bundle.
fn version(app: &App<'_>, page: &Page, optimised: bool) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let wasm = fs::read(app.wasm).with_context(|| format!("{} was not built", app.wasm.display()))?;
    (wasm, app.dev, optimised).hash(&mut hasher);
    page.render("", "").hash(&mut hasher);
    for (from, name) in page.copies() {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        (content, name).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// What the `wasm-bindgen` program does, by the library it is made of. Gives the name of the JavaScript module.
pub(crate) fn generate_bindings(wasm: &Path, out: &Path, dev: bool) -> Result<String> {
    let module = wasm.file_stem().context("the wasm file has no name")?.to_string_lossy().into_owned();
    Bindgen::new()
        .input_path(wasm)
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        .debug(dev)
        .keep_debug(dev)
        .remove_name_section(!dev)
        .remove_producers_section(!dev)
        .generate(out)
        .with_context(|| format!("generating the bindings of {module}"))?;
    Ok(module)
}

/// A smaller file where binaryen is installed; an old binaryen that does not know today's wasm is no obstacle.
fn optimise(repo: &Repo, program: &Path, wasm: &Path) {
    let smaller = wasm.with_extension("opt");
    let optimised =
        shell::run(repo.command(program).arg("-Os").arg(wasm).arg("-o").arg(&smaller)).and_then(|()| {
            fs::rename(&smaller, wasm)?;
            Ok(())
        });
    match optimised {
        Ok(()) => println!("    made smaller by wasm-opt"),
        Err(error) => println!("    left as it is: {error:#}"),
    }
}

pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
