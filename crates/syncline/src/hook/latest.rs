//! A channel for a value that is only good until there is a newer one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::Stream;

use crate::notify::{Listener, Notifier};

/// A place for one value, and the stream of what is put there. A value that is replaced before it was looked at is
/// never seen. The stream ends with the last value after the [`Setter`] is dropped.
///
/// ```
/// use futures::{FutureExt, StreamExt};
/// use syncline::hook::latest;
///
/// let (setter, mut values) = latest();
/// setter.set(1);
/// setter.set(2);
/// assert_eq!(values.next().now_or_never(), Some(Some(2)));
/// assert_eq!(values.next().now_or_never(), None);
/// ```
pub fn latest<T>() -> (Setter<T>, Latest<T>) {
    let (value, notifier) = (Arc::new(Mutex::new(None)), Arc::new(Notifier::default()));
    let listener = notifier.listen();
    (Setter { value: Arc::clone(&value), notifier }, Latest { value, listener })
}

/// Made by [`latest`].
pub struct Setter<T> {
    value: Arc<Mutex<Option<T>>>,
    notifier: Arc<Notifier>,
}

impl<T> Setter<T> {
    /// Puts a value in the place of the one before.
    pub fn set(&self, value: T) {
        // dropped outside the lock: it may own whatever it likes
        let before = self.value.lock().unwrap_or_else(PoisonError::into_inner).replace(value);
        drop(before);
        self.notifier.notify();
    }
}

impl<T> Drop for Setter<T> {
    fn drop(&mut self) {
        self.notifier.close();
    }
}

/// Made by [`latest`].
pub struct Latest<T> {
    value: Arc<Mutex<Option<T>>>,
    listener: Listener,
}

impl<T> Stream for Latest<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            if !ready!(self.listener.poll_changed(cx)) {
                return Poll::Ready(None);
            }
            let value = self.value.lock().unwrap_or_else(PoisonError::into_inner).take();
            if value.is_some() {
                return Poll::Ready(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[test]
    fn the_last_value_is_seen_before_the_end() {
        let (setter, mut values) = latest();
        assert_eq!(values.next().now_or_never(), None);
        setter.set(1);
        setter.set(2);
        drop(setter);
        assert_eq!(values.next().now_or_never(), Some(Some(2)));
        assert_eq!(values.next().now_or_never(), Some(None));
    }

    #[test]
    fn a_value_that_was_seen_is_not_seen_again() {
        let (setter, mut values) = latest();
        setter.set(1);
        assert_eq!(values.next().now_or_never(), Some(Some(1)));
        assert_eq!(values.next().now_or_never(), None);
    }
}
