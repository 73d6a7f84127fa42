//! The list in Leptos.

use std::collections::HashMap;

use leptos::mount::mount_to_body;
use leptos::prelude::*;
use syncline::Client;
use syncline_benches::Item;
use syncline_leptos::{provide_syncline, use_watch};

use crate::message::{Message, Place, Row, put_in, take_out};
use crate::query;

/// The list with our hook.
pub(crate) fn watch(client: Client) {
    mount_to_body(move || {
        provide_syncline(client);
        let items = use_watch(query());
        view! {
            <ul>
                <For each=move || items.rows() key=|row| row.key() let:row>
                    {
                        let (done, text, time) = (row.clone(), row.clone(), row);
                        element(
                            move || done.with(|item| item.done),
                            move || text.with(|item| item.text.clone()),
                            move || time.with(|item| item.updated_at),
                        )
                    }
                </For>
            </ul>
        }
    });
}

/// The list with a signal for each row.
pub(crate) fn by_hand() -> Rows {
    let order = ArcRwSignal::new(Vec::<RowSignal>::new());
    let shown = order.clone();
    mount_to_body(move || {
        view! {
            <ul>
                <For each=move || shown.get() key=|row| row.place.id.clone() let:row>
                    {
                        let (done, text, time) = (row.item.clone(), row.item.clone(), row.item);
                        element(
                            move || done.with(|item| item.done),
                            move || text.with(|item| item.text.clone()),
                            move || time.with(|item| item.updated_at),
                        )
                    }
                </For>
            </ul>
        }
    });
    Rows { order, by_id: HashMap::new() }
}

/// One row's elements.
fn element(
    done: impl Fn() -> bool + Send + 'static,
    text: impl Fn() -> String + Send + 'static,
    time: impl Fn() -> u64 + Send + 'static,
) -> impl IntoView {
    view! {
        <li class:done=done>
            <span>{text}</span>
            <time>{time}</time>
        </li>
    }
}

type RowSignal = Row<ArcRwSignal<Item>>;

/// The rows as they are kept by hand.
pub(crate) struct Rows {
    order: ArcRwSignal<Vec<RowSignal>>,
    by_id: HashMap<String, RowSignal>,
}

impl Rows {
    pub(crate) fn take(&mut self, message: Message) {
        match message {
            Message::Snapshot(items) => {
                let rows: Vec<_> = items.into_iter().map(row).collect();
                self.by_id = rows.iter().map(|row| (row.place.id.clone(), row.clone())).collect();
                self.order.set(rows);
            }
            Message::Put(item) => match self.by_id.get(&item.id) {
                Some(row) if row.place == Place::of(&item) => row.item.set(item),
                before => {
                    let before = before.map(|row| row.place.clone());
                    let row = row(item);
                    self.by_id.insert(row.place.id.clone(), row.clone());
                    self.order.update(|order| {
                        before.inspect(|before| take_out(order, before));
                        put_in(order, row);
                    });
                }
            },
            Message::Delete(id) => {
                if let Some(row) = self.by_id.remove(&id) {
                    self.order.update(|order| take_out(order, &row.place));
                }
            }
        }
    }
}

fn row(item: Item) -> RowSignal {
    Row { place: Place::of(&item), item: ArcRwSignal::new(item) }
}
