//! The one task of a client: does what the core says, and tells it what happened.
//!
//! Everything that needs the outside lives in this task: the connection, timers, the browser's objects and listeners.
//! When the task ends, they end.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use syncline_core::client::contrail::{Access, Call};
use syncline_core::client::partysync::Address;
use syncline_core::client::{Input, Output};

use crate::platform::{self, Hints, sleep};
use crate::shared::Shared;
use crate::transport::{ConnectRequest, Link, delayed};
use crate::{BoxFuture, Error, Transport, code};

/// Frames that may wait for the connection to take them. The core sends no more than the server said it takes at once,
/// which is far less; more than this means that the line takes nothing.
const MAX_WAITING: usize = 16 * 1024;
/// Frames taken in before other tasks get their turn.
const FRAMES_AT_ONCE: usize = 64;

pub(crate) struct Driver {
    shared: Arc<Shared>,
    /// The connections, by attempt: one to a Syncline server, one for each stream of a contrail service,
    /// one for each room of a partysync server.
    lines: BTreeMap<u64, Line>,
    /// Which line is looked at first, so that a busy one holds up no other.
    turn: u64,
    access: BTreeMap<u64, BoxFuture<Result<Access, Error>>>,
    credentials: Option<BoxFuture<Result<Option<String>, Error>>>,
    timer: Option<(Duration, BoxFuture<()>)>,
    _hints: Hints,
}

enum Line {
    Opening { connecting: BoxFuture<Result<Link, Error>> },
    Open(OpenLine),
}

struct OpenLine {
    link: Link,
    waiting: VecDeque<Vec<u8>>,
    /// The connection has all of what it took.
    is_flushed: bool,
}

impl Driver {
    /// The task. It ends when the client is closed.
    pub(crate) fn start(shared: Arc<Shared>) -> BoxFuture<()> {
        Box::pin(async move {
            let hints = Hints::listen(Arc::downgrade(&shared));
            let mut driver = Self::new(shared, hints);
            poll_fn(|cx| driver.poll(cx)).await;
        })
    }

    fn new(shared: Arc<Shared>, hints: Hints) -> Self {
        let (lines, access) = (BTreeMap::new(), BTreeMap::new());
        Self { shared, lines, turn: 0, access, credentials: None, timer: None, _hints: hints }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.register_driver(cx);
        for _ in 0..FRAMES_AT_ONCE {
            while let Some(effect) = self.shared.next_effect() {
                self.perform(effect, cx);
            }
            if self.shared.look(|state| state.closed) {
                return Poll::Ready(());
            }
            let happened = self.poll_credentials(cx)
                || self.poll_access(cx)
                || self.poll_allowance(cx)
                || self.poll_lines(cx)
                || self.poll_timer(cx);
            if !happened {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn tell(&self, input: Input<'_>) {
        self.shared.act_in_driver(|state, now| state.core.handle(now, input));
    }

    fn perform(&mut self, effect: Output, cx: &mut Context<'_>) {
        match effect {
            Output::Open { attempt, transport, hello } => self.open(attempt, transport, hello),
            Output::Call { attempt, call } => self.call(attempt, call),
            Output::Join { attempt, address } => self.join(attempt, address),
            Output::Access { attempt, request } => {
                let setup = &self.shared.setup;
                let asking = setup
                    .contrail
                    .as_ref()
                    .map(|service| service.access(request, setup.credentials.as_ref()));
                self.access.extend(asking.map(|asking| (attempt, asking)));
            }
            Output::Send { attempt, frame } => self.send(attempt, frame),
            Output::Close { attempt } => self.close(attempt, cx),
            Output::Credentials => {
                self.credentials = self.shared.setup.credentials.as_ref().map(|provide| provide())
            }
            Output::Remember(transport) => platform::remember(&self.shared.setup.url, transport),
            // given to the handles where they come up
            Output::Changed(_)
            | Output::ConnectionChanged
            | Output::Refused { .. }
            | Output::Settled { .. } => {}
            // and this to the task that uses storage
            Output::Load { .. } | Output::Store { .. } => {}
            Output::StoreWrites { .. } | Output::Adopt { .. } => {}
        }
    }

    fn open(&mut self, attempt: u64, transport: Transport, hello: Vec<u8>) {
        if let Some(connector) = &self.shared.setup.connector {
            let url = self.shared.setup.url.clone();
            let connecting = connector.connect(ConnectRequest::new(url, transport, hello));
            self.lines.insert(attempt, Line::Opening { connecting });
        }
    }

    fn call(&mut self, attempt: u64, call: Call) {
        if let Some(connector) = &self.shared.setup.connector {
            let connecting = connector.call(&self.shared.setup.url, call);
            self.lines.insert(attempt, Line::Opening { connecting });
        }
    }

    fn join(&mut self, attempt: u64, address: Address) {
        if let Some(connector) = &self.shared.setup.connector {
            let connecting = connector.join(&self.shared.setup.url, address);
            self.lines.insert(attempt, Line::Opening { connecting });
        }
    }

    fn send(&mut self, attempt: u64, frame: Vec<u8>) {
        // a connection that is gone takes nothing; the core knows what that means
        let Some(Line::Open(line)) = self.lines.get_mut(&attempt) else { return };
        if line.waiting.len() < MAX_WAITING {
            line.waiting.push_back(frame);
        } else {
            self.lost(attempt, Some(Error::new(code::CONNECTION, "the connection takes no more frames")));
        }
    }

    fn close(&mut self, attempt: u64, cx: &mut Context<'_>) {
        self.access.remove(&attempt);
        // what can leave at once still does: an unsubscribe, say
        if let Some(Line::Open(mut line)) = self.lines.remove(&attempt) {
            let _ = line.poll_send(cx);
        }
    }

    fn lost(&mut self, attempt: u64, error: Option<Error>) {
        self.lines.remove(&attempt);
        self.tell(Input::Closed { attempt, error });
    }

    /// Something of one line, each in its turn.
    fn poll_lines(&mut self, cx: &mut Context<'_>) -> bool {
        let mut turn = self.turn;
        for _ in 0..self.lines.len() {
            let next = self.lines.range(turn + 1..).next().or_else(|| self.lines.first_key_value());
            let Some((&next, _)) = next else { return false };
            if self.poll_line(next, cx) {
                self.turn = next;
                return true;
            }
            turn = next;
        }
        false
    }

    fn poll_line(&mut self, attempt: u64, cx: &mut Context<'_>) -> bool {
        match self.lines.get_mut(&attempt) {
            None => false,
            Some(Line::Opening { connecting }) => {
                let Poll::Ready(result) = connecting.as_mut().poll(cx) else { return false };
                match result {
                    Ok(link) => {
                        let link = delayed(link, &self.shared.setup.latency);
                        self.lines.insert(attempt, Line::Open(OpenLine::new(link)));
                        self.tell(Input::Opened { attempt });
                    }
                    Err(error) => self.lost(attempt, Some(error)),
                }
                true
            }
            Some(Line::Open(line)) => {
                if let Err(error) = line.poll_send(cx) {
                    self.lost(attempt, Some(error));
                    return true;
                }
                let Poll::Ready(item) = line.link.receiver.as_mut().poll_next(cx) else { return false };
                match item {
                    Some(Ok(bytes)) => self.tell(Input::Frame { attempt, bytes: &bytes }),
                    Some(Err(error)) => self.lost(attempt, Some(error)),
                    None => self.lost(attempt, None),
                }
                true
            }
        }
    }

    fn poll_access(&mut self, cx: &mut Context<'_>) -> bool {
        let answered = self.access.iter_mut().find_map(|(&attempt, asking)| match asking.as_mut().poll(cx) {
            Poll::Ready(result) => Some((attempt, result)),
            Poll::Pending => None,
        });
        let Some((attempt, result)) = answered else { return false };
        self.access.remove(&attempt);
        self.tell(Input::Access { attempt, result });
        true
    }

    /// A stream that waited for those of others.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> bool {
        let may_begin = self.shared.setup.contrail.is_some()
            && self.shared.look(|state| state.core.may_begin(cx.waker()));
        if may_begin {
            self.tell(Input::Tick);
        }
        may_begin
    }

    fn poll_credentials(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(asking) = &mut self.credentials else { return false };
        let Poll::Ready(answer) = asking.as_mut().poll(cx) else { return false };
        self.credentials = None;
        self.tell(Input::Credentials(answer));
        true
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let Some(deadline) = self.shared.look(|state| state.core.deadline()) else {
                self.timer = None;
                return false;
            };
            // one that fires too early looks again: every frame moves the heartbeat, and neither timers nor clocks are cheap
            if let Some((set_for, timer)) = &mut self.timer
                && *set_for <= deadline
                && timer.as_mut().poll(cx).is_pending()
            {
                return false;
            }
            // for an earlier deadline, or early, or a part of a long wait
            self.timer = None;
            let now = self.shared.now();
            if now >= deadline {
                self.tell(Input::Tick);
                return true;
            }
            self.timer = Some((deadline, sleep(deadline - now)));
        }
    }
}

/// A runtime may end before the client does; then another one may go on from here.
impl Drop for Driver {
    fn drop(&mut self) {
        for attempt in std::mem::take(&mut self.lines).into_keys() {
            self.tell(Input::Closed { attempt, error: None });
        }
        for attempt in std::mem::take(&mut self.access).into_keys() {
            let nobody = Error::new(code::CONNECTION, "nobody waits for access");
            self.tell(Input::Access { attempt, result: Err(nobody) });
        }
        if self.credentials.take().is_some() {
            self.tell(Input::Credentials(Err(Error::new(code::CONNECTION, "nobody waits for credentials"))));
        }
        self.shared.driver_gone();
    }
}

impl OpenLine {
    fn new(link: Link) -> Self {
        Self { link, waiting: VecDeque::new(), is_flushed: true }
    }

    /// Hands over what the connection takes now.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let sender = &mut self.link.sender;
        while !self.waiting.is_empty() {
            if sender.as_mut().poll_ready(cx)?.is_pending() {
                break;
            }
            if let Some(frame) = self.waiting.pop_front() {
                sender.as_mut().start_send(frame)?;
                self.is_flushed = false;
            }
        }
        if !self.is_flushed {
            self.is_flushed = sender.as_mut().poll_flush(cx)?.is_ready();
        }
        Ok(())
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use crate::transport::memory::{link_pair, pair};
    use crate::{Client, Status};

    #[test]
    fn a_line_that_takes_nothing_is_given_up() {
        let (connector, _listener) = pair();
        let client = Client::builder("memory").connector(connector).build();
        client.retry_now();
        let (link, _server) = link_pair();
        let mut driver = Driver::new(Arc::clone(client.shared()), Hints::listen(std::sync::Weak::new()));
        driver.lines.insert(1, Line::Open(OpenLine::new(link)));
        for _ in 0..MAX_WAITING {
            driver.send(1, b"{}".to_vec());
        }
        assert!(matches!(&driver.lines[&1], Line::Open(line) if line.waiting.len() == MAX_WAITING));
        driver.send(1, b"{}".to_vec());
        assert!(driver.lines.is_empty());
        assert_eq!(client.connection().status, Status::Idle);
    }
}
