//! `cargo xtask demo`: from a fresh clone to both apps in a browser.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::repo::Repo;
use crate::steps::Steps;
use crate::web::Profile;
use crate::{toolchain, web};

struct Options {
    data: PathBuf,
    port: u16,
    host: IpAddr,
    dev: bool,
    allow_origin: Vec<OsString>,
}

struct Demo<'a> {
    repo: &'a Repo,
    dev: bool,
    server: PathBuf,
    changed: bool,
}

pub(crate) fn run(repo: &Repo, args: lexopt::Parser) -> Result<ExitCode> {
    let options = options(repo, args)?;
    // known before minutes of building
    check_address(&options)?;

    let mut demo = Demo { repo, dev: options.dev, server: PathBuf::new(), changed: false };
    let mut steps = Steps::new();
    steps.add("the compile target for browsers", |demo: &mut Demo<'_>| {
        toolchain::ensure_wasm_target(demo.repo)
    });
    steps.add("both apps, compiled for the browser (the first time takes some minutes)", |demo| {
        demo.changed |= web::compile(demo.repo, demo.web_profile())?;
        Ok(())
    });
    steps.add("their pages", |demo| {
        demo.changed |= web::bundle(demo.repo, demo.web_profile())?;
        Ok(())
    });
    steps.add("the server", |demo| {
        let profile = if demo.dev { Profile::Dev } else { Profile::Release };
        let (program, changed) = web::server(demo.repo, profile)?;
        demo.server = program;
        demo.changed |= changed;
        Ok(())
    });
    if steps.run(&mut demo, false).failed() > 0 {
        return Ok(ExitCode::FAILURE);
    }
    if !demo.changed {
        println!("\nNothing has changed since the last start: everything is reused.");
    }
    serve(&demo, &options)
}

impl Demo<'_> {
    fn web_profile(&self) -> Profile {
        if self.dev { Profile::Dev } else { Profile::Web }
    }
}

fn options(repo: &Repo, mut args: lexopt::Parser) -> Result<Options> {
    let mut options = Options {
        data: repo.path("demo-data/demo.db"),
        port: 3000,
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        dev: false,
        allow_origin: Vec::new(),
    };
    while let Some(arg) = args.next()? {
        match arg {
            Long("data") => options.data = env::current_dir()?.join(args.value()?),
            Long("port") => options.port = args.value()?.parse()?,
            Long("host") => options.host = args.value()?.parse()?,
            Long("dev") => options.dev = true,
            Long("allow-origin") => options.allow_origin.push(args.value()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn check_address(options: &Options) -> Result<()> {
    let address = SocketAddr::new(options.host, options.port);
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!("cannot listen on {address} ({error}); `--port` takes another port"),
    }
}

/// Becomes the server.
fn serve(demo: &Demo<'_>, options: &Options) -> Result<ExitCode> {
    if let Some(dir) = options.data.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let kept = if options.data.exists() { "kept from the last time" } else { "new" };
    println!("\nSyncline's demo. Ctrl-C ends it.");
    println!("    data: {} ({kept})", demo.repo.display(&options.data));
    if options.port == 0 {
        println!("    open the address below; /leptos/ and /dioxus/ show one app alone");
    } else {
        let host = match options.host {
            host if !host.is_unspecified() => host,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let url = format!("http://{}", SocketAddr::new(host, options.port));
        println!("    open {url}/         both apps, side by side");
        println!("         {url}/leptos/  Leptos alone");
        println!("         {url}/dioxus/  Dioxus alone");
    }
    println!();

    let mut server = demo.repo.command(&demo.server);
    let arguments: [(&str, OsString); 4] = [
        ("--data", options.data.clone().into()),
        ("--port", options.port.to_string().into()),
        ("--host", options.host.to_string().into()),
        ("--dist", demo.repo.dist().into()),
    ];
    for (name, value) in arguments {
        server.arg(name).arg(value);
    }
    for origin in &options.allow_origin {
        server.arg("--allow-origin").arg(origin);
    }
    if demo.dev {
        server.arg("--dev");
    }
    become_process(server)
}

/// The server takes this process's place, so that signals and its exit code need no passing on.
#[cfg(unix)]
fn become_process(mut command: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("the server does not start")
}

#[cfg(not(unix))]
fn become_process(mut command: Command) -> Result<ExitCode> {
    let status = command.status().context("the server does not start")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        options(&Repo::find()?, lexopt::Parser::from_args(args))
    }

    #[test]
    fn without_arguments_data_is_kept_in_the_repository_and_only_this_machine_is_served() {
        let options = parse(&[]).unwrap();
        assert!(options.data.ends_with("demo-data/demo.db"));
        assert_eq!(
            (options.port, options.host.to_string(), options.dev),
            (3000, "127.0.0.1".to_owned(), false)
        );
    }

    #[test]
    fn a_data_file_is_relative_to_where_the_command_was_typed() {
        let options = parse(&["--data", "x.db", "--port=0", "--dev"]).unwrap();
        assert_eq!(options.data, env::current_dir().unwrap().join("x.db"));
        assert_eq!((options.port, options.dev), (0, true));
    }

    #[test]
    fn origins_are_passed_on_to_the_server() {
        let options =
            parse(&["--allow-origin", "http://a.example", "--allow-origin=http://b.example"]).unwrap();
        assert_eq!(options.allow_origin, ["http://a.example", "http://b.example"]);
    }

    #[test]
    fn an_unknown_argument_is_refused() {
        assert!(parse(&["--porto", "3"]).is_err());
    }
}
