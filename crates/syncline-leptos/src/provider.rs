//! The client that all hooks below a component share.

use leptos::prelude::*;
use syncline::Client;

/// Gives `client` to all hooks in this component and below it.
///
/// ```no_run
/// # use leptos::prelude::*;
/// use syncline::Client;
/// use syncline_leptos::provide_syncline;
///
/// #[component]
/// fn App() -> impl IntoView {
///     provide_syncline(Client::new("/sync"));
///     view! { <main>"…"</main> }
/// }
/// ```
pub fn provide_syncline(client: Client) {
    provide_context(client);
}

/// The client that a component above has provided, for what hooks do not do.
///
/// ```no_run
/// # use leptos::prelude::*;
/// use syncline_leptos::use_syncline;
///
/// #[component]
/// fn SignOut() -> impl IntoView {
///     let client = use_syncline();
///     view! { <button on:click=move |_| client.close()>"Sign out"</button> }
/// }
/// ```
///
/// # Panics
/// When there is none: a mistake in the program.
#[track_caller]
pub fn use_syncline() -> Client {
    match use_context() {
        Some(client) => client,
        None => {
            panic!("no Syncline client here: call `provide_syncline(client)` in a component above this one")
        }
    }
}
