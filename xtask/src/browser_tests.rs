//! `#[wasm_bindgen_test]` in real browsers: both of them, by Playwright, without WebDriver programs to install.
//!
//! cargo calls this for each test program that it has compiled for the browser (see .cargo/config.toml). The program gets its
//! JavaScript, a page that runs its tests is put beside it, and e2e/wasm-runner.mjs opens that page in Chromium and in Firefox.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use wasm_bindgen_cli_support::Bindgen;

use crate::browsers::Browsers;
use crate::repo::Repo;
use crate::toolchain::WASM;
use crate::{node, shell};

/// The command by which cargo calls.
pub(crate) const RUNNER_COMMAND: &str = "wasm-test-runner";

/// Names the file to which each browser adds the number of tests it has run.
const TALLY: &str = "SYNCLINE_BROWSER_TESTS";

/// The crates with code of their own for browsers.
pub(crate) const CRATES: [&str; 3] = ["syncline", "syncline-leptos", "syncline-dioxus"];

/// What starts the name of each exported test; wasm-bindgen-test chooses it.
const TEST_EXPORT: &[u8] = b"__wbgt_";

/// Runs the browser tests of all crates; that none has run is an error too.
pub(crate) fn run_all(repo: &Repo, browsers: &Browsers) -> Result<()> {
    let tally = repo.target("browser-tests.txt");
    drop(File::create(&tally)?);
    let mut cargo = repo.cargo(&["test", "--target", WASM, "--lib", "--tests"]);
    for name in CRATES {
        cargo.args(["-p", name]);
    }
    shell::run(browsers.tell(cargo.env(TALLY, &tally)))?;

    let text = fs::read_to_string(&tally)?;
    let ran: u32 = text.lines().filter_map(|line| line.split_once(' ')?.1.parse::<u32>().ok()).sum();
    if ran == 0 {
        bail!("no test has run in a browser");
    }
    println!("    {ran} tests passed in browsers");
    Ok(())
}

/// What cargo passes on to a test program.
struct Options {
    program: PathBuf,
    /// For the page, as its address has them.
    query: Vec<(&'static str, String)>,
}

/// Runs the tests of one program.
pub(crate) fn run_program(repo: &Repo, args: lexopt::Parser) -> Result<ExitCode> {
    let options = options(args)?;
    let wasm =
        fs::read(&options.program).with_context(|| format!("cannot read {}", options.program.display()))?;
    if !wasm.windows(TEST_EXPORT.len()).any(|window| window == TEST_EXPORT) {
        println!("no browser tests in this program");
        return Ok(ExitCode::SUCCESS);
    }

    let dir = env::temp_dir().join(format!("syncline-browser-tests-{}", process::id()));
    let passed = prepare(wasm, &dir).and_then(|()| open(repo, &dir, &options));
    fs::remove_dir_all(&dir)?;
    Ok(if passed? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options(mut args: lexopt::Parser) -> Result<Options> {
    let mut program = None;
    let mut query = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Value(value) if program.is_none() => program = Some(PathBuf::from(value)),
            Value(filter) => query.push(("filter", filter.string()?)),
            Long("skip") => query.push(("skip", args.value()?.string()?)),
            Long("exact") => query.push(("exact", String::new())),
            Long("include-ignored") => query.push(("include-ignored", String::new())),
            // these are for a harness that writes to a terminal; here the page reports
            Long("nocapture" | "no-capture" | "quiet") | Short('q') => {}
            Long("color" | "format" | "test-threads") => drop(args.value()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Options { program: program.context("which program?")?, query })
}

/// Fills `dir` with the program, its JavaScript and the page.
fn prepare(wasm: Vec<u8>, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    Bindgen::new()
        .input_bytes("tests", wasm)
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        .debug(true)
        .export_wasm(true)
        // the page starts the tests; `main` is the test harness of native programs
        .emit_start(false)
        .generate(dir)
        .context("generating the bindings of the tests")?;
    fs::write(dir.join("index.html"), include_str!("browser_tests/page.html"))?;
    Ok(())
}

/// Opens the page in both browsers; true when all tests have passed.
fn open(repo: &Repo, dir: &Path, options: &Options) -> Result<bool> {
    let mut script = node::script(repo, "e2e/wasm-runner.mjs");
    script.arg(dir);
    script.args(options.query.iter().map(|(name, value)| format!("{name}={value}")));
    let status = Browsers::installed().tell(&mut script).status().context("Node.js does not start")?;
    Ok(status.success())
}
