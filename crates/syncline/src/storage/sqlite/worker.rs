//! A thread with a file of its own.

use std::thread;

use futures::channel::oneshot;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::closed;
use super::file::{Place, Problem, Which};
use crate::{Error, code};

/// What may wait for the thread; whoever has more waits with it.
const WAITING: usize = 64;

type Job = Box<dyn FnOnce(&mut File) + Send>;

/// An open file, and whether it is still the one at its place.
struct File {
    connection: Connection,
    place: Place,
    which: Which,
    /// To be told when it is not.
    lost: Option<oneshot::Sender<Error>>,
}

/// The handle of such a thread. The thread ends with it, after what it was given to do; that closes the file.
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl Worker {
    /// Opens the file. Also gives what is told when it is lost. Dropped before it is open, it leaves nothing open.
    pub(super) async fn start(place: Place) -> Result<(Self, oneshot::Receiver<Error>), Error> {
        let (jobs, waiting) = mpsc::channel::<Job>(WAITING);
        let (tell, told) = oneshot::channel();
        let work = move || {
            let (lost, is_lost) = oneshot::channel();
            let opened = place
                .open()
                .map(|(connection, which)| (File { connection, place, which, lost: Some(lost) }, is_lost));
            match opened {
                Ok((file, is_lost)) => {
                    if tell.send(Ok(is_lost)).is_ok() {
                        serve(file, waiting);
                    }
                }
                // nobody may be waiting any more
                Err(problem) => drop(tell.send(Err(problem.into_opening()))),
            }
        };
        thread::Builder::new().name("syncline-storage".into()).spawn(work).map_err(|error| {
            let message = format!("a thread for storage cannot be started: {error}");
            Error::new(code::STORAGE_UNAVAILABLE, message)
        })?;
        let lost = told.await.unwrap_or_else(|_| Err(closed()))?;
        Ok((Self { jobs }, lost))
    }

    /// Does a piece of work on the thread. Once it is handed over it is done, whether or not somebody waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |file| {
            let _ = answer.send(file.work(work));
        });
        self.jobs.send(job).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn serve(mut file: File, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        job(&mut file);
    }
}

impl File {
    fn work<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T, Problem>) -> Result<T, Error> {
        self.check()?;
        let done = work(&mut self.connection).map_err(Problem::into_failure)?;
        // what was written to a file that nobody will find is not stored
        self.check()?;
        Ok(done)
    }

    /// Whether it is still the file at its place: one that was deleted goes on for whoever has it open, and for nobody else.
    fn check(&mut self) -> Result<(), Error> {
        if self.place.which().is_ok_and(|now| now == self.which) {
            return Ok(());
        }
        let error = Error::new(code::STORAGE_LOST, "somebody has deleted the file that storage was in");
        if let Some(lost) = self.lost.take() {
            let _ = lost.send(error.clone());
        }
        Err(error)
    }
}
