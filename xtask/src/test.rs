//! `cargo xtask test`: every check there is, in the order in which a mistake is found soonest.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use lexopt::prelude::*;

use crate::browsers::Browsers;
use crate::repo::Repo;
use crate::steps::Steps;
use crate::toolchain::WASM;
use crate::web::Profile;
use crate::{browser_tests, copied_demos, node, shell, toolchain, web};

/// What the steps share.
struct Checks {
    repo: Repo,
    browsers: Browsers,
    server: PathBuf,
    every_combination: bool,
}

/// The crates whose code runs in browsers.
const WASM_CRATES: [&str; 4] = ["syncline-core", "syncline", "syncline-leptos", "syncline-dioxus"];

/// Pages that are measured: here they are only looked at.
const BENCH_PAGES: [&str; 2] = ["syncline-bench-browser", "syncline-bench-dom"];

/// What people depend on: its documentation is built.
const PUBLIC_CRATES: [&str; 7] = [
    "syncline-core",
    "syncline-macros",
    "syncline",
    "syncline-leptos",
    "syncline-dioxus",
    "syncline-server",
    "syncline-testkit",
];

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

pub(crate) fn run(repo: Repo, mut args: lexopt::Parser) -> Result<ExitCode> {
    let (mut e2e, mut keep_going, mut every_combination, mut only) = (true, false, false, None);
    while let Some(arg) = args.next()? {
        match arg {
            Long("no-e2e") => e2e = false,
            Long("every-combination") => every_combination = true,
            Long("keep-going") => keep_going = true,
            Long("only") => only = Some(args.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }

    let mut steps = Steps::new();
    steps.add("toolchain", |checks: &mut Checks| {
        toolchain::ensure_checkers(&checks.repo)?;
        toolchain::ensure_wasm_target(&checks.repo)
    });
    steps.add("node and browsers", |checks| {
        node::ensure(&checks.repo)?;
        checks.browsers = Browsers::ensure(&checks.repo)?;
        Ok(())
    });
    steps.end_of_setup();
    steps.add("format", format);
    steps.add("clippy", clippy);
    steps.add("clippy for browsers", clippy_wasm);
    steps.add("clippy of demos/", clippy_demos);
    steps.add("tests", |checks| shell::run(&mut checks.repo.cargo(&["test", "--workspace"])));
    steps.add("tests of demos/", |checks| {
        shell::run(&mut checks.repo.demos_cargo(&[
            "test",
            "-p",
            "demo-model",
            "-p",
            "demo-server",
            "--features",
            "demo-model/app",
        ]))
    });
    steps.add("tests under server-side rendering", server_side_rendering);
    steps.add("documentation", documentation);
    steps.add("tests in browsers", |checks| browser_tests::run_all(&checks.repo, &checks.browsers));
    steps.add("demos/ copied out of the repository", |checks| copied_demos::build(&checks.repo));
    if e2e {
        steps.add("end to end: build", end_to_end_build);
        steps.add("end to end", end_to_end);
    }

    if let Some(words) = &only {
        steps.keep(words)?;
    }

    let mut checks =
        Checks { repo, browsers: Browsers::default(), server: PathBuf::new(), every_combination };
    let report = steps.run(&mut checks, keep_going);
    report.print();
    println!("\nsyncline: {} passed, {} failed", report.passed(), report.failed());
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn format(checks: &mut Checks) -> Result<()> {
    shell::run(&mut checks.repo.cargo(&["fmt", "--all", "--check"]))?;
    shell::run(&mut checks.repo.demos_cargo(&["fmt", "--all", "--check"]))
}

fn clippy(checks: &mut Checks) -> Result<()> {
    let mut cargo = checks.repo.cargo(&["clippy", "--workspace", "--all-targets"]);
    shell::run(cargo.args(DENY_WARNINGS))
}

fn clippy_wasm(checks: &mut Checks) -> Result<()> {
    let mut cargo = checks.repo.cargo(&["clippy", "--target", WASM]);
    let cargo = packages(packages(&mut cargo, &WASM_CRATES), &BENCH_PAGES);
    shell::run(cargo.args(DENY_WARNINGS))?;
    let mut cargo = checks.repo.cargo(&["clippy", "--target", WASM, "--tests"]);
    shell::run(packages(&mut cargo, &browser_tests::CRATES).args(DENY_WARNINGS))
}

fn clippy_demos(checks: &mut Checks) -> Result<()> {
    let mut cargo = checks.repo.demos_cargo(&["clippy", "-p", "demo-model", "-p", "demo-server"]);
    cargo.args(["--features", "demo-model/app", "--all-targets"]);
    shell::run(cargo.args(DENY_WARNINGS))?;
    let mut cargo =
        checks.repo.demos_cargo(&["clippy", "-p", "demo-leptos", "-p", "demo-dioxus", "--target", WASM]);
    shell::run(cargo.args(DENY_WARNINGS))
}

fn server_side_rendering(checks: &mut Checks) -> Result<()> {
    let mut cargo = checks.repo.cargo(&["test", "-p", "syncline-leptos", "-p", "syncline-dioxus"]);
    shell::run(cargo.args(["--features", "syncline-leptos/ssr,syncline-dioxus/ssr"]))
}

fn documentation(checks: &mut Checks) -> Result<()> {
    let mut cargo = checks.repo.cargo(&["doc", "--no-deps"]);
    shell::run(packages(&mut cargo, &PUBLIC_CRATES).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The tests drive what people download: the optimised pages. The server has its debug assertions on.
fn end_to_end_build(checks: &mut Checks) -> Result<()> {
    web::compile(&checks.repo, Profile::Web)?;
    web::bundle(&checks.repo, Profile::Web)?;
    checks.server = web::server(&checks.repo, Profile::Dev)?.0;
    shell::run(&mut node::npm(&checks.repo, &["run", "typecheck"]))
}

fn end_to_end(checks: &mut Checks) -> Result<()> {
    let mut playwright = node::playwright(&checks.repo, &["test"]);
    playwright.env("SYNCLINE_SERVER", &checks.server).env("SYNCLINE_DIST", checks.repo.dist());
    if checks.every_combination {
        playwright.env("SYNCLINE_EVERY_COMBINATION", "1");
    }
    shell::run(checks.browsers.tell(&mut playwright))
}

fn packages<'c>(cargo: &'c mut std::process::Command, names: &[&str]) -> &'c mut std::process::Command {
    for name in names {
        cargo.args(["-p", name]);
    }
    cargo
}
