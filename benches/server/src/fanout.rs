//! One sender, many subscribers: how many deliveries a second, how late they are, and what an idle connection costs.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use crate::process::{Server, own_cpu};
use crate::report::Report;
use crate::serve::Contender;
use crate::socket::Socket;
use crate::text;

/// How many subscribers, how many changes as fast as they go, how many at a pace, and which pace.
const PLANS: [(usize, usize, usize, Duration); 2] =
    [(1_000, 300, 40, Duration::from_millis(100)), (10_000, 40, 12, Duration::from_millis(1_000))];
const ROUNDS: usize = 3;

/// What the subscribers have seen.
#[derive(Default)]
struct Seen {
    sent: Vec<Instant>,
    late: Vec<Duration>,
    deliveries: usize,
    wanted: usize,
    done: Rc<Notify>,
}

pub(crate) fn run(report: &mut Report, contenders: &[Contender]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (subscribers, fast, paced, pace) in PLANS {
        let mut figures: Vec<_> =
            contenders.iter().map(|&contender| (contender, Vec::<[f64; 6]>::new())).collect();
        for _ in 0..ROUNDS {
            for (contender, rounds) in &mut figures {
                let round = round(*contender, subscribers, fast, paced, pace);
                rounds.push(runtime.block_on(LocalSet::new().run_until(round))?);
            }
        }
        let what = [
            ("deliveries a second", "/s"),
            ("a delivery, p50", "ms"),
            ("a delivery, p99", "ms"),
            ("an idle connection", "KiB"),
            ("CPU of the server for the deliveries", "ms"),
            ("CPU of the load for the deliveries", "ms"),
        ];
        for (index, (what, unit)) in what.into_iter().enumerate() {
            for (contender, rounds) in &figures {
                // a process that has no state per connection says nothing about that
                if index != 3 || *contender != Contender::Bytes {
                    let runs = rounds.iter().map(|round| round[index]).collect();
                    report.add(format!("{subscribers} subscribers: {what}"), contender.name(), runs, unit);
                }
            }
        }
    }
    Ok(())
}

async fn round(
    contender: Contender,
    subscribers: usize,
    fast: usize,
    paced: usize,
    pace: Duration,
) -> Result<[f64; 6]> {
    let server = Server::start(contender, None)?;
    let mut sender = Socket::connect(server.address).await?;
    greet(contender, &mut sender, 0).await?;
    let before = server.resident()?;
    let seen = Rc::new(RefCell::new(Seen::default()));
    for number in 1..=subscribers {
        let mut socket = Socket::connect(server.address).await?;
        greet(contender, &mut socket, number).await?;
        spawn_local(listen(socket, Rc::clone(&seen)));
    }
    sleep(Duration::from_secs(2)).await;
    let idle = (server.resident()? - before) / subscribers as f64 / 1024.0;
    let mut number = 0;

    let (server_before, load_before) = (server.cpu()?, own_cpu()?);
    let start = Instant::now();
    let done = expect(&seen, subscribers * fast);
    for _ in 0..fast {
        number += 1;
        change(contender, &mut sender, number, &seen).await?;
        // the next one when the server has done with this one, as far as its sender can tell
        heard(&mut sender, contender).await?;
    }
    done.notified().await;
    let took = start.elapsed();
    let cpu = (server.cpu()? - server_before, own_cpu()? - load_before);

    seen.borrow_mut().late.clear();
    let done = expect(&seen, subscribers * paced);
    for _ in 0..paced {
        let next = Instant::now() + pace;
        number += 1;
        change(contender, &mut sender, number, &seen).await?;
        heard(&mut sender, contender).await?;
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
    done.notified().await;
    let mut late: Vec<f64> = seen.borrow().late.iter().map(|late| late.as_secs_f64() * 1e3).collect();
    late.sort_by(f64::total_cmp);
    let per_second = (subscribers * fast) as f64 / took.as_secs_f64();
    let ms = |cpu: Duration| cpu.as_secs_f64() * 1e3;
    Ok([per_second, late[late.len() / 2], late[late.len() * 99 / 100], idle, ms(cpu.0), ms(cpu.1)])
}

/// Tells when so many more deliveries have come.
fn expect(seen: &RefCell<Seen>, deliveries: usize) -> Rc<Notify> {
    let mut seen = seen.borrow_mut();
    (seen.deliveries, seen.wanted) = (0, deliveries);
    Rc::clone(&seen.done)
}

async fn greet(contender: Contender, socket: &mut Socket, number: usize) -> Result<()> {
    if contender == Contender::Syncline {
        let hello = format!(r#"{{"hello":{{"protocol":1,"client":"bench-{number:06}"}}}}"#);
        socket.send(&hello).await?;
        socket.next().await?;
        let query = r#"{"space":"bench","collection":"items"}"#;
        socket.send(&format!(r#"{{"subscribe":{{"sub":1,"query":{query}}}}}"#)).await?;
        socket.next().await?;
    }
    Ok(())
}

async fn change(
    contender: Contender,
    sender: &mut Socket,
    number: usize,
    seen: &RefCell<Seen>,
) -> Result<()> {
    let text = text(number);
    let message = match contender {
        Contender::Syncline => {
            let action = format!(r#"{{"Put":{{"id":"one","text":"{text}"}}}}"#);
            let payload = format!(r#"{{"channel":"items","action":{action}}}"#);
            format!(
                r#"{{"write":{{"space":"bench","client":"bench-000000","id":{number},"settled":{},"kind":"action","payload":{payload}}}}}"#,
                number - 1
            )
        }
        _ => text,
    };
    seen.borrow_mut().sent.push(Instant::now());
    sender.send(&message).await
}

/// The sender hears of its own change.
async fn heard(sender: &mut Socket, contender: Contender) -> Result<()> {
    while number(sender.next().await?).is_none() {
        assert_ne!(contender, Contender::Axum, "it sends nothing else");
    }
    Ok(())
}

async fn listen(mut socket: Socket, seen: Rc<RefCell<Seen>>) {
    while let Ok(message) = socket.next().await {
        if let Some(number) = number(message) {
            let mut seen = seen.borrow_mut();
            let late = seen.sent[number - 1].elapsed();
            seen.late.push(late);
            seen.deliveries += 1;
            if seen.deliveries == seen.wanted {
                seen.done.notify_one();
            }
        }
    }
}

/// Which change a message brings.
fn number(message: &[u8]) -> Option<usize> {
    let start = message.iter().rposition(|&byte| byte == b'#')? + 1;
    std::str::from_utf8(message.get(start..start + 8)?).ok()?.parse().ok()
}
