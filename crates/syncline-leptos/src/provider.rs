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
/// # use leptos::task::spawn_local;
/// # async fn end_session() {}
/// use syncline_leptos::use_syncline;
///
/// #[component]
/// fn SignOut() -> impl IntoView {
///     let (client, failed) = (use_syncline(), RwSignal::new(None));
///     let sign_out = move |_| {
///         let client = client.clone();
///         spawn_local(async move {
///             // the server first, or it would say the same person again
///             end_session().await;
///             // what is kept is removed, or the next person would see it
///             failed.set(client.wipe_storage().await.err());
///         });
///     };
///     view! {
///         <button on:click=sign_out>"Sign out"</button>
///         <p>{move || failed.get().map(|error| error.message().to_owned())}</p>
///     }
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
