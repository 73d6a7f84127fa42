//! The server under load: one sender and many subscribers, many idle connections, many writers. Each contender is a process
//! of its own, the load is another one. `cargo xtask bench server` runs it.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

mod fanout;
mod process;
mod report;
mod serve;
mod socket;
mod writers;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use syncline_core::Record;

/// The row of these measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "items", key = id)]
struct Item {
    id: String,
    text: String,
}

/// What a change carries, in bytes.
const CHANGE_BYTES: usize = 200;

/// The text of a change, by which its receivers know it.
fn text(number: usize) -> String {
    let text = format!("#{number:08} ");
    format!("{text:-<CHANGE_BYTES$}")
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("serve") => {
            let contender = args.next().context("which contender?")?;
            serve::run(contender.parse()?, args.next())
        }
        Some("load") => {
            let only = args.next();
            let contenders = match args.next() {
                Some(contender) => vec![contender.parse()?],
                None => serve::Contender::ALL.to_vec(),
            };
            let only = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
            let mut report = report::Report::default();
            if only("fanout") {
                fanout::run(&mut report, &contenders)?;
            }
            if only("writers") {
                writers::run(&mut report)?;
            }
            report.print();
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
        other => bail!("`serve` or `load`, not {other:?}"),
    }
}
