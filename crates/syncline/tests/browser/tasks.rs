//! The tasks of a page.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures::channel::oneshot;
use syncline::hook::spawn_local;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

/// A turn of everything that waits as a promise does.
async fn turn() {
    JsFuture::from(js_sys::Promise::resolve(&wasm_bindgen::JsValue::UNDEFINED)).await.unwrap();
}

#[wasm_bindgen_test]
async fn a_task_runs_to_its_end_and_not_before_what_spawned_it_is_done() {
    let (done, end) = oneshot::channel();
    let started = Rc::new(Cell::new(false));
    let here = Rc::clone(&started);
    spawn_local(async move {
        here.set(true);
        turn().await;
        done.send(()).unwrap();
    });
    assert!(!started.get());
    end.await.unwrap();
    assert!(started.get());
}

#[wasm_bindgen_test]
async fn a_task_that_is_woken_twice_has_one_turn() {
    let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None::<Waker>)));
    let (count, place) = (Rc::clone(&polls), Rc::clone(&waker));
    spawn_local(poll_fn(move |cx| {
        count.set(count.get() + 1);
        place.replace(Some(cx.waker().clone()));
        Poll::Pending
    }));
    turn().await;
    turn().await;
    let waker = waker.borrow_mut().take().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    for _ in 0..5 {
        turn().await;
    }
    assert_eq!(polls.get(), 2);
}

#[wasm_bindgen_test]
async fn a_task_that_wakes_itself_keeps_nobody_waiting() {
    let (others, ended) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let (seen, end) = (Rc::clone(&others), Rc::clone(&ended));
    spawn_local(poll_fn(move |cx| {
        if seen.get() {
            end.set(true);
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    turn().await;
    others.set(true);
    for _ in 0..5 {
        turn().await;
    }
    assert!(ended.get());
}

#[wasm_bindgen_test]
async fn what_a_task_owns_goes_with_its_end() {
    let owned = Rc::new(());
    let (weak, (go, wait)) = (Rc::downgrade(&owned), oneshot::channel::<()>());
    spawn_local(async move {
        wait.await.unwrap();
        drop(owned);
    });
    turn().await;
    assert!(weak.upgrade().is_some());
    go.send(()).unwrap();
    for _ in 0..5 {
        turn().await;
    }
    assert!(weak.upgrade().is_none());
}

#[wasm_bindgen_test]
async fn whoever_a_task_wakes_comes_before_the_rest_of_the_page() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let ((go, wait), (wake, woken)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
    let note = |who: &'static str| {
        let seen = Rc::clone(&seen);
        move || seen.borrow_mut().push(who)
    };
    let (first, second, page) = (note("first"), note("second"), note("page"));
    spawn_local(async move {
        woken.await.unwrap();
        second();
    });
    spawn_local(async move {
        wait.await.unwrap();
        first();
        wake.send(()).unwrap();
    });
    turn().await;
    go.send(()).unwrap();
    wasm_bindgen_futures::spawn_local(async move { page() });
    for _ in 0..5 {
        turn().await;
    }
    assert_eq!(*seen.borrow(), ["first", "second", "page"]);
}

#[wasm_bindgen_test]
async fn tasks_that_wake_one_another_let_the_page_go_on_after_64_turns() {
    let (turns, at_last) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (count, end) = (Rc::clone(&turns), Rc::clone(&at_last));
    spawn_local(poll_fn(move |cx| {
        count.set(count.get() + 1);
        if end.get() > 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    let seen = Rc::clone(&at_last);
    wasm_bindgen_futures::spawn_local(async move { seen.set(turns.get()) });
    for _ in 0..5 {
        turn().await;
    }
    assert_eq!(at_last.get(), 64);
}

#[wasm_bindgen_test]
async fn a_task_that_never_comes_back_takes_no_other_with_it() {
    let ran = Rc::new(Cell::new(false));
    let here = Rc::clone(&ran);
    spawn_local(async { wasm_bindgen::throw_str("this task is meant to fail") });
    spawn_local(async move { here.set(true) });
    for _ in 0..5 {
        turn().await;
    }
    assert!(ran.get());
}
