//! A thread with a database connection of its own.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use rusqlite::Connection;
use syncline_core::{Error, code};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The handle of such a thread. The thread ends with the handle, after the work it was given.
pub(super) struct Worker {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Worker {
    pub(super) fn start(name: &str, mut connection: Connection) -> Result<Self, Error> {
        // what waits is bounded by who sends: one batch of commits, and as many loads as the engine has under way
        let (jobs, waiting) = mpsc::channel::<Job>();
        let (running, ended) = oneshot::channel::<()>();
        let work = move || {
            for job in waiting {
                job(&mut connection);
            }
            drop(connection);
            drop(running);
        };
        thread::Builder::new().name(format!("syncline-{name}")).spawn(work).map_err(|error| {
            Error::new(code::STORAGE, format!("a thread for storage cannot be started: {error}"))
        })?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), ended: Mutex::new(Some(ended)) })
    }

    /// Does a piece of work on the thread. `None` when the thread has ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // nobody may be waiting any more: a commit counts all the same
            let _ = answer.send(work(connection));
        });
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.send(job).ok()?;
        answered.await.ok()
    }

    /// Ends the thread and waits until its connection is closed.
    pub(super) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            // it ends by being dropped
            let _ = ended.await;
        }
    }
}
