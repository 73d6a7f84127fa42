//! The list in Dioxus.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use dioxus::prelude::*;
use dioxus::web::Config;
use dioxus::web::launch::launch_virtual_dom;
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use syncline::Client;
use syncline_benches::Item;
use syncline_dioxus::{use_syncline_provider, use_watch};

use crate::message::{Message, Place, Row, put_in, take_out};
use crate::query;

/// The list with our hook.
pub(crate) fn watch(client: Client) {
    launch_virtual_dom(VirtualDom::new(Watch).with_root_context(client), Config::new());
}

#[component]
fn Watch() -> Element {
    use_syncline_provider(consume_context::<Client>);
    rsx! { Watched {} }
}

#[component]
fn Watched() -> Element {
    let items = use_watch(query());
    rsx! {
        ul {
            for row in items.rows() {
                WatchedItem { key: "{row.key()}", row }
            }
        }
    }
}

#[component]
fn WatchedItem(row: syncline_dioxus::Row<Item>) -> Element {
    row.with(element)
}

/// One row's elements.
fn element(item: &Item) -> Element {
    let Item { text, done, updated_at, .. } = item;
    rsx! {
        li { class: if *done { "done" },
            span { "{text}" }
            time { "{updated_at}" }
        }
    }
}

/// The list with a signal for each row.
pub(crate) fn by_hand() -> UnboundedSender<Vec<u8>> {
    let (send, messages) = unbounded();
    let messages: Messages = Rc::new(RefCell::new(Some(messages)));
    launch_virtual_dom(VirtualDom::new(ByHand).with_root_context(messages), Config::new());
    send
}

/// What comes over the connection, for the one task that reads it.
type Messages = Rc<RefCell<Option<UnboundedReceiver<Vec<u8>>>>>;

type RowSignal = Row<Signal<Item>>;

#[component]
fn ByHand() -> Element {
    let mut order = use_signal(Vec::<RowSignal>::new);
    use_future(move || async move {
        let Some(mut messages) = consume_context::<Messages>().take() else { return };
        let mut by_id = HashMap::new();
        while let Some(message) = messages.next().await {
            // the page sees that a row is missing
            let Ok(message) = Message::read(&message) else { continue };
            take(message, &mut by_id, &mut order);
        }
    });
    rsx! {
        ul {
            for Row { place, item } in order() {
                ItemByHand { key: "{place.id}", item }
            }
        }
    }
}

#[component]
fn ItemByHand(item: Signal<Item>) -> Element {
    element(&item.read())
}

fn take(message: Message, by_id: &mut HashMap<String, RowSignal>, order: &mut Signal<Vec<RowSignal>>) {
    match message {
        Message::Snapshot(items) => {
            let rows: Vec<_> = items.into_iter().map(row).collect();
            *by_id = rows.iter().map(|row| (row.place.id.clone(), row.clone())).collect();
            order.set(rows);
        }
        Message::Put(item) => match by_id.get_mut(&item.id) {
            Some(row) if row.place == Place::of(&item) => row.item.set(item),
            before => {
                let before = before.map(|row| row.place.clone());
                let row = row(item);
                by_id.insert(row.place.id.clone(), row.clone());
                let mut order = order.write();
                before.inspect(|before| take_out(&mut order, before));
                put_in(&mut order, row);
            }
        },
        Message::Delete(id) => {
            if let Some(row) = by_id.remove(&id) {
                take_out(&mut order.write(), &row.place);
            }
        }
    }
}

fn row(item: Item) -> RowSignal {
    Row { place: Place::of(&item), item: Signal::new(item) }
}
