//! What `trunk` and `dx` read of the apps: that it names what is there. Whether they build is theirs to test.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::bundle;

/// Checks Trunk.toml, Dioxus.toml and both index.html in `demos`, whose server describes itself with `help`.
pub(crate) fn check(demos: &Path, help: &str) -> Result<()> {
    let port = default_port(help).context("`demo-server --help` does not tell the default port")?;

    let leptos = demos.join("leptos");
    let trunk = read(&leptos.join("Trunk.toml"))?;
    exist(&leptos, &values(&trunk, "watch")).context("`watch` in Trunk.toml")?;
    lead_to(&values(&trunk, "backend"), port).context("`backend` in Trunk.toml")?;
    links(&leptos, None).context("leptos/index.html")?;

    let dioxus = demos.join("dioxus");
    let dx = read(&dioxus.join("Dioxus.toml"))?;
    let public = values(&dx, "public_dir");
    exist(&dioxus, &public).context("`public_dir` in Dioxus.toml")?;
    lead_to(&values(&dx, "backend"), port).context("`backend` in Dioxus.toml")?;
    links(&dioxus, public.first().map(|public| dioxus.join(public)).as_deref()).context("dioxus/index.html")
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The port that clap shows as the default.
fn default_port(help: &str) -> Option<u16> {
    let option = &help[help.find("--port ")?..];
    let (default, _) = option.split_once("[default: ")?.1.split_once(']')?;
    default.parse().ok()
}

/// Every text in quotes on the lines that set `key`.
fn values<'a>(toml: &'a str, key: &str) -> Vec<&'a str> {
    let set = toml.lines().filter_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
    set.flat_map(|value| value.split('"').skip(1).step_by(2)).collect()
}

fn exist(dir: &Path, names: &[&str]) -> Result<()> {
    if names.is_empty() {
        bail!("is not set");
    }
    match names.iter().find(|name| !dir.join(name).exists()) {
        Some(missing) => bail!("there is no {missing}"),
        None => Ok(()),
    }
}

/// Whether all of these addresses are of a server on this machine that was told no port.
fn lead_to(addresses: &[&str], port: u16) -> Result<()> {
    if addresses.is_empty() {
        bail!("is not set");
    }
    let host = format!("127.0.0.1:{port}");
    let leads = |address: &str| address.split('/').nth(2) == Some(&host);
    match addresses.iter().find(|address| !leads(address)) {
        Some(astray) => bail!("{astray} does not lead to {host}"),
        None => Ok(()),
    }
}

/// Whether the files that index.html has copied are there, and the files beside it that it links to are among them,
/// and among those that `dx` adds from `public`.
fn links(dir: &Path, public: Option<&Path>) -> Result<()> {
    let page = bundle::page(dir)?;
    for (file, _) in page.copies() {
        if !file.exists() {
            bail!("there is no {}", file.display());
        }
    }
    let html = read(&dir.join("index.html"))?;
    for name in html.split("=\"./").skip(1).filter_map(|rest| rest.split('"').next()) {
        let copied = page.copies().iter().any(|(_, copied)| copied == name);
        if !copied || public.is_some_and(|public| !public.join(name).exists()) {
            bail!("nothing puts {name} beside the page");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Repo;

    const HELP: &str = "
      --port <PORT>
          The port; 0 takes any free one

          [default: 3000]

      --host <HOST>
          [default: 127.0.0.1]";

    #[test]
    fn the_demos_name_what_is_there() {
        let demos = Repo::find().unwrap().path("demos");
        check(&demos, HELP).unwrap();
        let moved = check(&demos, &HELP.replace("3000", "4000")).unwrap_err();
        assert!(format!("{moved:#}").contains("does not lead to 127.0.0.1:4000"), "{moved:#}");
    }

    #[test]
    fn the_default_port_is_the_one_behind_its_option() {
        assert_eq!(default_port(HELP), Some(3000));
        assert_eq!(default_port("  --port <PORT>  The port [default: 80]"), Some(80));
        assert_eq!(default_port("  --host <HOST> [default: 1]"), None);
    }

    #[test]
    fn a_value_is_a_text_or_a_list_of_texts() {
        let toml =
            "watch = [\".\", \"../model\"]\nwatcher = \"no\"\nbackend=\"ws://a\"\nbackend = \"http://b\"\n";
        assert_eq!(values(toml, "watch"), [".", "../model"]);
        assert_eq!(values(toml, "backend"), ["ws://a", "http://b"]);
    }

    #[test]
    fn a_name_that_is_not_there_is_told() {
        let demos = Repo::find().unwrap().path("demos");
        assert!(exist(&demos, &["model", "server"]).is_ok());
        assert!(exist(&demos, &["model", "modle"]).unwrap_err().to_string().contains("modle"));
        assert!(exist(&demos, &[]).is_err());
    }
}
