//! What the measurements in a browser share: a page around optimised wasm, the script that drives it, its samples.

use std::ffi::OsString;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::browsers::Browsers;
use crate::repo::Repo;
use crate::toolchain::{WASM, ensure_wasm_target};
use crate::{bundle, node, shell};

/// One page, in benches/NAME.
pub(super) struct Page {
    pub(super) name: &'static str,
}

impl Page {
    /// Builds it and runs its script; gives what that writes.
    pub(super) fn measure<T: DeserializeOwned>(&self, repo: &Repo, args: &[OsString]) -> Result<T> {
        let Self { name } = self;
        ensure_wasm_target(repo)?;
        node::ensure(repo)?;
        // all pages use what this one has installed
        node::install_packages(repo, "benches/browser")?;
        let browsers = Browsers::ensure(repo)?;
        let package = format!("syncline-bench-{name}");
        shell::run(
            repo.cargo(&["build", "--target", WASM, "--profile", "bench-web"]).args(["-p", &package]),
        )?;
        let wasm = format!("bench-web/{}.wasm", package.replace('-', "_"));
        let out = repo.target("bench").join(name);
        bundle::remove_dir(&out)?;
        bundle::generate_bindings(&repo.target(WASM).join(wasm), &out, false)?;

        let file = format!("benches/{name}/run.mjs");
        let mut script = node::script(repo, &file);
        browsers.tell(&mut script).arg(&out).args(args).stderr(Stdio::inherit());
        println!("    measuring; everything is done by turns, so this takes some minutes");
        let output = script.output().context("node does not start")?;
        if !output.status.success() {
            bail!("{file} failed ({})", output.status);
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("{file} wrote no figures"))
    }
}

/// One contender's samples of one thing.
#[derive(Deserialize)]
pub(super) struct Samples {
    pub(super) what: String,
    pub(super) who: String,
    /// Steps that were timed together.
    pub(super) per: f64,
    pub(super) values: Vec<Sample>,
}

/// Milliseconds.
#[derive(Deserialize)]
pub(super) struct Sample {
    pub(super) cpu: f64,
    pub(super) wall: f64,
}

impl Samples {
    /// The median of one step's CPU time, in microseconds.
    pub(super) fn cpu_us(&self) -> f64 {
        self.per_step(|sample| sample.cpu)
    }

    /// The median of one step's time on the wall, in microseconds.
    pub(super) fn wall_us(&self) -> f64 {
        self.per_step(|sample| sample.wall)
    }

    fn per_step(&self, of: fn(&Sample) -> f64) -> f64 {
        median(self.values.iter().map(of).collect()) * 1000.0 / self.per
    }
}

/// The samples of one contender for what another one was measured with.
pub(super) fn find<'s>(samples: &'s [Samples], what: &str, who: &str) -> Option<&'s Samples> {
    samples.iter().find(|samples| samples.what == what && samples.who == who)
}

/// Where the lines about something stand: in the order of the first contender.
pub(super) fn place_of(samples: &[Samples], what: &str) -> Option<usize> {
    samples.iter().position(|samples| samples.what == what)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => f64::midpoint(values[len / 2 - 1], values[len / 2]),
    }
}

/// Microseconds in the unit that suits them.
pub(super) fn human(us: f64) -> String {
    if us < 1000.0 { format!("{us:.1} us") } else { format!("{:.1} ms", us / 1000.0) }
}

#[cfg(test)]
pub(super) fn samples(what: &str, who: &str, cpu: [f64; 3]) -> Samples {
    Samples {
        what: what.into(),
        who: who.into(),
        per: 1000.0,
        values: cpu.map(|cpu| Sample { cpu, wall: 2.0 * cpu }).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_one_step() {
        let samples = samples("update 10", "Map", [3.0, 1.0, 2.0]);
        assert_eq!((samples.cpu_us(), samples.wall_us()), (2.0, 4.0));
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}
