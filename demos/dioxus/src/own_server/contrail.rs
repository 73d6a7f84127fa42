//! A contrail service.

use demo_model::app::{ContrailMessage, ContrailServer, clock_time, status_words};
use dioxus::prelude::*;
use syncline::{Transport, TransportPreference};
use syncline_dioxus::{Row, use_connection, use_syncline_provider, use_watch};

use super::OwnField;

#[component]
pub fn OwnContrail(transport: TransportPreference) -> Element {
    // with a number of its own: another server is another client, and keeps nothing of the one before
    let mut server = use_signal(|| None::<(u32, ContrailServer)>);
    // those of this demo's own server, which speaks contrail's protocol too
    let address = use_signal(String::new);
    let namespace = use_signal(|| "dev.syncline.demo".to_owned());
    let space = use_signal(|| "room-lobby".to_owned());
    let ticket = use_signal(String::new);
    let identity = use_signal(String::new);

    let connect = move |event: FormEvent| {
        event.prevent_default();
        let text = |field: Signal<String>| field.peek().trim().to_owned();
        let number = server.peek().as_ref().map_or(0, |(number, _)| number + 1);
        let said = ContrailServer {
            address: text(address),
            namespace: text(namespace),
            space: text(space),
            ticket: text(ticket),
            identity: text(identity),
            transport,
        };
        server.set(Some((number, said)));
    };

    rsx! {
        details { class: "own", "data-testid": "own",
            summary { "Bring your own contrail server" }
            form { class: "own-form", onsubmit: connect,
                OwnField { name: "own-address", label: "Address", hint: "https://service.example", value: address }
                OwnField { name: "own-namespace", label: "Namespace", hint: "app.example", value: namespace }
                OwnField { name: "own-space", label: "Space", hint: "ats://… or did:…", value: space }
                OwnField { name: "own-ticket", label: "Ticket", hint: "a text, or https://…", value: ticket }
                OwnField { name: "own-identity", label: "You", hint: "a DID, to keep rows", value: identity }
                button { class: "button button-primary", "data-testid": "own-connect", "Connect" }
            }
            for (number, server) in server() {
                OwnMessages { key: "{number}", server }
            }
        }
    }
}

#[component]
fn OwnMessages(server: ContrailServer) -> Element {
    // for the hooks below this point only
    use_syncline_provider(|| server.connect());
    let messages = use_watch(server.newest());
    let connection = use_connection();
    // why it is refused, or why the service cannot be reached
    let error = move || messages.error().or_else(|| connection.last_error());

    rsx! {
        p { class: "own-status",
            span {
                "data-testid": "own-status",
                "data-status": messages.status().as_str(),
                "data-transport": connection.transport().map_or("none", Transport::as_str),
                {status_words(messages.status())}
            }
            if let Some(error) = error() {
                span { class: "own-error", role: "alert", "data-testid": "own-error", {error.message()} }
            }
        }
        ul { class: "rows own-rows", "data-testid": "own-list",
            for row in messages.rows() {
                OwnMessage { key: "{row.key()}", row }
            }
        }
    }
}

#[component]
fn OwnMessage(row: Row<ContrailMessage>) -> Element {
    let message = row.get();

    rsx! {
        li { class: "own-row", "data-testid": "own-message", "data-key": "{message.uri}",
            time { {clock_time(message.time_us.unsigned_abs() / 1000)} }
            span { class: "own-author", {message.did.clone()} }
            span { "data-testid": "own-text", {message.text.clone()} }
        }
    }
}
