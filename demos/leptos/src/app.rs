//! The whole app: one client for all hooks, a header, two panels.

use demo_model::app::{Credentials, Params, storage_of};
use leptos::prelude::*;
use syncline::Client;
use syncline_leptos::provide_syncline;

use crate::chat::ChatPanel;
use crate::header::Header;
use crate::own_server::OwnServer;
use crate::refusals::Refusals;
use crate::todos::TodoPanel;

#[component]
pub fn App() -> impl IntoView {
    let params = Params::of_address();
    let credentials = Credentials::new(&params);
    provide_syncline(connect(&params, credentials.clone()));
    provide_context(credentials);

    let Params { list, room, view, transport, .. } = params;
    view! {
        <div class="app" data-testid="app" data-framework="leptos">
            <Header transport />
            <Refusals />
            <main class="panels">
                {view.has_todos().then(|| view! { <TodoPanel list=list.clone() /> })}
                {view.has_chat().then(|| view! { <ChatPanel room /> })}
            </main>
            <OwnServer list transport />
        </div>
    }
}

fn connect(params: &Params, credentials: Credentials) -> Client {
    Client::builder(&params.server)
        .transport(params.transport)
        .storage(storage_of(params))
        .credentials(move || {
            let credentials = credentials.clone();
            async move { credentials.token().await }
        })
        .build()
}
