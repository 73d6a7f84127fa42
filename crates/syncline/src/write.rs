//! What became of a write.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, ready};

use futures::channel::oneshot::{self, Canceled};
use syncline_core::client::Applied;

use crate::shared::{self, Shared};
use crate::{Error, Version, code};

/// A write that is on its way: a future of the server's verdict. The write is made whether or not anybody waits; a
/// refused one also shows in its row's [`RowState`](crate::RowState).
///
/// Ready with the version at which the write was applied, or with why it was refused: the server's error, or `closed`
/// when the client was closed before it knew.
pub struct WriteHandle {
    verdict: Verdict,
}

enum Verdict {
    Waiting(oneshot::Receiver<shared::Verdict>),
    // taken when the future is ready; a future is not polled after that
    Settled(Option<Version>),
    Refused(Unheard),
}

/// Why a write or an action was not made at all, or was refused and left nothing to be seen. Dropped unheard it is one of the
/// client's [refusals](crate::Client::refusals): there is no row to show it.
pub(crate) struct Unheard {
    error: Option<Error>,
    client: Weak<Shared>,
}

impl Unheard {
    pub(crate) fn new(error: Error, client: Weak<Shared>) -> Self {
        Self { error: Some(error), client }
    }

    /// Where nobody has to hear of it: a row shows it, or there is no client, or none any more.
    pub(crate) fn by_nobody(error: Error) -> Self {
        Self { error: Some(error), client: Weak::new() }
    }

    /// The error, once.
    pub(crate) fn hear(&mut self) -> Option<Error> {
        self.error.take()
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if let (Some(error), Some(client)) = (self.error.take(), self.client.upgrade()) {
            client.note_refusal(error);
        }
    }
}

impl WriteHandle {
    pub(crate) fn waiting(verdict: oneshot::Receiver<shared::Verdict>) -> Self {
        Self { verdict: Verdict::Waiting(verdict) }
    }

    pub(crate) fn settled(version: Version) -> Self {
        Self { verdict: Verdict::Settled(Some(version)) }
    }

    pub(crate) fn refused(unheard: Unheard) -> Self {
        Self { verdict: Verdict::Refused(unheard) }
    }

    pub(crate) fn closed() -> Self {
        Self::refused(Unheard::by_nobody(closed()))
    }
}

impl Future for WriteHandle {
    type Output = Result<Version, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.verdict {
            Verdict::Waiting(verdict) => {
                let verdict = ready!(Pin::new(verdict).poll(cx));
                Poll::Ready(heard(verdict).map(|applied| applied.version))
            }
            Verdict::Settled(version) => {
                version.take().map_or(Poll::Pending, |version| Poll::Ready(Ok(version)))
            }
            Verdict::Refused(unheard) => {
                unheard.hear().map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
            }
        }
    }
}

impl fmt::Debug for WriteHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHandle").finish_non_exhaustive()
    }
}

/// What whoever waits for a verdict hears.
pub(crate) fn heard(verdict: Result<shared::Verdict, Canceled>) -> Result<Applied, Error> {
    match verdict {
        Ok(verdict) => verdict.map_err(|mut unheard| unheard.hear().unwrap_or_else(closed)),
        Err(Canceled) => Err(closed()),
    }
}

pub(crate) fn closed() -> Error {
    Error::new(code::CLOSED, "the client was closed before the server answered")
}

/// Why an optimistic row failed: an [`Error`], or a sentence for a person, whose code is then `failed`.
pub trait IntoError {
    /// The error.
    fn into_error(self) -> Error;
}

impl IntoError for Error {
    fn into_error(self) -> Error {
        self
    }
}

impl IntoError for &str {
    fn into_error(self) -> Error {
        self.to_owned().into_error()
    }
}

impl IntoError for String {
    fn into_error(self) -> Error {
        Error::new("failed", Cow::Owned(self))
    }
}
