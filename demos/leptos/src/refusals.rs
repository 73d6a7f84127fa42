//! What the server has refused and no row shows.

use leptos::prelude::*;
use syncline_leptos::use_connection;

#[component]
pub fn Refusals() -> impl IntoView {
    let connection = use_connection();
    let refusals = move || {
        let items = connection.refusals().into_iter().map(|error| {
            view! {
                <li data-testid="refusal" data-code=error.code().to_owned()>{error.message().to_owned()}</li>
            }
        });
        items.collect_view()
    };

    view! {
        <Show when=move || !connection.refusals().is_empty()>
            <div class="notice refusals" role="alert" data-testid="refusals">
                <ul>{refusals}</ul>
                <button
                    class="button-link"
                    data-testid="refusals-dismiss"
                    on:click=move |_| connection.dismiss_refusals()
                >
                    "Dismiss"
                </button>
            </div>
        </Show>
    }
}
