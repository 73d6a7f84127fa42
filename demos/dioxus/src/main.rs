//! The Syncline demo in Dioxus. Its twin in Leptos has the same files, components and markup; the window of a desktop
//! is Dioxus' alone.

mod app;
mod chat;
#[cfg(feature = "desktop")]
mod desktop;
mod header;
mod own_server;
mod refusals;
mod scroll;
mod todos;

#[cfg(not(feature = "desktop"))]
fn main() {
    console_error_panic_hook::set_once();
    dioxus::launch(app::App);
}

#[cfg(feature = "desktop")]
fn main() {
    desktop::launch(app::App);
}
