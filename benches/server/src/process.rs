//! A contender in a process of its own, and what the system says of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::serve::Contender;

/// Ends with its owner.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(contender: Contender, database: Option<&str>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", contender.name()]).args(database).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("it says nothing")?;
        let line = BufReader::new(output).lines().next().context("it does not start")??;
        Ok(Self { child, address: line.parse()? })
    }

    /// Memory that is really there, in bytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        let pages = fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: f64 = pages.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(pages * 4096.0)
    }

    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the load itself has used.
pub(crate) fn own_cpu() -> Result<Duration> {
    cpu("self")
}

fn cpu(process: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // the name of the program stands in brackets and may have spaces
    let after = stat.rsplit_once(')').context("no name")?.1;
    let ticks: Vec<u64> =
        after.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}
