//! The engine.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::schema::Schema;
use crate::space::access::Access;
use crate::space::config::Config;
use crate::space::io::{Gauges, Input, Output};

/// The space engine. See the [module](crate::space).
pub struct Engine {
    outputs: VecDeque<Output>,
}

impl Engine {
    /// An engine without connections. `seed` is where its random numbers come from: the ids of new histories.
    pub fn new(config: Config, schema: Schema, access: Arc<dyn Access>, seed: u64) -> Self {
        let _ = (config, schema, access, seed);
        Self { outputs: VecDeque::new() }
    }

    /// Takes in what happened, at `now` in Unix ms. Drain [`poll_output`](Self::poll_output) afterwards.
    pub fn handle(&mut self, now: u64, input: Input) {
        let _ = (now, input);
    }

    /// The next thing to be done. Call it after every [`handle`](Self::handle) until there is none.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to feed [`Input::Tick`], in Unix ms.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        None
    }

    /// What the engine holds at the moment.
    pub fn gauges(&self) -> Gauges {
        Gauges::default()
    }
}
