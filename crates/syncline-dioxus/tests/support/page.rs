//! What stands in for a page: a runtime, and a virtual DOM that nobody draws.
#![allow(dead_code, reason = "no test program uses all of it")]

use std::rc::Rc;
use std::time::Duration;

use dioxus::core::NoOpMutations;
use dioxus::prelude::*;
use syncline::Client;
use syncline_dioxus::use_syncline_provider;

/// Runs a test as the one thread of a page would.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(test));
}

/// A mounted app; dropping it unmounts everything.
pub(crate) struct Page(VirtualDom);

#[derive(Clone)]
struct App {
    client: Client,
    component: Rc<dyn Fn() -> Element>,
}

impl Page {
    /// Mounts a root component.
    pub(crate) fn mount(client: &Client, component: impl Fn() -> Element + 'static) -> Self {
        let app = App { client: client.clone(), component: Rc::new(component) };
        let root = |app: App| {
            use_syncline_provider(|| app.client.clone());
            (app.component)()
        };
        let mut dom = VirtualDom::new_with_props(root, app);
        dom.rebuild_in_place();
        Self(dom)
    }

    /// Lets the page go on until it is so.
    pub(crate) async fn until(&mut self, what: &str, mut so: impl FnMut() -> bool) {
        let wait = async {
            while !so() {
                self.turn().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(120), wait).await.is_ok(), "never: {what}");
    }

    /// Lets everything run that is ready to.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..100 {
            self.turn().await;
        }
    }

    /// One turn of the event loop.
    pub(crate) async fn turn(&mut self) {
        tokio::select! {
            biased;
            () = self.0.wait_for_work() => self.0.render_immediate(&mut NoOpMutations),
            () = tokio::task::yield_now() => {}
        }
    }

    /// Lets the page go on until it looks so.
    pub(crate) async fn until_html(&mut self, html: &str) {
        let wait = async {
            while self.html() != html {
                self.turn().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(120), wait).await.is_ok(), "never: {html}");
    }

    /// The page as HTML.
    pub(crate) fn html(&self) -> String {
        dioxus::ssr::render(&self.0)
    }
}

/// A place for what a component wants to tell its test, the same one in every run.
pub(crate) struct Probe<T>(Rc<std::cell::RefCell<T>>);

impl<T> Probe<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Rc::new(std::cell::RefCell::new(value)))
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.borrow_mut());
    }

    pub(crate) fn look<U>(&self, look: impl FnOnce(&T) -> U) -> U {
        look(&self.0.borrow())
    }
}

impl<T> Clone for Probe<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> PartialEq for Probe<T> {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}
