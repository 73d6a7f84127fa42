//! What those who do it by hand have from their server, and how they keep it.

use std::cmp::Reverse;

use serde::Deserialize;
use syncline_benches::Item;

/// As text: `{"put":{…}}`.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Message {
    /// All rows, in order.
    Snapshot(Vec<Item>),
    /// A row that is new or has changed.
    Put(Item),
    /// The row with this id is gone.
    Delete(String),
}

impl Message {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// A row of the list: where it stands, and the framework's signal of what is in it.
#[derive(Clone, PartialEq)]
pub(crate) struct Row<S> {
    pub(crate) place: Place,
    pub(crate) item: S,
}

/// Newest first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    created_at: Reverse<u64>,
    pub(crate) id: String,
}

impl Place {
    pub(crate) fn of(item: &Item) -> Self {
        Self { created_at: Reverse(item.created_at), id: item.id.clone() }
    }
}

pub(crate) fn put_in<S>(order: &mut Vec<Row<S>>, row: Row<S>) {
    let at = order.partition_point(|other| other.place < row.place);
    order.insert(at, row);
}

pub(crate) fn take_out<S>(order: &mut Vec<Row<S>>, place: &Place) {
    if let Ok(at) = order.binary_search_by(|other| other.place.cmp(place)) {
        order.remove(at);
    }
}
