//! What page/contenders/map.js does, by hand in Rust: the least that a store in wasm can take.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::mem;
use std::rc::Rc;

use foldhash::fast::FixedState;
use serde::Deserialize;
use syncline_benches::Item;
use wasm_bindgen::prelude::*;

use crate::Row;
use crate::line::bytes;

/// Rows by id, and in order.
#[wasm_bindgen]
#[derive(Default)]
pub struct ByHand {
    rows: HashMap<String, Rc<Item>, FixedState>,
    order: Vec<Rc<Item>>,
    told: u32,
}

#[wasm_bindgen]
impl ByHand {
    /// Empty.
    #[wasm_bindgen(constructor)]
    pub fn new() -> ByHand {
        Self::default()
    }

    /// All rows, a JSON array of them in each message.
    ///
    /// # Errors
    /// A message cannot be read.
    pub fn snapshot(&mut self, messages: Vec<JsValue>) -> Result<(), JsError> {
        for message in messages {
            let rows: Vec<Rc<Item>> = serde_json::from_slice(&bytes(message))?;
            self.rows.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
        }
        self.order = self.rows.values().cloned().collect();
        self.order.sort_unstable_by(newest_first);
        self.told += 1;
        Ok(())
    }

    /// A row each, as JSON.
    ///
    /// # Errors
    /// A message cannot be read.
    pub fn put(&mut self, messages: Vec<JsValue>) -> Result<(), JsError> {
        for message in messages {
            self.put_row(serde_json::from_slice(&bytes(message))?);
        }
        Ok(())
    }

    /// The id of a row each, as JSON.
    ///
    /// # Errors
    /// A message cannot be read.
    pub fn remove(&mut self, messages: Vec<JsValue>) -> Result<(), JsError> {
        #[derive(Deserialize)]
        struct Removed<'a> {
            id: &'a str,
        }
        for message in messages {
            let message = bytes(message);
            let Removed { id } = serde_json::from_slice(&message)?;
            if let Some(row) = self.rows.remove(id) {
                self.order.remove(self.place_of(&row));
                self.told += 1;
            }
        }
        Ok(())
    }

    /// Rows that a person makes, and then the same ones as JSON.
    ///
    /// # Errors
    /// A message cannot be read.
    pub fn optimistic(&mut self, rows: Vec<Row>, confirmations: Vec<JsValue>) -> Result<(), JsError> {
        for (Row(row), confirmation) in rows.into_iter().zip(confirmations) {
            self.put_row(row);
            self.put_row(serde_json::from_slice(&bytes(confirmation))?);
        }
        Ok(())
    }

    /// How often somebody has been told.
    pub fn told(&self) -> u32 {
        self.told
    }

    /// All rows in order, as JSON.
    ///
    /// # Errors
    /// A row cannot be written as JSON.
    pub fn rows(&self) -> Result<String, JsError> {
        Ok(serde_json::to_string(&self.order)?)
    }

    fn put_row(&mut self, row: Item) {
        let row = Rc::new(row);
        let before = match self.rows.get_mut(row.id.as_str()) {
            Some(place) => Some(mem::replace(place, Rc::clone(&row))),
            None => self.rows.insert(row.id.clone(), Rc::clone(&row)),
        };
        match before.map(|before| (self.place_of(&before), before.created_at == row.created_at)) {
            Some((place, true)) => self.order[place] = row,
            Some((place, false)) => {
                self.order.remove(place);
                self.order.insert(self.place_of(&row), row);
            }
            None => self.order.insert(self.place_of(&row), row),
        }
        self.told += 1;
    }

    fn place_of(&self, row: &Rc<Item>) -> usize {
        self.order.partition_point(|other| newest_first(other, row) == Ordering::Less)
    }
}

fn newest_first(a: &Rc<Item>, b: &Rc<Item>) -> Ordering {
    b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id))
}
