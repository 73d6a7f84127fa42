//! Servers that the visitor has already: the same hooks, over a contrail service and over a partysync server.

mod contrail;
mod partysync;

use leptos::prelude::*;
use syncline::TransportPreference;

use self::contrail::OwnContrail;
use self::partysync::OwnPartysync;

#[component]
pub fn OwnServer(list: String, transport: TransportPreference) -> impl IntoView {
    view! {
        <div class="own-servers">
            <OwnContrail transport />
            <OwnPartysync list />
        </div>
    }
}

#[component]
pub fn OwnField(
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: RwSignal<String>,
) -> impl IntoView {
    view! {
        <label class="own-field">
            {label}
            <input class="field" data-testid=name placeholder=hint autocomplete="off" spellcheck="false" bind:value=value />
        </label>
    }
}
