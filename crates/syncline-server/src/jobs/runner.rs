//! The task that does jobs: some at a time, each until it is done or was tried often enough.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument as _;

use crate::config::JobConfig;
use crate::hub::clock::Clock;
use crate::jobs::{Bell, Handlers};
use crate::storage::{JobFate, JobTurn, Storage, StoredJob};
use crate::syncline::WeakSyncline;

/// How long to wait before storage that failed is asked again.
const STORAGE_AGAIN: Duration = Duration::from_secs(1);
/// The longest text of a failure that is kept, in characters.
const MAX_WHY: usize = 500;

/// What ends a runner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Jobs are begun.
    Open,
    /// Those under way are finished.
    Closing,
    /// Those under way are broken off.
    Ending,
}

/// A runner, as the hub holds it.
pub(crate) struct Running {
    phase: watch::Sender<Phase>,
    task: JoinHandle<()>,
}

impl Running {
    /// No further job is begun.
    pub(crate) fn close(&self) {
        self.phase.send_replace(Phase::Closing);
    }

    /// Whether none is under way any more, after [`close`](Self::close).
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Breaks off what is under way, and waits until what has become of all others is noted.
    pub(crate) async fn end(self) {
        self.phase.send_replace(Phase::Ending);
        // it ends by itself
        let _ = self.task.await;
    }
}

/// What a builder has of jobs.
pub(crate) struct Jobs {
    pub(crate) handlers: Handlers,
    pub(crate) config: JobConfig,
}

/// Starts the runner. It calls `ended` when it has come to its end.
pub(crate) fn start<S: Storage>(
    jobs: Jobs,
    storage: Arc<S>,
    server: WeakSyncline,
    ended: impl FnOnce() + Send + 'static,
) -> (Running, Bell) {
    let Jobs { handlers, config } = jobs;
    let names: Vec<_> = handlers.handlers.keys().cloned().collect();
    let bell = Bell::new(names.iter().cloned().collect());
    let (phase, watched) = watch::channel(Phase::Open);
    let runner = Runner {
        handlers,
        names,
        config,
        storage,
        server,
        bell: bell.clone(),
        clock: Clock::start(),
        tasks: JoinSet::new(),
        running: BTreeMap::new(),
        turns: Vec::new(),
    };
    let task = tokio::spawn(async move {
        runner.run(watched).await;
        ended();
    });
    (Running { phase, task }, bell)
}

struct Runner<S> {
    handlers: Handlers,
    names: Vec<Box<str>>,
    config: JobConfig,
    storage: Arc<S>,
    server: WeakSyncline,
    bell: Bell,
    clock: Clock,
    tasks: JoinSet<Result<(), String>>,
    /// The jobs under way, by their tasks.
    running: BTreeMap<Id, StoredJob>,
    /// What has become of others and is not noted yet.
    turns: Vec<JobTurn>,
}

impl<S: Storage> Runner<S> {
    async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        self.look_for_strangers().await;
        if self.names.is_empty() {
            return;
        }
        let mut wake = self.look(true).await;
        loop {
            let bell = self.bell.clone();
            tokio::select! {
                () = bell.0.stored.notified() => {}
                () = sleep_until(wake) => {}
                Some(finished) = self.tasks.join_next_with_id() => {
                    let open = *phase.borrow() == Phase::Open;
                    self.finished(finished, open);
                    while let Some(finished) = self.tasks.try_join_next_with_id() {
                        self.finished(finished, open);
                    }
                }
                // an error says that the hub is gone
                changed = phase.changed() => if changed.is_err() {
                    return self.break_off().await;
                }
            }
            let now = *phase.borrow_and_update();
            if now == Phase::Ending {
                return self.break_off().await;
            }
            wake = self.look(now == Phase::Open).await;
            if now == Phase::Closing && self.tasks.is_empty() && self.turns.is_empty() {
                return;
            }
        }
    }

    /// Notes what has become of jobs by now; the others are done anew at the next start.
    async fn break_off(&mut self) {
        if !self.tasks.is_empty() {
            tracing::warn!(jobs = self.tasks.len(), "jobs are broken off, and done anew at the next start");
        }
        self.tasks.abort_all();
        while let Some(finished) = self.tasks.join_next_with_id().await {
            self.finished(finished, false);
        }
        self.look(false).await;
    }

    /// Says in the log which jobs nobody does.
    async fn look_for_strangers(&self) {
        for name in self.storage.job_names().await.unwrap_or_default() {
            self.bell.miss(&name);
        }
    }

    /// Notes what has become of jobs, and begins those that are due. Says when to look again.
    async fn look(&mut self, open: bool) -> Instant {
        let later = |wait| Instant::now() + wait;
        if !self.turns.is_empty() {
            let noting = AssertUnwindSafe(self.storage.turn_jobs(self.turns.clone())).catch_unwind();
            match noting.await {
                Ok(Ok(())) => self.turns.clear(),
                // they are not begun again as long as that is so
                Ok(Err(_)) | Err(_) => return later(STORAGE_AGAIN),
            }
        }
        let room = self.config.at_once.max(1).saturating_sub(self.running.len());
        if !open || room == 0 {
            return self.clock.instant(None);
        }
        let most = room + self.running.len() + 1;
        let waiting = AssertUnwindSafe(self.storage.jobs(&self.names, most)).catch_unwind().await;
        let Ok(Ok(mut jobs)) = waiting else { return later(STORAGE_AGAIN) };
        jobs.retain(|job| !self.running.values().any(|other| other.id == job.id));
        let now = self.clock.now();
        // in the order of the line, wherever the clock may have been when it was joined
        jobs.sort_by_key(|job| (due(job, now), job.due));
        let next_due = jobs.partition_point(|job| due(job, now) <= now).min(room);
        let next = jobs.get(next_due).map(|job| due(job, now));
        for job in jobs.into_iter().take(next_due) {
            self.begin(job);
        }
        // without room the next one begins when one ends
        let next = next.filter(|_| self.running.len() < self.config.at_once.max(1));
        self.clock.instant(next)
    }

    fn begin(&mut self, job: StoredJob) {
        let Some(syncline) = self.server.lend() else { return };
        let Some(handler) = self.handlers.handlers.get(&job.name) else { return };
        let span = tracing::debug_span!("job", name = &*job.name, id = &*job.id);
        // it may panic before there is a future, too
        let doing = std::panic::catch_unwind(AssertUnwindSafe(|| handler(job.clone(), syncline)));
        let within = self.config.within;
        let doing = async move {
            let Ok(doing) = doing else { return Err("the handler panicked".to_owned()) };
            match timeout(within, AssertUnwindSafe(doing).catch_unwind()).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => Err("the handler panicked".to_owned()),
                Err(_) => Err(format!("the handler was not done within {within:?}")),
            }
        };
        let task = self.tasks.spawn(doing.instrument(span));
        self.running.insert(task.id(), job);
    }

    /// One has ended. After closing has begun a failure counts for no try: the server takes no actions any more, and what
    /// the handler needs may be gone.
    fn finished(&mut self, finished: Result<(Id, Result<(), String>), JoinError>, open: bool) {
        let (task, done) = match finished {
            Ok(finished) => finished,
            // it counts for no try
            Err(error) if error.is_cancelled() => return drop(self.running.remove(&error.id())),
            Err(error) => (error.id(), Err("the handler panicked".to_owned())),
        };
        let Some(job) = self.running.remove(&task) else { return };
        let fate = match done {
            Ok(()) => JobFate::Done,
            Err(why) if !open => {
                let (name, id) = (&*job.name, &*job.id);
                return tracing::info!(
                    name,
                    id,
                    why,
                    "a job ended early with the server, and is done anew at the next start"
                );
            }
            Err(why) => self.failed(&job, &why),
        };
        self.turns.push(JobTurn { id: job.id, fate });
    }

    fn failed(&mut self, job: &StoredJob, why: &str) -> JobFate {
        let tries = job.tries.saturating_add(1);
        let why: String = why.chars().take(MAX_WHY).collect();
        let (name, id, space) = (&*job.name, &*job.id, &job.space);
        if tries >= self.config.tries {
            tracing::error!(name, id, %space, tries, why, "a job failed and is not tried any more; it is kept");
            return JobFate::Failed { tries, why };
        }
        let wait = self.config.wait(tries, random());
        tracing::warn!(name, id, %space, tries, ?wait, why, "a job failed and is tried again");
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        JobFate::Again { tries, due: self.clock.now().saturating_add(wait) }
    }
}

/// When a job is due, in Unix ms: at once, unless it was tried. The clock that it was left by may have been ahead.
fn due(job: &StoredJob, now: u64) -> u64 {
    if job.tries == 0 { job.due.min(now) } else { job.due }
}

/// From 0 to 1, at random; without random numbers, the middle.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}
