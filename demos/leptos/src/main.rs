//! The Syncline demo in Leptos. Its twin in Dioxus has the same files, components and markup.

mod app;
mod chat;
mod header;
mod own_server;
mod refusals;
mod todos;

use leptos::prelude::document;
use leptos::wasm_bindgen::JsCast as _;

fn main() {
    console_error_panic_hook::set_once();
    if let Some(main) = document().get_element_by_id("main") {
        leptos::mount::mount_to(main.unchecked_into(), app::App).forget();
    }
}
