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
/// # async fn end_session() {}
/// use syncline_dioxus::use_syncline;
///
/// #[component]
/// fn SignOut() -> Element {
///     let (client, mut failed) = (use_syncline(), use_signal(|| None));
///     let sign_out = move |_| {
///         let client = client.clone();
///         async move {
///             // the server first, or it would say the same person again
///             end_session().await;
///             // what is kept is removed, or the next person would see it
///             failed.set(client.wipe_storage().await.err());
///         }
///     };
///     rsx! {
///         button { onclick: sign_out, "Sign out" }
///         if let Some(error) = failed() {
///             p { {error.message()} }
///         }
///     }
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
