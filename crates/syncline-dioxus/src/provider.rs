//! The client that all hooks below a component share.

use dioxus::prelude::*;
use syncline::Client;

/// Gives the client that `make` makes, once, to all hooks in this component and below it.
///
/// ```no_run
/// # use dioxus::prelude::*;
/// use syncline::Client;
/// use syncline_dioxus::use_syncline_provider;
///
/// #[component]
/// fn App() -> Element {
///     use_syncline_provider(|| Client::new("/sync"));
///     rsx! { main { "…" } }
/// }
/// ```
pub fn use_syncline_provider(make: impl FnOnce() -> Client) -> Client {
    use_context_provider(make)
}

/// The client that a component above has provided, for what hooks do not do.
///
/// ```no_run
/// # use dioxus::prelude::*;
/// use syncline_dioxus::use_syncline;
///
/// #[component]
/// fn SignOut() -> Element {
///     let client = use_syncline();
///     rsx! { button { onclick: move |_| client.close(), "Sign out" } }
/// }
/// ```
///
/// # Panics
/// When there is none: a mistake in the program.
#[track_caller]
pub fn use_syncline() -> Client {
    match use_hook(try_consume_context) {
        Some(client) => client,
        None => panic!(
            "no Syncline client here: call `use_syncline_provider(|| client)` in a component above this one"
        ),
    }
}
