//! Servers that the visitor has already: the same hooks, over a contrail service and over a partysync server.

mod contrail;
mod partysync;

use dioxus::prelude::*;
use syncline::TransportPreference;

use self::contrail::OwnContrail;
use self::partysync::OwnPartysync;

#[component]
pub fn OwnServer(list: String, transport: TransportPreference) -> Element {
    rsx! {
        div { class: "own-servers",
            OwnContrail { transport }
            OwnPartysync { list }
        }
    }
}

#[component]
pub fn OwnField(
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    mut value: Signal<String>,
) -> Element {
    rsx! {
        label { class: "own-field",
            {label}
            input {
                class: "field",
                "data-testid": name,
                placeholder: hint,
                autocomplete: "off",
                spellcheck: "false",
                value,
                oninput: move |event| value.set(event.value()),
            }
        }
    }
}
