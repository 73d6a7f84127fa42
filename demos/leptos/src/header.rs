//! The header: who you are, how the connection is, and what changes it for the better or the worse.

use std::time::Duration;

use demo_model::app::{
    Credentials, TRANSPORTS, reload_with_transport, status_words, storage_word, storage_words,
    transport_words,
};
use demo_model::shown_name;
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use syncline::{Status, Transport, TransportPreference};
use syncline_leptos::{use_connection, use_syncline};

/// What the latency switch adds each way.
const SLOW: Duration = Duration::from_millis(800);

#[component]
pub fn Header(transport: TransportPreference) -> impl IntoView {
    let connection = use_connection();
    let set_latency = move |slow: bool| connection.set_latency(if slow { SLOW } else { Duration::ZERO });

    view! {
        <header class="header">
            <h1 class="brand">"Syncline" <span class="framework">"Leptos"</span></h1>
            <div class="connection">
                <Show when=move || connection.status() == Status::Reconnecting>
                    <button class="button" data-testid="retry-now" on:click=move |_| connection.retry_now()>
                        "Retry now"
                    </button>
                </Show>
                <div
                    class="badge"
                    data-testid="connection-badge"
                    data-status=move || connection.status().as_str()
                    data-transport=move || connection.transport().map_or("none", Transport::as_str)
                    data-pending=move || connection.pending().to_string()
                    data-unsaved=move || connection.unsaved().to_string()
                    data-storage=move || storage_word(connection.storage_degraded())
                    title=move || connection.storage_degraded().map(|error| error.to_string())
                >
                    // what changes with every click stands beside what a screen reader says of itself
                    <span role="status">{move || status_words(connection.status())}</span>
                    <span class="badge-detail">
                        {move || transport_words(connection.transport(), connection.pending(), connection.unsaved())}
                        <span role="status">{move || storage_words(connection.storage_degraded())}</span>
                    </span>
                </div>
            </div>
            <div class="toolbar">
                <NameForm />
                <div class="switches">
                    <TransportSelect chosen=transport />
                    <label class="switch">
                        <input
                            type="checkbox"
                            role="switch"
                            data-testid="offline-switch"
                            on:change=move |event| connection.set_online(!event_target_checked(&event))
                        />
                        "Offline"
                    </label>
                    <label class="switch">
                        <input
                            type="checkbox"
                            role="switch"
                            data-testid="latency-switch"
                            on:change=move |event| set_latency(event_target_checked(&event))
                        />
                        "Slow network"
                    </label>
                </div>
            </div>
        </header>
    }
}

#[component]
fn TransportSelect(chosen: TransportPreference) -> impl IntoView {
    view! {
        <label class="switch">
            "Transport"
            // what is chosen is what the address says, not what the browser remembers of the form
            <select
                class="choice"
                data-testid="transport-select"
                autocomplete="off"
                on:change=move |event| reload_with_transport(&event_target_value(&event))
            >
                {TRANSPORTS.map(|(transport, name, label)| view! {
                    <option value=name selected=transport == chosen>{label}</option>
                })}
            </select>
        </label>
    }
}

#[component]
fn NameForm() -> impl IntoView {
    let client = use_syncline();
    let connection = use_connection();
    let credentials = expect_context::<Credentials>();
    let name = RwSignal::new(String::new());
    let refused = RwSignal::new(None::<String>);

    let saving = RwSignal::new(false);

    let save = move |event: SubmitEvent| {
        event.prevent_default();
        if saving.get_untracked() {
            return;
        }
        saving.set(true);
        let (client, credentials) = (client.clone(), credentials.clone());
        spawn_local(async move {
            let sent = name.get_untracked();
            match credentials.choose_name(sent.trim()).await {
                Ok(()) => {
                    client.refresh_credentials();
                    refused.set(None);
                    // what was typed meanwhile stays
                    if name.get_untracked() == sent {
                        name.set(String::new());
                    }
                }
                Err(error) => refused.set(Some(error.message().to_owned())),
            }
            saving.set(false);
        });
    };

    view! {
        <form class="name-form" on:submit=save>
            <span>
                "You are "
                <span class="my-name" data-testid="my-name">
                    {move || connection.user().map(|user| shown_name(&user))}
                </span>
            </span>
            <input
                class="field"
                data-testid="name-input"
                aria-label="Your name"
                placeholder="Your name"
                autocomplete="nickname"
                bind:value=name
            />
            <button class="button" data-testid="name-save" aria-disabled=move || saving.get().to_string()>
                "Save"
            </button>
            <span class="name-error" role="alert" data-testid="name-error">{refused}</span>
        </form>
    }
}
