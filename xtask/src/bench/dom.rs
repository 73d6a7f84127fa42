//! `cargo xtask bench dom`: a change of one row of a list on a page, until it is in the DOM, in both frameworks.

use std::ffi::OsString;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bench::page::{Page, Samples, find, human, place_of};
use crate::bench::write_json;
use crate::repo::Repo;

pub(crate) const NAME: &str = "dom";

/// What all are compared with.
const WITHOUT_FRAMEWORK: &str = "DOM by hand";
/// What those in a framework are compared with: the one whose name begins as theirs does.
const BY_HAND: &str = "by hand";

/// What benches/dom/run.mjs writes.
#[derive(Deserialize)]
struct Measured {
    browser: String,
    figures: Vec<Samples>,
}

/// Medians of one step, in microseconds.
#[derive(Debug, PartialEq, Serialize)]
struct Figure {
    what: String,
    who: String,
    cpu_us: f64,
    wall_us: f64,
    samples: usize,
    /// To the row signals by hand in the same framework; none for the DOM by hand.
    cpu_to_framework: Option<f64>,
    wall_to_framework: Option<f64>,
    cpu_to_dom: f64,
    wall_to_dom: f64,
}

#[derive(Serialize)]
struct Report {
    bench: &'static str,
    command: String,
    browser: String,
    figures: Vec<Figure>,
}

/// `args`: `--quick` takes one sample of each.
pub(crate) fn run(repo: &Repo, args: &[OsString]) -> Result<()> {
    let measured: Measured = Page { name: NAME }.measure(repo, args)?;
    let report = Report {
        bench: NAME,
        command: format!("cargo xtask bench {NAME}"),
        browser: measured.browser,
        figures: medians(&measured.figures),
    };
    print(&report);
    let file = repo.target("bench").join(format!("{NAME}.json"));
    write_json(&file, &report)?;
    println!("\nwritten to {}", repo.display(&file));
    Ok(())
}

fn medians(samples: &[Samples]) -> Vec<Figure> {
    let figure = |one: &Samples| {
        let framework = one.who.split_once(", ").map(|(framework, _)| format!("{framework}, {BY_HAND}"));
        let by_hand = framework.and_then(|by_hand| find(samples, &one.what, &by_hand));
        let dom = find(samples, &one.what, WITHOUT_FRAMEWORK);
        let (cpu_us, wall_us) = (one.cpu_us(), one.wall_us());
        Figure {
            what: one.what.clone(),
            who: one.who.clone(),
            cpu_us,
            wall_us,
            samples: one.values.len(),
            cpu_to_framework: by_hand.map(|by_hand| cpu_us / by_hand.cpu_us()),
            wall_to_framework: by_hand.map(|by_hand| wall_us / by_hand.wall_us()),
            cpu_to_dom: cpu_us / dom.map_or(f64::NAN, Samples::cpu_us),
            wall_to_dom: wall_us / dom.map_or(f64::NAN, Samples::wall_us),
        }
    };
    let mut figures: Vec<_> = samples.iter().map(figure).collect();
    figures.sort_by_key(|figure| place_of(samples, &figure.what));
    figures
}

/// One line a change and contender.
fn print(report: &Report) {
    println!("\n  {}: CPU time of the page's thread and time on the wall, medians", report.browser);
    println!("  with ratios to row signals by hand in the same framework and to the DOM by hand");
    let mut what = "";
    for figure in &report.figures {
        if figure.what != what {
            println!("\n  {}", figure.what);
            what = &figure.what;
        }
        let Figure { who, cpu_us, wall_us, cpu_to_dom, wall_to_dom, .. } = figure;
        let to = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} x"));
        let (cpu_to, wall_to) = (to(figure.cpu_to_framework), to(figure.wall_to_framework));
        let (cpu, wall) = (human(*cpu_us), human(*wall_us));
        println!(
            "    {who:20} {cpu:>10} {cpu_to:>7} {cpu_to_dom:>6.2} x DOM   {wall:>10} {wall_to:>7} {wall_to_dom:>6.2} x DOM"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::page::samples;

    #[test]
    fn everybody_is_compared_with_the_same_framework_and_with_the_dom() {
        let figures = medians(&[
            samples("edit", "DOM by hand", [1.0; 3]),
            samples("edit", "Leptos, by hand", [4.0; 3]),
            samples("edit", "Leptos, use_watch", [6.0; 3]),
            samples("edit", "Dioxus, by hand", [1.0; 3]),
        ]);
        let ratios: Vec<_> =
            figures.iter().map(|figure| (figure.cpu_to_framework, figure.cpu_to_dom)).collect();
        assert_eq!(ratios, [(None, 1.0), (Some(1.0), 4.0), (Some(1.5), 6.0), (Some(1.0), 1.0)]);
    }
}
