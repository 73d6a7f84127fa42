//! What the handles of a client and its driver share: the core behind a lock, and who waits for what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use foldhash::fast::FixedState;
use futures::channel::{mpsc, oneshot};
use futures::task::AtomicWaker;
use hashbrown::HashMap;
use smallvec::SmallVec;
use syncline_core::client::{Applied, ClientCore, ConnectionState, Output, WatchId, WatchState, WriteRef};

use crate::contrail::Contrail;
use crate::credentials::Provider;
use crate::driver::Driver;
use crate::notify::{Listener, Notifier};
use crate::platform::{Instant, Spawner};
use crate::storage::{CacheLimits, Command, Keeper, Storage};
use crate::transport::{Connector, Latency};
use crate::write::Unheard;
use crate::{Error, Status, code};

/// What the server makes of a write, for whoever waits.
pub(crate) type Verdict = Result<Applied, Unheard>;

/// What a client was built with.
pub(crate) struct Setup {
    pub(crate) url: String,
    pub(crate) connector: Option<Arc<dyn Connector>>,
    pub(crate) credentials: Option<Provider>,
    pub(crate) contrail: Option<Contrail>,
    pub(crate) spawner: Spawner,
    pub(crate) latency: Latency,
    /// Where rows are kept between visits, and how many.
    pub(crate) cache: Option<(Arc<dyn Storage>, CacheLimits)>,
}

impl Setup {
    /// What the server is called in storage.
    fn storage_name(&self) -> String {
        let contrail = self.contrail.as_ref().map(|service| service.storage_name(&self.url));
        contrail.unwrap_or_else(|| self.url.clone())
    }
}

/// Commands that storage has not got to. With more, lists are neither loaded nor stored, and with twice as many, queues that
/// others have left are not looked for: the core waits for none of it. Writes are kept one batch at a time, and somebody
/// leaves when they say so: beyond four times as many, a batch is asked for again later, and who leaves is told that it failed.
const MAX_COMMANDS: usize = 256;

/// Writes for whose verdicts there stays room when all have come.
const SPARE: usize = 64;

/// Refusals that nobody waited for; older ones are forgotten.
const MAX_REFUSALS: usize = 32;

/// See the [module](self).
pub(crate) struct Shared {
    pub(crate) setup: Setup,
    me: Weak<Self>,
    state: Mutex<State>,
    epoch: Instant,
    connection: Arc<Notifier>,
    driver: AtomicWaker,
    driven: AtomicBool,
    storage: Mutex<Way>,
}

/// The way to the task that uses storage.
#[derive(Default)]
enum Way {
    /// There is no task yet.
    #[default]
    None,
    To(mpsc::UnboundedSender<Command>),
    /// There will be none any more.
    Closed,
}

/// What the lock protects.
pub(crate) struct State {
    pub(crate) core: ClientCore,
    /// What the core wants done that only the driver can do. The core bounds it: it sends on an open connection only,
    /// and no more than the server said it takes.
    effects: VecDeque<Output>,
    watches: BTreeMap<WatchId, Arc<Mailbox>>,
    writes: HashMap<WriteRef, oneshot::Sender<Verdict>, FixedState>,
    /// What was refused and nobody waited for, oldest first.
    pub(crate) refusals: VecDeque<Error>,
    pub(crate) closed: bool,
}

/// Where a watch learns that diffs or another status wait for it in the core.
#[derive(Default)]
pub(crate) struct Mailbox {
    pub(crate) notifier: Arc<Notifier>,
    /// How many changes have been looked at. Shared by all who ask for diffs: each diff is given out once.
    pub(crate) read: AtomicU64,
}

/// Wake-ups that were found under the lock and are due when it is open again.
#[derive(Default)]
struct Wakes {
    watches: SmallVec<[Arc<Mailbox>; 2]>,
    writes: SmallVec<[(oneshot::Sender<Verdict>, Verdict); 1]>,
    connection: bool,
}

impl Shared {
    pub(crate) fn new(core: ClientCore, setup: Setup) -> Arc<Self> {
        let (effects, watches, writes) = (VecDeque::new(), BTreeMap::new(), HashMap::default());
        let refusals = VecDeque::new();
        Arc::new_cyclic(|me| Self {
            setup,
            me: Weak::clone(me),
            state: Mutex::new(State { core, effects, watches, writes, refusals, closed: false }),
            epoch: Instant::now(),
            connection: Arc::default(),
            driver: AtomicWaker::new(),
            driven: AtomicBool::new(false),
            storage: Mutex::default(),
        })
    }

    /// The time as the core counts it.
    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // a panic in the code of a record type must not take every other watch with it
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the core without changing what it wants done.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.lock())
    }

    /// Changes the core, then tells everybody whom that concerns: local effects reach their watches before this
    /// returns, whatever the network does.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut State, Duration) -> T) -> T {
        let value = self.act_in_driver(act);
        self.driver.wake();
        value
    }

    /// [`act`](Self::act), after which storage does `command`: what the core has had stored until then is done before it, and
    /// whatever it says from now on after it.
    pub(crate) fn act_before(&self, command: Command, act: impl FnOnce(&mut State, Duration)) {
        self.act_and_keep(act, Some(command));
        self.driver.wake();
    }

    /// [`act`](Self::act) for the driver, which looks by itself what it is to do next.
    pub(crate) fn act_in_driver<T>(&self, act: impl FnOnce(&mut State, Duration) -> T) -> T {
        self.act_and_keep(act, None)
    }

    fn act_and_keep<T>(&self, act: impl FnOnce(&mut State, Duration) -> T, last: Option<Command>) -> T {
        let now = self.now();
        let mut wakes = Wakes::default();
        let value = {
            let mut state = self.lock();
            let value = act(&mut state, now);
            state.drain(&mut wakes, self);
            last.into_iter().for_each(|command| self.keep(command));
            value
        };
        for mailbox in wakes.watches {
            mailbox.notifier.notify();
        }
        for (handle, result) in wakes.writes {
            // nobody has to wait for a write
            let _ = handle.send(result);
        }
        if wakes.connection {
            self.connection.notify();
        }
        value
    }

    /// Gives storage something to do, and starts its task when there is none. Without a runtime for that, and when more
    /// waits than may, it is not done: nothing waits for storage longer than it would for one that does not answer.
    ///
    /// Called under the lock: storage does things in the order in which the core has said them. Nobody else's code runs here,
    /// the task's begins on its own.
    pub(crate) fn keep(&self, command: Command) {
        let Some((storage, limits)) = &self.setup.cache else { return };
        let mut way = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing = match &*way {
            Way::None => true,
            // a runtime may have ended, and with it the task
            Way::To(sender) => sender.is_closed(),
            Way::Closed => false,
        };
        if is_missing {
            let (commands, receiver) = mpsc::unbounded();
            let (shared, server) = (Weak::clone(&self.me), self.setup.storage_name());
            let start = || Keeper::start(shared, Arc::clone(storage), limits.clone(), &server, receiver);
            *way = if self.setup.spawner.spawn(start) { Way::To(commands) } else { Way::None };
        }
        if let Way::To(sender) = &*way {
            let most = match &command {
                Command::Load { .. } | Command::Store { .. } => MAX_COMMANDS,
                Command::Adopt { .. } => 2 * MAX_COMMANDS,
                Command::StoreWrites { .. } | Command::Part { .. } => 4 * MAX_COMMANDS,
            };
            if sender.len() < most {
                let _ = sender.unbounded_send(command);
            }
        }
    }

    /// Why something was refused, for whoever asked for it to hear.
    pub(crate) fn unheard(&self, error: Error) -> Unheard {
        Unheard::new(error, Weak::clone(&self.me))
    }

    /// Something was refused, and whoever asked for it did not wait to hear why.
    pub(crate) fn note_refusal(&self, error: Error) {
        self.look(|state| state.refuse(error));
        self.connection_changed();
    }

    /// [`act`](Self::act) for what may need a connection: starts the driver when there is none yet.
    pub(crate) fn act_driven<T>(self: &Arc<Self>, act: impl FnOnce(&mut State, Duration) -> T) -> T {
        let value = self.act(act);
        let drivable = self.setup.connector.is_some() && !self.look(|state| state.closed);
        if drivable && !self.driven.swap(true, Ordering::AcqRel) {
            let started = self.setup.spawner.spawn(|| Driver::start(Arc::clone(self)));
            self.driven.store(started, Ordering::Release);
        }
        value
    }

    /// The driver has ended; the next act that needs one starts another.
    pub(crate) fn driver_gone(&self) {
        self.driven.store(false, Ordering::Release);
    }

    /// Registers the driver to be woken by the next change.
    pub(crate) fn register_driver(&self, cx: &std::task::Context<'_>) {
        self.driver.register(cx.waker());
    }

    /// What the driver has to do next.
    pub(crate) fn next_effect(&self) -> Option<Output> {
        self.lock().effects.pop_front()
    }

    /// Ends everything, for good.
    pub(crate) fn close(&self) {
        self.act(|state, now| {
            state.core.close(now);
            state.closed = true;
        });
        // the task ends when it has done what it was told
        *self.storage.lock().unwrap_or_else(PoisonError::into_inner) = Way::Closed;
        // dropped outside the lock: waiting handles are woken by it
        let (watches, writes) =
            self.look(|state| (std::mem::take(&mut state.watches), std::mem::take(&mut state.writes)));
        drop(writes);
        for mailbox in watches.into_values() {
            mailbox.notifier.close();
        }
        self.connection.close();
    }

    /// Something about it has changed that the core does not know of.
    pub(crate) fn connection_changed(&self) {
        self.connection.notify();
    }

    pub(crate) fn connection_listener(&self) -> Listener {
        self.connection.listen()
    }

    pub(crate) fn connection_state(&self) -> ConnectionState {
        let mut connection = self.look(|state| state.core.connection());
        if self.setup.connector.is_none() {
            connection.status = unconnected(connection.status);
            connection.last_error = Some(no_connector());
        }
        connection
    }

    pub(crate) fn watch_state(&self, watch: WatchId) -> WatchState {
        let mut watch = self.look(|state| state.core.watch_state(watch));
        if self.setup.connector.is_none() {
            watch.status = unconnected(watch.status);
            watch.error.get_or_insert_with(no_connector);
        }
        watch
    }
}

impl State {
    pub(crate) fn add_watch(&mut self, watch: WatchId, mailbox: Arc<Mailbox>) {
        self.watches.insert(watch, mailbox);
    }

    pub(crate) fn remove_watch(&mut self, watch: WatchId) -> Option<Arc<Mailbox>> {
        self.watches.remove(&watch)
    }

    pub(crate) fn add_write(&mut self, write: WriteRef) -> oneshot::Receiver<Verdict> {
        let (handle, verdict) = oneshot::channel();
        self.writes.insert(write, handle);
        verdict
    }

    fn refuse(&mut self, error: Error) {
        if self.refusals.len() == MAX_REFUSALS {
            self.refusals.pop_front();
        }
        self.refusals.push_back(error);
    }

    fn drain(&mut self, wakes: &mut Wakes, shared: &Shared) {
        let (connectable, mut untraced) = (shared.setup.connector.is_some(), None);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Changed(watch) => wakes.watches.extend(self.watches.get(&watch).cloned()),
                Output::ConnectionChanged => wakes.connection = true,
                Output::Refused { write, error }
                    if self.writes.get(&write).is_none_or(oneshot::Sender::is_canceled) =>
                {
                    self.refuse(error);
                    wakes.connection = true;
                }
                // whoever waits for it is told; if they go before they have looked, nobody has waited
                Output::Refused { write, .. } => untraced = Some(write),
                Output::Settled { write, result } => {
                    let verdict = |error| match untraced == Some(write) {
                        true => shared.unheard(error),
                        false => Unheard::by_nobody(error),
                    };
                    let waiting = self.writes.remove(&write);
                    wakes.writes.extend(waiting.map(|handle| (handle, result.map_err(verdict))));
                    if self.writes.is_empty() {
                        self.writes.shrink_to(SPARE);
                    }
                }
                Output::Load { load, user, query } => shared.keep(Command::Load { load, user, query }),
                Output::Store { user, lists } => shared.keep(Command::Store { user, lists }),
                Output::StoreWrites { batch, user, put, del } => {
                    shared.keep(Command::StoreWrites { batch, user, put, del });
                }
                Output::Adopt { user } => shared.keep(Command::Adopt { user }),
                // without a way to connect nobody would ever take it
                effect if connectable => self.effects.push_back(effect),
                _ => {}
            }
        }
    }
}

fn unconnected(status: Status) -> Status {
    match status {
        Status::Connecting | Status::Reconnecting => Status::Idle,
        other => other,
    }
}

fn no_connector() -> Error {
    let message =
        "there is no way to connect here: natively a client needs the server's whole address, or a connector";
    Error::new(code::CONNECTION, message)
}
