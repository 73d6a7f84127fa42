//! What a person has just made is to be seen.

use dioxus::prelude::*;

/// No further than it takes, and at once.
const INTO_VIEW: ScrollToOptions = ScrollToOptions {
    behavior: ScrollBehavior::Instant,
    vertical: ScrollLogicalPosition::Nearest,
    horizontal: ScrollLogicalPosition::Nearest,
};

/// Scrolls what has been mounted into view, and no further than that takes.
pub fn scroll_into_view(mounted: Event<MountedData>) {
    spawn(async move { drop(mounted.scroll_to_with_options(INTO_VIEW).await) });
}
