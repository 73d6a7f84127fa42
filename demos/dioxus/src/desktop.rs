//! The app in a window of its own: `cargo xtask desktop`.

use dioxus::desktop::{Config, LogicalSize, WindowBuilder};
use dioxus::prelude::*;

/// What index.html has for a browser.
const HEAD: &str = concat!(
    "<meta charset=\"utf-8\" />",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />",
    "<style>",
    include_str!("../../assets/style.css"),
    "</style><script>",
    include_str!("../../assets/focus.js"),
    "</script>",
);

/// Opens the window. It returns when the window is closed.
pub fn launch(app: fn() -> Element) {
    let window = WindowBuilder::new()
        .with_title("Syncline in Dioxus")
        .with_inner_size(LogicalSize::new(1120.0, 760.0));
    let config = Config::new().with_menu(None).with_window(window).with_custom_head(HEAD.into());
    LaunchBuilder::desktop().with_cfg(config).launch(app);
}

/// Whether the field with this id was left by the person who was in it. What is only put in another place has the focus
/// again in a moment: `assets/focus.js` gives it back.
pub async fn has_left(id: String) -> bool {
    let is_elsewhere = document::eval(
        "const id = await dioxus.recv();
        return document.activeElement?.id !== id;",
    );
    // it fails when the window is gone
    drop(is_elsewhere.send(id));
    is_elsewhere.join().await.unwrap_or(true)
}
