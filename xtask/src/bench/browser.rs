//! `cargo xtask bench browser`: the store in a page, beside the stores that npm has and a plain `Map`.

use std::ffi::OsString;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::bench::write_json;
use crate::browsers::Browsers;
use crate::repo::Repo;
use crate::toolchain::{WASM, ensure_wasm_target};
use crate::{bundle, node, shell};

pub(crate) const NAME: &str = "browser";

/// What the others are compared with.
const YARDSTICK: &str = "Map";

/// What benches/browser/run.mjs writes.
#[derive(Deserialize)]
struct Measured {
    browser: String,
    figures: Vec<Samples>,
    heap: Vec<Bytes>,
    sizes: Vec<Bytes>,
}

#[derive(Deserialize)]
struct Samples {
    what: String,
    who: String,
    /// Steps that were timed together.
    per: f64,
    values: Vec<Sample>,
}

/// Milliseconds.
#[derive(Deserialize)]
struct Sample {
    cpu: f64,
    wall: f64,
}

#[derive(Deserialize, Serialize)]
struct Bytes {
    who: String,
    bytes: f64,
}

/// Medians of one step, in microseconds.
#[derive(Debug, PartialEq, Serialize)]
struct Figure {
    what: String,
    who: String,
    cpu_us: f64,
    wall_us: f64,
    samples: usize,
    cpu_to_map: f64,
}

#[derive(Serialize)]
struct Report {
    bench: &'static str,
    command: String,
    browser: String,
    figures: Vec<Figure>,
    heap_of_100k: Vec<Bytes>,
    gzip: Vec<Bytes>,
}

/// `args` name what to measure, all of it when there are none; `--quick` takes one sample of each and
/// `--who=NAME` measures some contenders only.
pub(crate) fn run(repo: &Repo, args: &[OsString]) -> Result<()> {
    ensure_wasm_target(repo)?;
    node::ensure(repo)?;
    node::install_packages(repo, "benches/browser")?;
    let browsers = Browsers::ensure(repo)?;
    shell::run(&mut repo.cargo(&[
        "build",
        "-p",
        "syncline-bench-browser",
        "--target",
        WASM,
        "--profile",
        "bench-web",
    ]))?;
    let wasm = repo.target(WASM).join("bench-web/syncline_bench_browser.wasm");
    let out = repo.target("bench/browser");
    bundle::remove_dir(&out)?;
    bundle::generate_bindings(&wasm, &out, false)?;

    let mut script = node::script(repo, "benches/browser/run.mjs");
    browsers.tell(&mut script).arg(&out).args(args).stderr(Stdio::inherit());
    println!("    measuring; everything is done by turns, so this takes some minutes");
    let output = script.output().context("node does not start")?;
    if !output.status.success() {
        bail!("benches/browser/run.mjs failed ({})", output.status);
    }
    let measured: Measured = serde_json::from_slice(&output.stdout).context("run.mjs wrote no figures")?;
    let report = Report {
        bench: NAME,
        command: format!("cargo xtask bench {NAME}"),
        browser: measured.browser,
        figures: medians(&measured.figures),
        heap_of_100k: measured.heap,
        gzip: measured.sizes,
    };
    print(&report);
    let file = repo.target("bench").join(format!("{NAME}.json"));
    write_json(&file, &report)?;
    println!("\nwritten to {}", repo.display(&file));
    Ok(())
}

fn medians(samples: &[Samples]) -> Vec<Figure> {
    let per_step = |samples: &Samples, of: fn(&Sample) -> f64| {
        median(samples.values.iter().map(of).collect()) * 1000.0 / samples.per
    };
    let yardstick = |what: &str| {
        let map = samples.iter().find(|samples| samples.what == what && samples.who == YARDSTICK);
        map.map_or(f64::NAN, |map| per_step(map, |sample| sample.cpu))
    };
    let figure = |one: &Samples| {
        let cpu_us = per_step(one, |sample| sample.cpu);
        Figure {
            what: one.what.clone(),
            who: one.who.clone(),
            cpu_us,
            wall_us: per_step(one, |sample| sample.wall),
            samples: one.values.len(),
            cpu_to_map: cpu_us / yardstick(&one.what),
        }
    };
    let mut figures: Vec<_> = samples.iter().map(figure).collect();
    // what was timed in one go stands together; the order is that of the first contender
    let order: Vec<_> = samples.iter().map(|samples| &samples.what).collect();
    figures.sort_by_key(|figure| order.iter().position(|what| **what == figure.what));
    figures
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => f64::midpoint(values[len / 2 - 1], values[len / 2]),
    }
}

/// One line a scenario and contender: CPU time of the page's thread, its ratio to `Map`, and time on the wall.
fn print(report: &Report) {
    println!("\n  {}: CPU time of the page's thread, medians", report.browser);
    let mut what = "";
    for figure in &report.figures {
        if figure.what != what {
            println!("\n  {}", figure.what);
            what = &figure.what;
        }
        let Figure { who, cpu_us, wall_us, cpu_to_map, .. } = figure;
        let (cpu, wall) = (human(*cpu_us), human(*wall_us));
        println!("    {who:30} {cpu:>10}  {cpu_to_map:>7.2} x Map  {wall:>10} on the wall");
    }
    for (title, figures, unit, divisor) in [
        ("heap with 100,000 rows", &report.heap_of_100k, "MiB", 1024.0 * 1024.0),
        ("download, gzip", &report.gzip, "KB", 1000.0),
    ] {
        println!("\n  {title}");
        for Bytes { who, bytes } in figures {
            println!("    {who:30} {:>10.1} {unit}", bytes / divisor);
        }
    }
}

fn human(us: f64) -> String {
    if us < 1000.0 { format!("{us:.1} us") } else { format!("{:.1} ms", us / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_one_step_and_compared_with_map() {
        let samples = |who: &str, cpu: [f64; 3]| Samples {
            what: "update 10".into(),
            who: who.into(),
            per: 1000.0,
            values: cpu.map(|cpu| Sample { cpu, wall: 2.0 * cpu }).into(),
        };
        let figures = medians(&[samples("Map", [3.0, 1.0, 2.0]), samples("Other", [9.0, 3.0, 6.0])]);
        assert_eq!((figures[1].cpu_us, figures[1].wall_us, figures[1].cpu_to_map), (6.0, 12.0, 3.0));
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}
