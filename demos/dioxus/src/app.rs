//! The whole app: one client for all hooks, a header, two panels.

use demo_model::app::{Credentials, Params, storage_of};
use dioxus::prelude::*;
use syncline::Client;
use syncline_dioxus::use_syncline_provider;

use crate::chat::ChatPanel;
use crate::header::Header;
use crate::own_server::OwnServer;
use crate::refusals::Refusals;
use crate::todos::TodoPanel;

#[component]
pub fn App() -> Element {
    let params = use_hook(Params::of_address);
    let credentials = use_context_provider(|| Credentials::new(&params));
    use_syncline_provider(|| connect(&params, credentials));

    let Params { list, room, view, transport, .. } = params;
    rsx! {
        div { class: "app", "data-testid": "app", "data-framework": "dioxus",
            Header { transport }
            Refusals {}
            main { class: "panels",
                if view.has_todos() {
                    TodoPanel { list: list.clone() }
                }
                if view.has_chat() {
                    ChatPanel { room }
                }
            }
            OwnServer { list, transport }
        }
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
