//! `cargo xtask bench`: one of benches/, its medians as a table and as JSON.

mod browser;
mod dom;
mod page;
mod server;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};

use crate::repo::Repo;
use crate::shell;

/// What one measurement came to; times are in nanoseconds.
#[derive(Debug, PartialEq, Serialize)]
struct Figure {
    id: String,
    median_ns: f64,
    /// The bounds between which the median lies with 95 % confidence.
    lower_ns: f64,
    upper_ns: f64,
}

/// The file written for one benchmark.
#[derive(Serialize)]
struct Figures<'a> {
    bench: &'a str,
    command: String,
    figures: &'a [Figure],
}

pub(crate) fn run(repo: &Repo, mut args: lexopt::Parser) -> Result<ExitCode> {
    let mut name: Option<String> = None;
    let mut criterion_args: Vec<OsString> = Vec::new();
    if let Some(arg) = args.next()? {
        match arg {
            Value(value) => name = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
        criterion_args.extend(args.raw_args()?);
        if criterion_args.first().is_some_and(|arg| arg == "--") {
            criterion_args.remove(0);
        }
    }
    let names = names(&repo.path("benches/benches"))?;
    let Some(name) = name else {
        println!("cargo xtask bench NAME, where NAME is one of:");
        names.iter().for_each(|name| println!("  {name}"));
        println!("  {}\n  {}\n  {}", browser::NAME, dom::NAME, server::NAME);
        return Ok(ExitCode::SUCCESS);
    };
    if name == browser::NAME {
        browser::run(repo, &criterion_args)?;
        return Ok(ExitCode::SUCCESS);
    }
    if name == dom::NAME {
        dom::run(repo, &criterion_args)?;
        return Ok(ExitCode::SUCCESS);
    }
    if name == server::NAME {
        server::run(repo, &criterion_args)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !names.contains(&name) {
        bail!("no benchmark `{name}`; there are: {}", names.join(", "));
    }

    let start = SystemTime::now();
    let mut cargo = repo.cargo(&["bench", "-p", "syncline-benches", "--bench", &name, "--"]);
    shell::run(cargo.args(criterion_args))?;
    let figures = figures(&repo.target("criterion"), start)?;
    if figures.is_empty() {
        bail!("`{name}` measured nothing");
    }
    print_table(&figures);
    let file = repo.target("bench").join(format!("{name}.json"));
    write(&file, &name, &figures)?;
    println!("\nwritten to {}", repo.display(&file));
    Ok(ExitCode::SUCCESS)
}

/// The benchmarks there are.
fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("no benchmarks in {}", dir.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// What criterion has written below `dir` since `start`, in the order in which it was measured.
fn figures(dir: &Path, start: SystemTime) -> Result<Vec<Figure>> {
    let mut found = Vec::new();
    collect(dir, start, &mut found)?;
    found.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.id.cmp(&y.id)));
    Ok(found.into_iter().map(|(_, figure)| figure).collect())
}

fn collect(dir: &Path, start: SystemTime, found: &mut Vec<(SystemTime, Figure)>) -> Result<()> {
    #[derive(Deserialize)]
    struct Benchmark {
        full_id: String,
    }
    #[derive(Deserialize)]
    struct Estimates {
        median: Estimate,
    }
    #[derive(Deserialize)]
    struct Estimate {
        point_estimate: f64,
        confidence_interval: Interval,
    }
    #[derive(Deserialize)]
    struct Interval {
        lower_bound: f64,
        upper_bound: f64,
    }

    let entries =
        fs::read_dir(dir).with_context(|| format!("criterion has left nothing in {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.file_name().is_none_or(|name| name != "new") {
            collect(&path, start, found)?;
            continue;
        }
        let estimates = path.join("estimates.json");
        let Ok(written) = estimates.metadata().and_then(|metadata| metadata.modified()) else { continue };
        if written < start {
            continue;
        }
        let Benchmark { full_id } = read(&path.join("benchmark.json"))?;
        let Estimates { median } = read(&estimates)?;
        found.push((
            written,
            Figure {
                id: full_id,
                median_ns: median.point_estimate,
                lower_ns: median.confidence_interval.lower_bound,
                upper_ns: median.confidence_interval.upper_bound,
            },
        ));
    }
    Ok(())
}

fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<T> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what criterion writes", file.display()))
}

fn write(file: &Path, bench: &str, figures: &[Figure]) -> Result<()> {
    write_json(file, &Figures { bench, command: format!("cargo xtask bench {bench}"), figures })
}

fn write_json(file: &Path, figures: &impl Serialize) -> Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let json = serde_json::to_string_pretty(figures)?;
    fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))
}

fn print_table(figures: &[Figure]) {
    let width = figures.iter().map(|figure| figure.id.len()).max().unwrap_or_default();
    println!("\n  {:width$}  {:>10}  95 % confidence", "", "median");
    for figure in figures {
        let (median, lower, upper) =
            (human(figure.median_ns), human(figure.lower_ns), human(figure.upper_ns));
        println!("  {:width$}  {median:>10}  {lower} .. {upper}", figure.id);
    }
}

/// Nanoseconds in the unit that leaves one to three digits before the point.
fn human(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.2} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_the_size() {
        assert_eq!(human(12.34), "12.3 ns");
        assert_eq!(human(12_345.0), "12.35 us");
        assert_eq!(human(3_000_000.0), "3.00 ms");
        assert_eq!(human(2.5e9), "2.50 s");
    }

    #[test]
    fn only_what_was_measured_since_the_start_counts() {
        let dir = std::env::temp_dir().join(format!("syncline-bench-{}", std::process::id()));
        let start = SystemTime::now();
        let new = dir.join("store/update/10000/new");
        fs::create_dir_all(&new).unwrap();
        fs::write(new.join("benchmark.json"), r#"{"group_id":"store","full_id":"store/update/10000"}"#)
            .unwrap();
        let estimate = r#"{"confidence_interval":{"confidence_level":0.95,"lower_bound":1.0,"upper_bound":3.0},"point_estimate":2.0,"standard_error":0.1}"#;
        fs::write(new.join("estimates.json"), format!(r#"{{"mean":{estimate},"median":{estimate}}}"#))
            .unwrap();

        let before = start - std::time::Duration::from_secs(5);
        let figure =
            Figure { id: "store/update/10000".to_owned(), median_ns: 2.0, lower_ns: 1.0, upper_ns: 3.0 };
        assert_eq!(figures(&dir, before).unwrap(), [figure]);
        let after = start + std::time::Duration::from_secs(5);
        assert_eq!(figures(&dir, after).unwrap(), []);
        fs::remove_dir_all(&dir).unwrap();
    }
}
