//! The application's channels as the engine asks them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::value::RawValue;
use syncline_core::channel::ActionPayload;
use syncline_core::space::{Actions, Channels, Who};
use syncline_core::{Error, Tx, code};

/// Channels whose handlers may panic: that refuses the one action, and the task that runs all spaces goes on.
pub(crate) struct Guarded(pub(crate) Channels);

impl Actions for Guarded {
    fn run(
        &self,
        tx: &mut Tx<'_>,
        action: &ActionPayload,
        who: &Who<'_>,
    ) -> Result<Option<Box<RawValue>>, Error> {
        // what it had written by then goes with the transaction
        catch_unwind(AssertUnwindSafe(|| self.0.run(tx, action, who))).unwrap_or_else(|_| {
            tracing::error!(action = action.name(), space = %who.space, "a handler of actions panicked; the action is refused");
            Err(Error::new(code::ACTION_FAILED, "the server failed to do this"))
        })
    }
}
