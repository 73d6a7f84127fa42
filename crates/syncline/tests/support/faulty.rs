//! Storage that fails as it is told.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use futures::FutureExt as _;
use futures::channel::oneshot;
use syncline::storage::{Claim, Database, MemoryStorage, Step, Storage, Table};
use syncline::{BoxFuture, Error, code};

/// How it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// It cannot be opened.
    Closed,
    /// It does not answer.
    Silent,
    /// A transaction fails; opened again it works.
    Once,
    /// Every transaction fails.
    Broken,
    /// There is room for so many lists.
    Room(usize),
    /// There is no room for anything.
    Full,
    /// Nobody who asks for a claim is answered, as long as it fails so, nor afterwards once it has been opened anew.
    Unclaimed,
}

/// A clone is the same storage.
#[derive(Clone, Default)]
pub(crate) struct Faulty {
    pub(crate) memory: MemoryStorage,
    fault: Arc<Mutex<Fault>>,
    opened: Arc<AtomicUsize>,
    lose: Arc<Mutex<Vec<oneshot::Sender<Error>>>>,
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Self {
        let faulty = Self::default();
        faulty.set(fault);
        faulty
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// How often it was opened.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// Somebody deletes it: what is open is closed.
    pub(crate) fn lose(&self) {
        for lose in self.lose.lock().unwrap().drain(..) {
            let _ = lose.send(Error::new(code::STORAGE_LOST, "somebody has deleted it"));
        }
    }

    /// Somebody deletes it, with all that is in it.
    pub(crate) async fn delete(&self) {
        for table in Table::ALL {
            let there = self.memory.scan(table, String::new()).await.unwrap().into_iter();
            let steps = there.map(|(key, _)| Step::Delete { table, key }).collect();
            self.memory.commit(steps).await.unwrap();
        }
        self.lose();
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn answer<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&MemoryStorage) -> BoxFuture<Result<T, Error>>,
    ) -> BoxFuture<Result<T, Error>> {
        match self.fault() {
            Fault::Silent => Box::pin(pending()),
            Fault::Broken => Box::pin(async { Err(Error::new(code::STORAGE_LOST, "broken")) }),
            _ => answer(&self.memory),
        }
    }
}

impl Storage for Faulty {
    fn open(&self) -> BoxFuture<Result<Box<dyn Database>, Error>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        match self.fault() {
            Fault::Closed => {
                Box::pin(async { Err(Error::new(code::STORAGE_UNAVAILABLE, "it cannot be opened")) })
            }
            Fault::Silent => Box::pin(pending()),
            _ => {
                let open: Box<dyn Database> = Box::new(self.clone());
                Box::pin(async { Ok(open) })
            }
        }
    }

    fn claim(&self, name: String) -> BoxFuture<Option<Claim>> {
        match self.fault() {
            Fault::Unclaimed => {
                let (faulty, opened) = (self.clone(), self.opened());
                Box::pin(poll_fn(move |context| match faulty.fault() {
                    Fault::Unclaimed => Poll::Pending,
                    _ if faulty.opened() > opened => Poll::Pending,
                    _ => faulty.memory.claim(name.clone()).poll_unpin(context),
                }))
            }
            _ => self.memory.claim(name),
        }
    }
}

impl Database for Faulty {
    fn get(&self, table: Table, key: String) -> BoxFuture<Result<Option<Vec<u8>>, Error>> {
        self.answer(|memory| memory.get(table, key))
    }

    fn scan(&self, table: Table, prefix: String) -> BoxFuture<Result<Vec<(String, Vec<u8>)>, Error>> {
        match self.fault() {
            // it is only later that it shows
            Fault::Broken => self.memory.scan(table, prefix),
            _ => self.answer(|memory| memory.scan(table, prefix)),
        }
    }

    fn commit(&self, steps: Vec<Step>) -> BoxFuture<Result<(), Error>> {
        match self.fault() {
            Fault::Once => {
                self.set(Fault::None);
                return Box::pin(async { Err(Error::new(code::STORAGE_LOST, "it failed, once")) });
            }
            Fault::Full if steps.iter().any(|step| matches!(step, Step::Put { .. })) => {
                return Box::pin(async { Err(Error::new(code::STORAGE_FULL, "there is no room")) });
            }
            Fault::Room(room) => {
                let (memory, scan) = (self.memory.clone(), self.memory.scan(Table::Lists, String::new()));
                return Box::pin(async move {
                    let there = scan.await?.len();
                    let puts = |step: &&Step| matches!(step, Step::Put { table: Table::Lists, .. });
                    if steps.iter().any(|step| puts(&step))
                        && there + steps.iter().filter(puts).count() > room
                    {
                        return Err(Error::new(code::STORAGE_FULL, "there is no room"));
                    }
                    memory.commit(steps).await
                });
            }
            _ => {}
        }
        self.answer(|memory| memory.commit(steps))
    }

    fn lost(&self) -> BoxFuture<Error> {
        let (lose, lost) = oneshot::channel();
        self.lose.lock().unwrap().push(lose);
        Box::pin(async move {
            match lost.await {
                Ok(error) => error,
                Err(_) => pending().await,
            }
        })
    }
}
