//! When to stop.

use std::time::Duration;

use syncline_server::Syncline;

/// How long requests that are under way may take to end: a browser that does not read would never let go.
const GRACE: Duration = Duration::from_secs(3);

/// Comes back when somebody presses ctrl-c or the system asks the process to end.
pub(crate) async fn requested() {
    let interrupt = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "ctrl-c cannot be watched");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminate() => {}
    }
}

/// Comes back when requests have had their time since Syncline has ended.
pub(crate) async fn overdue(syncline: &Syncline) {
    syncline.ended().await;
    tokio::time::sleep(GRACE).await;
}

#[cfg(unix)]
async fn terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be watched");
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending().await
}
