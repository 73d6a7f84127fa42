//! Web Locks: who of several tabs looks after something. A browser lets go of them when the tab is gone, however it went.

use std::cell::RefCell;
use std::rc::Rc;

use futures::channel::oneshot;
use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};

use super::Claim;

/// Takes a lock, if nobody has it. Pages that are not served securely have no locks; there everybody gets what they want.
pub(super) async fn claim(name: String) -> Option<Claim> {
    let Some((locks, request)) = lock_manager() else { return Some(Claim::new(())) };
    let (give, granted) = oneshot::channel();
    let give = Rc::new(RefCell::new(Some(give)));
    let answer = Rc::clone(&give);
    let decide = Closure::once_into_js(move |lock: JsValue| -> JsValue {
        let Some(answer) = answer.borrow_mut().take() else { return JsValue::UNDEFINED };
        if lock.is_null() || lock.is_undefined() {
            // nobody may be waiting for it any more
            let _ = answer.send(None);
            return JsValue::UNDEFINED;
        }
        let (hold, released) = oneshot::channel::<()>();
        if answer.send(Some(Claim::new(hold))).is_err() {
            return JsValue::UNDEFINED;
        }
        // it is held for as long as this is pending
        let held = future_to_promise(async move {
            let _ = released.await;
            Ok(JsValue::UNDEFINED)
        });
        held.into()
    });
    let options = Object::new();
    let asked = Reflect::set(&options, &"ifAvailable".into(), &true.into())
        .and_then(|_| request.call3(&locks, &name.into(), &options, &decide))
        .and_then(|promise| promise.dyn_into::<Promise>());
    if let Ok(promise) = asked {
        spawn_local(async move {
            // a lock that cannot be had at all, in a sandboxed frame say
            if JsFuture::from(promise).await.is_err() {
                drop(give.borrow_mut().take());
            }
        });
    } else {
        drop(give.borrow_mut().take());
    }
    // whoever cannot be told is let have it: the server takes each write once
    granted.await.unwrap_or_else(|_| Some(Claim::new(())))
}

fn lock_manager() -> Option<(JsValue, Function)> {
    let get =
        |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok().filter(|value| !value.is_undefined());
    let locks = get(&get(&js_sys::global(), "navigator")?, "locks")?;
    let request = get(&locks, "request")?.dyn_into().ok()?;
    Some((locks, request))
}
