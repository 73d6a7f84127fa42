//! What was measured, as a table and as JSON.

use serde::Serialize;

/// Figures by what was done and by who did it.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Figure {
    what: String,
    who: &'static str,
    /// Of several runs, the one in the middle.
    median: f64,
    runs: Vec<f64>,
    unit: &'static str,
}

impl Report {
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        who: &'static str,
        runs: Vec<f64>,
        unit: &'static str,
    ) {
        let mut sorted = runs.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        self.figures.push(Figure { what: what.into(), who, median, runs, unit });
    }

    pub(crate) fn print(&self) {
        println!("\n{:44} {:>10} {:>12}", "", "", "median");
        for Figure { what, who, median, runs, unit } in &self.figures {
            let spread =
                runs.iter().fold((f64::MAX, f64::MIN), |(low, high), &run| (low.min(run), high.max(run)));
            println!("{what:44} {who:>10} {median:>12.1} {unit:6} ({:.1} to {:.1})", spread.0, spread.1);
        }
    }
}
