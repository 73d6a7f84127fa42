//! The command line.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub(crate) allow_origin: Vec<String>,

    /// After how much silence a page asks whether the line still stands, at least 1 second
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    pub(crate) heartbeat: Duration,

    /// For how long a ticket to watch is good
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "120")]
    pub(crate) ticket_lifetime: Duration,

    /// Whoever shows this may take guests out of rooms, at `POST /moderation`; nobody unless it is given
    #[arg(long, value_name = "TOKEN")]
    pub(crate) moderator: Option<String>,

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

/// An origin as browsers send it: in small letters, without a slash at its end.
fn origin(given: &str) -> Result<String, Infallible> {
    Ok(given.strip_suffix('/').unwrap_or(given).to_ascii_lowercase())
}

fn seconds(given: &str) -> Result<Duration, String> {
    match given.parse() {
        Ok(0) => Err("at least 1".into()),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["demo-server"], args].concat())
    }

    #[test]
    fn an_origin_is_taken_as_browsers_send_it() {
        let args =
            parse(&["--allow-origin", "https://App.Example.com/", "--allow-origin=http://b.example:81"]);
        assert_eq!(args.unwrap().allowed_origins(), ["https://app.example.com", "http://b.example:81"]);
    }

    #[test]
    fn pages_of_development_servers_connect_only_when_told() {
        assert!(parse(&[]).unwrap().allowed_origins().is_empty());
        assert_eq!(parse(&["--dev"]).unwrap().allowed_origins(), DEV_ORIGINS);
    }

    #[test]
    fn a_heartbeat_is_a_number_of_seconds() {
        assert_eq!(parse(&["--heartbeat", "2"]).unwrap().heartbeat, Duration::from_secs(2));
        for nonsense in ["0", "-1", "soon"] {
            assert!(parse(&[&format!("--heartbeat={nonsense}")]).is_err(), "{nonsense}");
        }
    }
}
