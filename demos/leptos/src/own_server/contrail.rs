//! A contrail service.

use demo_model::app::{ContrailMessage, ContrailServer, clock_time, status_words};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use syncline::{Transport, TransportPreference};
use syncline_leptos::{provide_syncline, use_connection, use_watch};

use super::OwnField;

#[component]
pub fn OwnContrail(transport: TransportPreference) -> impl IntoView {
    let server = RwSignal::new(None::<ContrailServer>);
    // those of this demo's own server, which speaks contrail's protocol too
    let address = RwSignal::new(String::new());
    let namespace = RwSignal::new("dev.syncline.demo".to_owned());
    let space = RwSignal::new("room-lobby".to_owned());
    let ticket = RwSignal::new(String::new());
    let identity = RwSignal::new(String::new());

    let connect = move |event: SubmitEvent| {
        event.prevent_default();
        let text = |field: RwSignal<String>| field.get_untracked().trim().to_owned();
        server.set(Some(ContrailServer {
            address: text(address),
            namespace: text(namespace),
            space: text(space),
            ticket: text(ticket),
            identity: text(identity),
            transport,
        }));
    };

    view! {
        <details class="own" data-testid="own">
            <summary>"Bring your own contrail server"</summary>
            <form class="own-form" on:submit=connect>
                <OwnField name="own-address" label="Address" hint="https://service.example" value=address />
                <OwnField name="own-namespace" label="Namespace" hint="app.example" value=namespace />
                <OwnField name="own-space" label="Space" hint="ats://… or did:…" value=space />
                <OwnField name="own-ticket" label="Ticket" hint="a text, or https://…" value=ticket />
                <OwnField name="own-identity" label="You" hint="a DID, to keep rows" value=identity />
                <button class="button button-primary" data-testid="own-connect">"Connect"</button>
            </form>
            {move || server.get().map(|server| view! { <OwnMessages server /> })}
        </details>
    }
}

#[component]
fn OwnMessages(server: ContrailServer) -> impl IntoView {
    // for the hooks below this point only
    provide_syncline(server.connect());
    let messages = use_watch(server.newest());
    let connection = use_connection();
    // why it is refused, or why the service cannot be reached
    let error = move || messages.error().or_else(|| connection.last_error());

    view! {
        <p class="own-status">
            <span
                data-testid="own-status"
                data-status=move || messages.status().as_str()
                data-transport=move || connection.transport().map_or("none", Transport::as_str)
            >
                {move || status_words(messages.status())}
            </span>
            {move || error().map(|error| view! {
                <span class="own-error" role="alert" data-testid="own-error">{error.message().to_owned()}</span>
            })}
        </p>
        <ul class="rows own-rows" data-testid="own-list">
            <For each=move || messages.rows() key=|row| row.key() let:row>
                <OwnMessage message=Signal::derive(move || row.get()) />
            </For>
        </ul>
    }
}

#[component]
fn OwnMessage(message: Signal<ContrailMessage>) -> impl IntoView {
    view! {
        <li class="own-row" data-testid="own-message" data-key=move || message.read().uri.clone()>
            <time>{move || clock_time(message.read().time_us.unsigned_abs() / 1000)}</time>
            <span class="own-author">{move || message.read().did.clone()}</span>
            <span data-testid="own-text">{move || message.read().text.clone()}</span>
        </li>
    }
}
