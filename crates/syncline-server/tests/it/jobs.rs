//! Jobs: done once their action is stored, and until they are done.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use syncline_core::Incarnation;
use syncline_server::{
    Builder, Commit, Config, Error, Job, JobId, Memory, NewJob, Sqlite, Storage, Syncline,
};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};

use crate::support::channel::{NoteAction, NoteChannel, ada, add, with_channel};
use crate::support::soon;
use crate::support::ws::Ws;
use crate::support::{Server, channel};

fn leave(job: &str, payload: Value) -> NoteAction {
    NoteAction::Leave { job: job.into(), payload }
}

/// Waits are short, so that failures are tried again at once.
fn hasty() -> Config {
    let mut config = Config::default();
    config.jobs.first_wait = Duration::from_millis(1);
    config.jobs.longest_wait = Duration::from_millis(2);
    config.jobs.tries = 4;
    config
}

/// Tells of each job what its handler was given, and does as `act` says.
fn telling<S: Storage>(
    builder: Builder<S>,
    act: impl Fn(&Job<Value>) -> Result<(), Error> + Send + Sync + 'static,
) -> (Builder<S>, mpsc::UnboundedReceiver<Job<Value>>) {
    let (told, heard) = mpsc::unbounded_channel();
    let builder = builder.job("mail", move |job: Job<Value>| {
        let done = act(&job);
        told.send(job).unwrap();
        std::future::ready(done)
    });
    (builder, heard)
}

/// No job waits any more.
async fn all_done(storage: &impl Storage) {
    let done = async {
        while !storage.job_names().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon(done).await;
}

#[tokio::test]
async fn a_job_is_done_once_its_action_is_stored() {
    let storage = Memory::new();
    let (builder, mut heard) = telling(with_channel(storage.clone()), |_| Ok(()));
    let syncline = builder.build().await.unwrap();
    let payload = json!({ "to": "bob", "text": "Ä" });
    syncline.send_action::<NoteChannel>("list", ada(), leave("mail", payload.clone())).await.unwrap();
    let job = soon(heard.recv()).await.unwrap();
    assert_eq!(
        (job.payload, job.space.as_str(), job.user.as_str(), job.attempt),
        (payload, "list", "ada", 1)
    );
    let image = storage.load(&"list".into()).await.unwrap();
    assert_eq!(*job.id, format!("{}-1-0", image.incarnation.unwrap()));
    assert_eq!(job.at, image.log[0].at);
    all_done(&storage).await;
    assert!(heard.try_recv().is_err(), "and once");
}

#[tokio::test]
async fn a_refused_action_leaves_none() {
    let storage = Memory::new();
    let syncline = with_channel(storage.clone()).build().await.unwrap();
    syncline.send_action::<NoteChannel>("list", ada(), NoteAction::Refuse).await.unwrap_err();
    let large = leave("mail", Value::from("x".repeat(1_000_001)));
    let refused = syncline.send_action::<NoteChannel>("list", ada(), large).await.unwrap_err();
    assert_eq!(refused.error().code(), "too_many");
    assert!(storage.job_names().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_that_fails_is_tried_again_with_the_same_id_until_it_is_done() {
    let storage = Memory::new();
    let act = |job: &Job<Value>| match job.attempt {
        1 => Err(Error::new("no_answer", "nobody answers")),
        2 => panic!("a mistake"),
        _ => Ok(()),
    };
    let (builder, mut heard) = telling(with_channel(storage.clone()).config(hasty()), act);
    let syncline = builder.build().await.unwrap();
    syncline.send_action::<NoteChannel>("list", ada(), leave("mail", json!(1))).await.unwrap();
    let tries = [soon(heard.recv()).await.unwrap(), soon(heard.recv()).await.unwrap()];
    // the second one panicked before it could tell
    assert_eq!(tries.each_ref().map(|job| job.attempt), [1, 3]);
    assert_eq!(tries[0].id, tries[1].id);
    all_done(&storage).await;
}

#[tokio::test]
async fn one_that_always_fails_or_takes_too_long_is_given_up_and_kept() {
    let storage = Memory::new();
    let mut config = hasty();
    config.jobs.within = Duration::from_millis(5);
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let builder = with_channel(storage.clone()).config(config).job("endless", move |_: Job<Value>| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<(), Error>>()
    });
    let syncline =
        builder.job("picky", |_: Job<u8>| std::future::ready(Ok::<_, Error>(()))).build().await.unwrap();
    for job in ["endless", "picky"] {
        syncline.send_action::<NoteChannel>("list", ada(), leave(job, json!("text"))).await.unwrap();
    }
    all_done(&storage).await;
    assert_eq!(tries.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn so_many_are_done_at_a_time_and_one_that_hangs_holds_up_no_others() {
    let mut config = hasty();
    config.jobs.at_once = 3;
    let (gate, running) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new((0, 0))));
    let (passed, counted) = (Arc::clone(&gate), Arc::clone(&running));
    let storage = Memory::new();
    let builder = with_channel(storage.clone()).config(config).job("slow", move |_: Job<Value>| {
        let (gate, running) = (Arc::clone(&passed), Arc::clone(&counted));
        async move {
            {
                let mut running = running.lock().unwrap();
                running.0 += 1;
                running.1 = running.1.max(running.0);
            }
            gate.acquire().await.unwrap().forget();
            running.lock().unwrap().0 -= 1;
            Ok::<_, Error>(())
        }
    });
    let (builder, mut heard) = telling(builder, |_| Ok(()));
    let syncline = builder.build().await.unwrap();
    for n in 0..2 {
        syncline.send_action::<NoteChannel>("list", ada(), leave("slow", json!(n))).await.unwrap();
    }
    for n in 0..10 {
        syncline.send_action::<NoteChannel>("list", ada(), leave("mail", json!(n))).await.unwrap();
    }
    for _ in 0..10 {
        soon(heard.recv()).await.unwrap();
    }
    for n in 0..10 {
        syncline.send_action::<NoteChannel>("list", ada(), leave("slow", json!(n))).await.unwrap();
    }
    gate.add_permits(12);
    all_done(&storage).await;
    assert_eq!(*running.lock().unwrap(), (0, 3));
}

#[tokio::test]
async fn one_without_a_handler_stays_until_there_is_one_and_is_in_nobodys_way() {
    let folder = TempDir::new().unwrap();
    let open = || Sqlite::open(folder.path().join("spaces.db")).unwrap();
    let (builder, mut heard) = telling(with_channel(open()), |_| Ok(()));
    let syncline = builder.build().await.unwrap();
    for n in 0..50 {
        syncline.send_action::<NoteChannel>("list", ada(), leave("later", json!(n))).await.unwrap();
    }
    syncline.send_action::<NoteChannel>("list", ada(), leave("mail", json!(1))).await.unwrap();
    soon(heard.recv()).await.unwrap();
    syncline.shutdown().await;
    drop(syncline);

    let (told, mut heard) = mpsc::unbounded_channel();
    let builder = with_channel(open()).job("later", move |job: Job<u32>| {
        told.send(job.payload).unwrap();
        std::future::ready(Ok::<_, Error>(()))
    });
    let _syncline = builder.build().await.unwrap();
    let mut all = Vec::new();
    while all.len() < 50 {
        all.push(soon(heard.recv()).await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_job_may_act_and_its_actions_happen_once_however_often_it_is_tried() {
    let storage = Memory::new();
    let builder = with_channel(storage.clone()).config(hasty()).job("reply", async |job: Job<Value>| {
        let note = add(&format!("reply-{}", job.attempt));
        let counted = job.syncline.send_action_once::<NoteChannel>(&job.id, job.space, ada(), note).await?;
        assert_eq!(counted.notes, 1);
        if job.attempt < 3 { Err(Error::new("crash", "after the action")) } else { Ok(()) }
    });
    let server = Server::of(builder.build().await.unwrap()).await;
    let (mut bob, _) = Ws::watch(&server, "client-b", "list").await;
    bob.say(&channel::act("client-b", 1, "list", &leave("reply", json!(null)))).await;
    let mut texts = Vec::new();
    while texts.is_empty() {
        texts = bob.hear_one("changes").await.texts().into_iter().map(str::to_owned).collect();
    }
    all_done(&storage).await;
    assert_eq!(texts, ["note reply-1"]);
    assert_eq!(storage.load(&"list".into()).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn one_that_was_left_while_the_clock_was_ahead_is_done_at_once() {
    let storage = Memory::new();
    let incarnation = Incarnation(7);
    let left = |index| NewJob {
        id: JobId { incarnation, version: 1, index },
        name: "mail".into(),
        payload: serde_json::value::to_raw_value(&index).unwrap(),
        user: "ada".into(),
        at: u64::MAX / 2 + u64::from(index),
    };
    let commit = Commit {
        id: 1,
        space: "list".into(),
        incarnation,
        renews: None,
        from: 0,
        to: 1,
        rows: Vec::new(),
        log: Vec::new(),
        clients: Vec::new(),
        forgotten: Vec::new(),
        jobs: (0..5).map(left).collect(),
        log_floor: 0,
    };
    assert_eq!(storage.commit(vec![commit]).await, [Ok(())]);
    let mut config = hasty();
    config.jobs.at_once = 1;
    let (builder, mut heard) = telling(with_channel(storage.clone()).config(config), |_| Ok(()));
    let _syncline = builder.build().await.unwrap();
    for index in 0..5 {
        assert_eq!(
            soon(heard.recv()).await.unwrap().payload,
            json!(index),
            "in the order in which they were left"
        );
    }
}

/// A server whose only job begins and waits to be let through; then it acts, if it is to.
async fn with_gate(within: Duration, acts: bool) -> (Memory, Syncline, Arc<Semaphore>) {
    let (storage, gate, begun) = (Memory::new(), Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (passed, began) = (Arc::clone(&gate), Arc::clone(&begun));
    let config = Config { shutdown_within: within, ..hasty() };
    let builder = with_channel(storage.clone()).config(config).job("slow", move |job: Job<Value>| {
        let (gate, begun) = (Arc::clone(&passed), Arc::clone(&began));
        async move {
            begun.add_permits(1);
            gate.acquire().await.unwrap().forget();
            if acts {
                job.syncline.send_action_once::<NoteChannel>(&job.id, job.space, ada(), add("n1")).await?;
            }
            Ok::<_, Error>(())
        }
    });
    let syncline = builder.build().await.unwrap();
    syncline.send_action::<NoteChannel>("list", ada(), leave("slow", json!(1))).await.unwrap();
    soon(begun.acquire()).await.unwrap().forget();
    (storage, syncline, gate)
}

/// It is stopping as soon as it takes in nothing more.
async fn takes_nothing(syncline: &Syncline) {
    soon(async { while syncline.send_action::<NoteChannel>("list", ada(), add("n0")).await.is_ok() {} })
        .await;
}

#[tokio::test]
async fn a_shutdown_waits_for_the_jobs_under_way() {
    let (storage, syncline, gate) = with_gate(Duration::from_secs(60), false).await;
    let mut stopping = Box::pin(syncline.shutdown());
    tokio::select! {
        () = &mut stopping => panic!("it waits for the job"),
        () = takes_nothing(&syncline) => {}
    }
    assert_eq!(storage.job_names().await.unwrap(), ["slow".into()]);
    gate.add_permits(1);
    soon(stopping).await;
    assert!(storage.job_names().await.unwrap().is_empty(), "it is done, and noted");
}

#[tokio::test]
async fn one_whose_action_comes_after_a_shutdown_has_begun_has_not_failed() {
    let (storage, syncline, gate) = with_gate(Duration::from_secs(60), true).await;
    let mut stopping = Box::pin(syncline.shutdown());
    tokio::select! {
        () = &mut stopping => panic!("it waits for the job"),
        () = takes_nothing(&syncline) => {}
    }
    gate.add_permits(1);
    soon(stopping).await;
    let waiting = storage.jobs(&["slow".into()], 1).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].tries), (1, 0), "it is done at the next start");
}

#[tokio::test]
async fn one_that_takes_longer_than_a_shutdown_is_done_after_it() {
    let (storage, syncline, _gate) = with_gate(Duration::from_millis(200), false).await;
    soon(syncline.shutdown()).await;
    let waiting = storage.jobs(&["slow".into()], 1).await.unwrap();
    assert_eq!(waiting[0].tries, 0, "being broken off is no failure");
}

#[test]
#[should_panic(expected = "there are two handlers of jobs with the name \"mail\"")]
fn two_handlers_of_one_name_are_a_mistake() {
    let done = |_: Job<Value>| std::future::ready(Ok::<_, Error>(()));
    let _ = Syncline::builder().job("mail", done).job("mail", done);
}
