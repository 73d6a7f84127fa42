//! Who has the focus.

use std::time::Duration;

use gloo_timers::future::sleep;

/// Whether the field with this id was left by the person who was in it. What is only put in another place has the focus
/// again in a moment: `assets/focus.js` gives it back.
pub async fn has_left(id: String) -> bool {
    sleep(Duration::ZERO).await;
    let document = web_sys::window().and_then(|window| window.document());
    let active = document.and_then(|document| document.active_element());
    active.is_none_or(|active| active.id() != id)
}
