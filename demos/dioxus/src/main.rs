//! The Syncline demo in Dioxus. Its twin in Leptos has the same files, components and markup.

mod app;
mod chat;
mod header;
mod own_server;
mod refusals;
mod todos;

fn main() {
    console_error_panic_hook::set_once();
    dioxus::launch(app::App);
}
