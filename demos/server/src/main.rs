//! The demo server: an axum app that mounts Syncline, knows its guests by a cookie, and serves both apps.

mod args;
mod gauges;
mod housekeeping;
mod moderation;
mod pages;
mod parties;
mod session;
mod session_routes;
mod shutdown;
mod watch;

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};

use axum::Router;
use axum::serve::ListenerExt as _;
use clap::Parser as _;
use demo_model::rules::{CLEARED, MessageRules, ReactionRules, TodoRules, may_open, on_todo_action};
use demo_model::{Message, Reaction, Todo, TodoChannel};
use syncline_server::{Config, Sqlite, Syncline};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::args::Args;
use crate::housekeeping::{Announcements, on_announcement, tell_of_cleared};
use crate::moderation::Removed;
use crate::session::Sessions;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = std::io::stderr;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(log().is_terminal()).with_writer(log).init();

    if let Some(folder) = args.data.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let sessions = Sessions::beside(&args.data)?;
    let removed = Removed::default();
    let syncline = syncline(&args, sessions.clone(), removed.clone()).await?;
    let app = Router::new()
        .nest("/sync", syncline.router())
        .nest("/xrpc", syncline.xrpc_router())
        .nest("/parties", syncline.parties_router())
        .merge(session_routes::routes(sessions, &args.allowed_origins())?)
        .merge(moderation::routes(removed, syncline.clone(), args.moderator.clone()))
        .merge(gauges::routes(syncline.clone()))
        .merge(pages::routes(&args.dist));

    let listener = TcpListener::bind((args.host, args.port)).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    // frames are small and wanted at once: the system is not to wait for more to send with them
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::warn!(%error, "a connection will be slower than it could");
        }
    });
    let handle = syncline.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
        shutdown::requested().await;
        handle.shutdown().await;
    });
    tokio::select! {
        served = serving => served?,
        () = shutdown::overdue(&syncline) => tracing::warn!("some requests were cut off"),
    }
    Ok(())
}

async fn syncline(args: &Args, sessions: Sessions, removed: Removed) -> Result<Syncline, Box<dyn Error>> {
    let mut config = Config::default();
    config.engine.heartbeat = args.heartbeat;
    let records = watch::records(&sessions, args.ticket_lifetime)?;
    let syncline = Syncline::builder()
        .config(config)
        .storage(Sqlite::open(&args.data)?)
        .allowed_origins(args.allowed_origins())
        .authenticate(move |credentials| {
            let user = sessions.user(&credentials);
            async move { user }
        })
        .spaces(move |user, space| {
            may_open(user, space)?;
            removed.check(user, space)
        })
        .collection::<Todo>(TodoRules)
        .collection::<Message>(MessageRules)
        .collection::<Reaction>(ReactionRules)
        .channel::<TodoChannel>(on_todo_action)
        .channel::<Announcements>(on_announcement)
        .job(CLEARED, tell_of_cleared)
        .watch_records(records)
        .partysync(parties::parties())
        .build()
        .await?;
    Ok(syncline)
}
