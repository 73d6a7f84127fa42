//! Actions from inside the process.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::channel::{ACTION, ActionPayload};
use crate::error::{Error, code};
use crate::id::{ClientId, SpaceId, WriteId, check_space};
use crate::space::batch::{Asker, QueuedWrite, UNNUMBERED};
use crate::space::engine::{Engine, stopping};
use crate::space::image::INSIDE;
use crate::space::io::{CallId, Output};
use crate::wire::User;

impl Engine {
    /// Takes in an action that nobody sent. What refuses it here leaves no trace: it may be tried again under its number.
    pub(super) fn act(
        &mut self,
        call: CallId,
        user: User,
        space: &SpaceId,
        write: Option<(ClientId, WriteId)>,
        action: &ActionPayload,
    ) {
        let intent = match self.admit(&user, space, write.as_ref(), action) {
            Ok(intent) => intent,
            Err(error) => {
                let error = error.about(|| action.name()).shortened();
                return self.outputs.push_back(Output::Acted { call, result: Err(error) });
            }
        };
        let (client, id) = write.unwrap_or_else(|| (INSIDE.into(), UNNUMBERED));
        let bytes = action.channel.len() + action.action.get().len();
        let (asker, user, intent) = (Asker::Call(call), Arc::new(user), Ok(intent));
        self.queue(space, QueuedWrite { asker, user, client, id, settled: 0, intent, bytes });
    }

    fn admit(
        &self,
        user: &User,
        space: &SpaceId,
        write: Option<&(ClientId, WriteId)>,
        action: &ActionPayload,
    ) -> Result<(Box<str>, Box<RawValue>), Error> {
        if self.stopping {
            return Err(stopping());
        }
        if write.is_some_and(|(_, id)| *id == UNNUMBERED) {
            return Err(Error::new(code::BAD_WRITE, "the ids of writes begin with 1").with_field("id"));
        }
        check_space(space.as_str())?;
        self.access.open(user, space)?;
        if action.action.get().len() > self.config.limits.frame_bytes {
            return Err(Error::new(code::VALUE_TOO_LARGE, "an action is no larger than a frame may be"));
        }
        if self.spaces.get(space).is_some_and(|space| space.queue.is_full(&self.config)) {
            return Err(Error::new(code::TOO_MANY, "too many writes wait already"));
        }
        Ok((ACTION.into(), action.to_payload()?))
    }
}
