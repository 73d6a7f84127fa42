//! `cargo xtask bench browser`: the store in a page, beside the stores that npm has and a plain `Map`.

use std::ffi::OsString;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bench::page::{Page, Samples, find, human, place_of};
use crate::bench::write_json;
use crate::repo::Repo;

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
/// `--who=NAME`, once or more, measures some contenders only.
pub(crate) fn run(repo: &Repo, args: &[OsString]) -> Result<()> {
    let measured: Measured = Page { name: NAME }.measure(repo, args)?;
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
    let figure = |one: &Samples| {
        let cpu_us = one.cpu_us();
        Figure {
            what: one.what.clone(),
            who: one.who.clone(),
            cpu_us,
            wall_us: one.wall_us(),
            samples: one.values.len(),
            cpu_to_map: cpu_us / find(samples, &one.what, YARDSTICK).map_or(f64::NAN, Samples::cpu_us),
        }
    };
    let mut figures: Vec<_> = samples.iter().map(figure).collect();
    figures.sort_by_key(|figure| place_of(samples, &figure.what));
    figures
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::page::samples;

    #[test]
    fn everybody_is_compared_with_map() {
        let figures = medians(&[
            samples("update 10", "Map", [3.0, 1.0, 2.0]),
            samples("update 10", "Other", [9.0, 3.0, 6.0]),
        ]);
        assert_eq!((figures[1].cpu_us, figures[1].wall_us, figures[1].cpu_to_map), (6.0, 12.0, 3.0));
    }
}
