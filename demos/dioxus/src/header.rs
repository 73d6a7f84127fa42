//! The header: who you are, how the connection is, and what changes it for the better or the worse.

use std::time::Duration;

use demo_model::app::{
    Credentials, TRANSPORTS, reload_with_transport, status_words, storage_word, storage_words,
    transport_words,
};
use demo_model::shown_name;
use dioxus::prelude::*;
use syncline::{Status, Transport, TransportPreference};
use syncline_dioxus::{use_connection, use_syncline};

/// What the latency switch adds each way.
const SLOW: Duration = Duration::from_millis(800);

#[component]
pub fn Header(transport: TransportPreference) -> Element {
    let connection = use_connection();
    let set_latency = move |slow: bool| connection.set_latency(if slow { SLOW } else { Duration::ZERO });

    rsx! {
        header { class: "header",
            h1 { class: "brand", "Syncline" span { class: "framework", "Dioxus" } }
            div { class: "connection",
                if connection.status() == Status::Reconnecting {
                    button {
                        class: "button",
                        "data-testid": "retry-now",
                        onclick: move |_| connection.retry_now(),
                        "Retry now"
                    }
                }
                div {
                    class: "badge",
                    "data-testid": "connection-badge",
                    "data-status": connection.status().as_str(),
                    "data-transport": connection.transport().map_or("none", Transport::as_str),
                    "data-pending": connection.pending(),
                    "data-unsaved": connection.unsaved(),
                    "data-storage": storage_word(connection.storage_degraded()),
                    title: connection.storage_degraded().map(|error| error.to_string()),
                    // what changes with every click stands beside what a screen reader says of itself
                    span { role: "status", {status_words(connection.status())} }
                    span { class: "badge-detail",
                        {transport_words(connection.transport(), connection.pending(), connection.unsaved())}
                        span { role: "status", {storage_words(connection.storage_degraded())} }
                    }
                }
            }
            div { class: "toolbar",
                NameForm {}
                div { class: "switches",
                    TransportSelect { chosen: transport }
                    label { class: "switch",
                        input {
                            r#type: "checkbox",
                            role: "switch",
                            "data-testid": "offline-switch",
                            onchange: move |event| connection.set_online(!event.checked()),
                        }
                        "Offline"
                    }
                    label { class: "switch",
                        input {
                            r#type: "checkbox",
                            role: "switch",
                            "data-testid": "latency-switch",
                            onchange: move |event| set_latency(event.checked()),
                        }
                        "Slow network"
                    }
                }
            }
        }
    }
}

#[component]
fn TransportSelect(chosen: TransportPreference) -> Element {
    rsx! {
        label { class: "switch",
            "Transport"
            // what is chosen is what the address says, not what the browser remembers of the form
            select {
                class: "choice",
                "data-testid": "transport-select",
                autocomplete: "off",
                onchange: move |event| reload_with_transport(&event.value()),
                for (transport, name, label) in TRANSPORTS {
                    option { value: name, selected: transport == chosen, {label} }
                }
            }
        }
    }
}

#[component]
fn NameForm() -> Element {
    let client = use_syncline();
    let connection = use_connection();
    let credentials = use_context::<Credentials>();
    let mut name = use_signal(String::new);
    let mut refused = use_signal(|| None::<String>);

    let mut saving = use_signal(|| false);

    let save = move |event: FormEvent| {
        event.prevent_default();
        if saving() {
            return;
        }
        saving.set(true);
        let (client, credentials) = (client.clone(), credentials.clone());
        spawn(async move {
            let sent = name.peek().clone();
            match credentials.choose_name(sent.trim()).await {
                Ok(()) => {
                    client.refresh_credentials();
                    refused.set(None);
                    // what was typed meanwhile stays
                    if *name.peek() == sent {
                        name.set(String::new());
                    }
                }
                Err(error) => refused.set(Some(error.message().to_owned())),
            }
            saving.set(false);
        });
    };

    rsx! {
        form { class: "name-form", onsubmit: save,
            span {
                "You are "
                span { class: "my-name", "data-testid": "my-name",
                    {connection.user().map(|user| shown_name(&user))}
                }
            }
            input {
                class: "field",
                "data-testid": "name-input",
                aria_label: "Your name",
                placeholder: "Your name",
                autocomplete: "nickname",
                value: name,
                oninput: move |event| name.set(event.value()),
            }
            button { class: "button", "data-testid": "name-save", aria_disabled: saving(), "Save" }
            span { class: "name-error", role: "alert", "data-testid": "name-error", {refused()} }
        }
    }
}
