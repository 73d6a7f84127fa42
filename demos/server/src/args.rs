//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;

/// Serves the Syncline demo: two apps, one data file.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// The SQLite file; made when it is not there
    #[arg(long, value_name = "FILE", default_value = "demo-data/demo.db")]
    pub(crate) data: PathBuf,

    /// The port; 0 takes any free one
    #[arg(long, default_value_t = 3000)]
    pub(crate) port: u16,

    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,

    /// Where the built apps are: the folders `leptos` and `dioxus`
    #[arg(long, value_name = "DIR", default_value = "dist")]
    pub(crate) dist: PathBuf,

    /// Pages of this origin may connect too, `https://app.example.com`; may be given more than once
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,

    /// For work on the apps: the pages that `trunk serve` and `dx serve` serve on this machine may connect too
    #[arg(long)]
    pub(crate) dev: bool,
}

/// Where `trunk serve` and `dx serve` serve unless told otherwise.
const DEV_ORIGINS: [&str; 2] = ["http://127.0.0.1:8080", "http://localhost:8080"];

impl Args {
    /// The origins whose pages may connect, beside the server's own.
    pub(crate) fn allowed_origins(&self) -> Vec<String> {
        let dev = DEV_ORIGINS.into_iter().filter(|_| self.dev).map(Into::into);
        self.allow_origin.iter().cloned().chain(dev).collect()
    }
}
