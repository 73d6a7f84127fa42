//! How the connection stands.

use std::fmt;
use std::time::Duration;

use dioxus::prelude::*;
use futures::StreamExt as _;
use syncline::{Client, Error, Status, Transport, User};

use crate::signals::{get, set};
use crate::task::spawn_mounted;
use crate::use_syncline;

/// How the connection to the server stands, as signals, and what a person can do about it. It is one connection for
/// all hooks of a page.
///
/// ```no_run
/// # use dioxus::prelude::*;
/// use syncline_dioxus::use_connection;
///
/// #[component]
/// fn Badge() -> Element {
///     let connection = use_connection();
///     rsx! {
///         span { "data-status": connection.status().as_str(),
///             "{connection.pending()} writes on their way"
///         }
///         button { onclick: move |_| connection.retry_now(), "Retry now" }
///     }
/// }
/// ```
///
/// # Panics
/// Without a client: see [`use_syncline`].
#[track_caller]
pub fn use_connection() -> UseConnection {
    let client = use_syncline();
    use_hook(|| {
        let connection = UseConnection {
            client: CopyValue::new(client.clone()),
            status: Signal::new(Status::Idle),
            transport: Signal::new(None),
            pending: Signal::new(0),
            unsaved: Signal::new(0),
            refusals: Signal::new(Vec::new()),
            last_error: Signal::new(None),
            user: Signal::new(None),
            storage_degraded: Signal::new(None),
        };
        spawn_mounted(move || {
            let mut changes = client.connection_changes();
            async move {
                while let Some(now) = changes.next().await {
                    set(connection.status, now.status);
                    set(connection.transport, now.transport);
                    set(connection.pending, now.pending);
                    set(connection.unsaved, now.unsaved);
                    set(
                        connection.refusals,
                        connection.client().map(|client| client.refusals()).unwrap_or_default(),
                    );
                    set(connection.last_error, now.last_error);
                    set(connection.user, now.user);
                    set(connection.storage_degraded, now.storage_degraded);
                }
            }
        });
        connection
    })
}

/// Made by [`use_connection`]. Each of its signals is tracked by itself.
///
/// ```no_run
/// use std::time::Duration;
///
/// use syncline::Status;
/// use syncline_dioxus::UseConnection;
///
/// fn words(connection: UseConnection) -> String {
///     match connection.status() {
///         Status::Live => "Connected".to_owned(),
///         Status::Reconnecting => format!("Offline, {} changes wait", connection.pending()),
///         _ => connection.last_error().map(|error| error.to_string()).unwrap_or_default(),
///     }
/// }
///
/// fn show_off(connection: UseConnection) {
///     connection.set_latency(Duration::from_millis(800));
/// }
/// ```
#[derive(Clone, Copy, PartialEq)]
pub struct UseConnection {
    client: CopyValue<Client>,
    status: Signal<Status>,
    transport: Signal<Option<Transport>>,
    pending: Signal<usize>,
    unsaved: Signal<usize>,
    refusals: Signal<Vec<Error>>,
    last_error: Signal<Option<Error>>,
    user: Signal<Option<User>>,
    storage_degraded: Signal<Option<Error>>,
}

impl UseConnection {
    /// In one word; never [`Status::Snapshot`].
    pub fn status(&self) -> Status {
        get(self.status)
    }

    /// What carries it, when it is open.
    pub fn transport(&self) -> Option<Transport> {
        get(self.transport)
    }

    /// Writes without a verdict.
    pub fn pending(&self) -> usize {
        get(self.pending)
    }

    /// Those of them that would be lost if the page went away now: storage does not have them yet, or has failed. Always 0
    /// where there is none.
    pub fn unsaved(&self) -> usize {
        get(self.unsaved)
    }

    /// The latest refusals that nobody waited for and that no row shows: of actions whose handles were dropped, or that
    /// were made on an earlier visit.
    pub fn refusals(&self) -> Vec<Error> {
        get(self.refusals)
    }

    /// Forgets them, once a person has seen them.
    pub fn dismiss_refusals(&self) {
        self.act(Client::dismiss_refusals);
    }

    /// Why it was lost or refused last; `None` while all is well.
    pub fn last_error(&self) -> Option<Error> {
        get(self.last_error)
    }

    /// Who the server says we are.
    pub fn user(&self) -> Option<User> {
        get(self.user)
    }

    /// Why nothing can be kept for the next visit; `None` while that is well, or not wanted.
    pub fn storage_degraded(&self) -> Option<Error> {
        get(self.storage_degraded)
    }

    /// Does not wait for the next attempt to connect.
    pub fn retry_now(&self) {
        self.act(Client::retry_now);
    }

    /// The person's own offline switch: writes wait, watches show what they have.
    pub fn set_online(&self, online: bool) {
        self.act(|client| client.set_online(online));
    }

    /// Holds every frame back for `latency`, each way: for showing and trying things. Zero switches it off.
    pub fn set_latency(&self, latency: Duration) {
        self.act(|client| client.set_latency(latency));
    }

    fn act(&self, act: impl FnOnce(&Client)) {
        if let Some(client) = self.client() {
            act(&client);
        }
    }

    fn client(&self) -> Option<Client> {
        self.client.try_peek().ok().map(|client| client.clone())
    }
}

impl fmt::Debug for UseConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UseConnection").finish_non_exhaustive()
    }
}
