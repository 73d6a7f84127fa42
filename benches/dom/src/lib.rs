//! A list on a page: in Leptos and in Dioxus, with `use_watch` and with row signals as people write them by hand.
//!
//! All of them show the same elements, which page/list.js makes by hand too.
#![cfg(target_arch = "wasm32")]

mod in_dioxus;
mod in_leptos;
mod message;
mod server;

use futures::channel::mpsc::UnboundedSender;
use syncline::{Query, Record};
use syncline_benches::Item;
use wasm_bindgen::prelude::*;

use in_leptos::Rows;
use message::Message;
use server::Server;

/// Whoever shows the list on this page.
#[wasm_bindgen]
pub struct Contender(Kind);

enum Kind {
    /// Either framework, with our hook.
    Watch(Server),
    /// Leptos, by hand.
    Leptos(Rows),
    /// Dioxus, by hand.
    Dioxus(UnboundedSender<Vec<u8>>),
}

#[wasm_bindgen]
impl Contender {
    /// Leptos with `use_watch`, connected and subscribed.
    ///
    /// # Errors
    /// The connection could not be made.
    pub async fn leptos_watch() -> Result<Contender, JsError> {
        Ok(Self(Kind::Watch(Server::of(in_leptos::watch).await?)))
    }

    /// Leptos with a signal for each row.
    pub fn leptos_by_hand() -> Contender {
        Self(Kind::Leptos(in_leptos::by_hand()))
    }

    /// Dioxus with `use_watch`, connected and subscribed.
    ///
    /// # Errors
    /// The connection could not be made.
    pub async fn dioxus_watch() -> Result<Contender, JsError> {
        Ok(Self(Kind::Watch(Server::of(in_dioxus::watch).await?)))
    }

    /// Dioxus with a signal for each row.
    pub fn dioxus_by_hand() -> Contender {
        Self(Kind::Dioxus(in_dioxus::by_hand()))
    }

    /// A message has come: a frame of Syncline's protocol, or a [`Message`]. It is on the page some microtasks later.
    ///
    /// # Errors
    /// It cannot be read, or nobody listens.
    pub fn receive(&mut self, message: Vec<u8>) -> Result<(), JsError> {
        match &mut self.0 {
            Kind::Watch(server) => Ok(server.send(message)?),
            Kind::Leptos(rows) => {
                rows.take(Message::read(&message)?);
                Ok(())
            }
            Kind::Dioxus(messages) => Ok(messages.unbounded_send(message)?),
        }
    }
}

/// All items, newest first.
fn query() -> Query<Item> {
    Item::in_space("bench").order_by(Item::created_at.desc())
}
