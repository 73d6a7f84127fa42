//! What became of an action.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::channel::oneshot;
use syncline_core::channel::{ActionError, Channel};
use syncline_core::client::Applied;

use crate::write::{Unheard, closed, heard};
use crate::{Error, code, shared};

/// An action that is on its way: a future of what the server's handler says. The action is sent whether or not anybody
/// waits; what it does shows at once, and goes again when it is refused.
///
/// Ready with the handler's output, or with why there is none: its own error as [`Refused`](ActionError::Refused), or
/// what else went wrong as [`Failed`](ActionError::Failed), with one of these codes beside those of the server: `closed`
/// when the client was closed before it knew, `parked` when somebody else has come and the action waits for its author,
/// `output_lost` when it was done and what it gave back is not known any more, `outcome_unknown` at a server that is not
/// one of Syncline's own.
pub struct ActionHandle<C: Channel> {
    verdict: Verdict,
    _channel: PhantomData<fn() -> C>,
}

enum Verdict {
    Waiting(oneshot::Receiver<shared::Verdict>),
    // heard when the future is ready; a future is not polled after that
    Refused(Unheard),
}

impl<C: Channel> ActionHandle<C> {
    pub(crate) fn waiting(verdict: oneshot::Receiver<shared::Verdict>) -> Self {
        Self { verdict: Verdict::Waiting(verdict), _channel: PhantomData }
    }

    pub(crate) fn refused(unheard: Unheard) -> Self {
        Self { verdict: Verdict::Refused(unheard), _channel: PhantomData }
    }

    pub(crate) fn closed() -> Self {
        Self::refused(Unheard::by_nobody(closed()))
    }
}

impl<C: Channel> Future for ActionHandle<C> {
    type Output = Result<C::Output, ActionError<C::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let verdict = match &mut self.verdict {
            Verdict::Waiting(verdict) => heard(ready!(Pin::new(verdict).poll(cx))),
            Verdict::Refused(unheard) => match unheard.hear() {
                Some(error) => Err(error),
                None => return Poll::Pending,
            },
        };
        Poll::Ready(verdict.and_then(|applied| output::<C>(&applied)).map_err(ActionError::from))
    }
}

/// What is not said is `null`, which is something for `()` and the like.
fn output<C: Channel>(applied: &Applied) -> Result<C::Output, Error> {
    let output: Result<C::Output, serde_json::Error> = match &applied.output {
        Some(json) => serde_json::from_str(json.get()),
        None => serde_json::from_value(serde_json::Value::Null),
    };
    output.map_err(|error| {
        let message = match &applied.output {
            Some(_) => format!("what the action gave back is not what was expected: {error}"),
            None => "the action was done, and what it gave back is not known any more".to_owned(),
        };
        Error::new(code::OUTPUT_LOST, message).with_field(C::NAME)
    })
}

impl<C: Channel> fmt::Debug for ActionHandle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionHandle").field("channel", &C::NAME).finish_non_exhaustive()
    }
}
