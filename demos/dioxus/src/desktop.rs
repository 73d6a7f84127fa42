//! The app in a window of its own: `cargo xtask desktop`.

use dioxus::desktop::{Config, LogicalSize, WindowBuilder};
use dioxus::prelude::*;

/// What index.html has for a browser.
const HEAD: &str = concat!(
    "<meta charset=\"utf-8\" />",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />",
    "<style>",
    include_str!("../../assets/style.css"),
    "</style>",
);

/// Opens the window. It returns when the window is closed.
pub fn launch(app: fn() -> Element) {
    let window = WindowBuilder::new()
        .with_title("Syncline in Dioxus")
        .with_inner_size(LogicalSize::new(1120.0, 760.0));
    let config = Config::new().with_menu(None).with_window(window).with_custom_head(HEAD.into());
    LaunchBuilder::desktop().with_cfg(config).launch(app);
}

/// Gives an element the focus back that loses it when its row is put in another place, as soon as the row is there.
pub fn keep_focus(id: String) {
    // what is drawn comes to the window by another way than this, and may come later
    let focus = document::eval(
        "const id = await dioxus.recv();
        const focus = () => document.getElementById(id)?.focus();
        requestAnimationFrame(() => requestAnimationFrame(focus));",
    );
    // it fails when the window is gone
    drop(focus.send(id));
}
