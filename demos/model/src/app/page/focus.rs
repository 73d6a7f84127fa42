//! Who has the focus.

use web_sys::HtmlElement;
use web_sys::wasm_bindgen::JsCast as _;
use web_sys::wasm_bindgen::closure::Closure;

/// Gives an element the focus back that loses it when its row is put in another place, as soon as the row is there.
pub fn keep_focus(id: String) {
    let Some(window) = web_sys::window() else { return };
    let focus = Closure::once_into_js(move || {
        let document = web_sys::window().and_then(|window| window.document());
        let element = document.and_then(|document| document.get_element_by_id(&id));
        if let Some(element) = element.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
            drop(element.focus());
        }
    });
    // before the next picture, the list is in its new order
    drop(window.request_animation_frame(focus.unchecked_ref()));
}
