//! What the server has refused and no row shows.

use dioxus::prelude::*;
use syncline_dioxus::use_connection;

#[component]
pub fn Refusals() -> Element {
    let connection = use_connection();
    let refusals = connection.refusals();

    rsx! {
        if !refusals.is_empty() {
            div { class: "notice refusals", role: "alert", "data-testid": "refusals",
                ul {
                    for error in refusals {
                        li { "data-testid": "refusal", "data-code": error.code(), {error.message()} }
                    }
                }
                button {
                    class: "button-link",
                    "data-testid": "refusals-dismiss",
                    onclick: move |_| connection.dismiss_refusals(),
                    "Dismiss"
                }
            }
        }
    }
}
