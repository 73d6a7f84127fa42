//! Numbered steps that a person can follow, and a table of them at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What one step does with the context that all steps of a run share.
type Action<C> = fn(&mut C) -> Result<()>;

/// A list of steps, run in the order they were added.
pub(crate) struct Steps<C> {
    steps: Vec<(&'static str, Action<C>)>,
    /// How many of them, at the start, all others need.
    setup: usize,
}

/// How a run of steps went.
pub(crate) struct Report {
    rows: Vec<(&'static str, Outcome)>,
}

enum Outcome {
    Passed(Duration),
    Failed(Duration),
    NotRun,
}

impl<C> Steps<C> {
    pub(crate) fn new() -> Self {
        Self { steps: Vec::new(), setup: 0 }
    }

    pub(crate) fn add(&mut self, name: &'static str, action: Action<C>) {
        self.steps.push((name, action));
    }

    /// All steps so far are needed by whatever comes after them.
    pub(crate) fn end_of_setup(&mut self) {
        self.setup = self.steps.len();
    }

    /// Leaves the setup and the steps with `words` in their names.
    ///
    /// # Errors
    /// There is no such step: a run of the setup alone would have checked nothing.
    pub(crate) fn keep(&mut self, words: &str) -> Result<()> {
        let names: Vec<_> = self.steps.iter().skip(self.setup).map(|(name, _)| *name).collect();
        if !names.iter().any(|name| name.contains(words)) {
            bail!("no check has `{words}` in its name; there are: {}", names.join(", "));
        }
        let mut number = 0;
        self.steps.retain(|(name, _)| {
            number += 1;
            number <= self.setup || name.contains(words)
        });
        Ok(())
    }

    /// Runs the steps; after a failure the others are left out unless `keep_going`.
    pub(crate) fn run(self, context: &mut C, keep_going: bool) -> Report {
        let total = self.steps.len();
        let mut rows = Vec::with_capacity(total);
        let mut failed = false;
        for (index, (name, action)) in self.steps.into_iter().enumerate() {
            if failed && !keep_going {
                rows.push((name, Outcome::NotRun));
                continue;
            }
            println!("\n[{}/{total}] {name}", index + 1);
            let start = Instant::now();
            let result = action(context);
            let took = start.elapsed();
            rows.push(match result {
                Ok(()) => {
                    println!("    done in {}", human(took));
                    (name, Outcome::Passed(took))
                }
                Err(error) => {
                    failed = true;
                    println!("    FAILED after {}: {error:#}", human(took));
                    (name, Outcome::Failed(took))
                }
            });
        }
        Report { rows }
    }
}

impl Report {
    pub(crate) fn failed(&self) -> usize {
        self.rows.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_))).count()
    }

    pub(crate) fn passed(&self) -> usize {
        self.rows.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Passed(_))).count()
    }

    pub(crate) fn print(&self) {
        println!();
        for (name, outcome) in &self.rows {
            match outcome {
                Outcome::Passed(took) => println!("  ok      {:>11}  {name}", human(*took)),
                Outcome::Failed(took) => println!("  FAILED  {:>11}  {name}", human(*took)),
                Outcome::NotRun => println!("  not run {:>11}  {name}", ""),
            }
        }
    }
}

/// `4.2 s`, `3 min 07 s`.
pub(crate) fn human(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds / 60 {
        0 => format!("{:.1} s", took.as_secs_f64()),
        minutes => format!("{minutes} min {:02} s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Steps<Vec<&'static str>> {
        let mut steps = Steps::new();
        steps.add("first", |seen: &mut Vec<_>| {
            seen.push("first");
            Ok(())
        });
        steps.add("second", |_| bail!("on purpose"));
        steps.add("third", |seen| {
            seen.push("third");
            Ok(())
        });
        steps
    }

    #[test]
    fn a_failure_ends_the_run() {
        let mut seen = Vec::new();
        let report = steps().run(&mut seen, false);
        assert_eq!(seen, ["first"]);
        assert_eq!((report.passed(), report.failed()), (1, 1));
    }

    #[test]
    fn keep_going_runs_what_follows_a_failure_and_still_counts_it() {
        let mut seen = Vec::new();
        let report = steps().run(&mut seen, true);
        assert_eq!(seen, ["first", "third"]);
        assert_eq!((report.passed(), report.failed()), (2, 1));
    }

    #[test]
    fn words_that_no_step_has_are_an_error_that_names_the_steps() {
        let mut found = steps();
        found.keep("ir").unwrap();
        let mut seen = Vec::new();
        found.run(&mut seen, true);
        assert_eq!(seen, ["first", "third"]);
        let mut none = steps();
        none.setup = 1;
        let error = none.keep("first").unwrap_err().to_string();
        assert!(error.contains("second, third"), "{error}");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(human(Duration::from_millis(4230)), "4.2 s");
        assert_eq!(human(Duration::from_secs(187)), "3 min 07 s");
    }
}
