//! The client's store: frames in, rows decoded, diffs out to one subscriber.

#![allow(missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use syncline_benches::{Item, Store};

fn snapshots(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/snapshot");
    group.sample_size(20);
    for (count, name) in [(1_000, "1k"), (10_000, "10k"), (100_000, "100k")] {
        let frames = Store::snapshot_frames(count);
        group.throughput(Throughput::Elements(count));
        group.bench_function(name, |b| {
            b.iter_batched(
                Store::new,
                |mut store| {
                    for frame in &frames {
                        store.feed(frame);
                    }
                    store
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn filled(count: u64) -> Store {
    let mut store = Store::new();
    for frame in Store::snapshot_frames(count) {
        store.feed(&frame);
    }
    assert_eq!(store.len() as u64, count);
    store
}

fn changes(c: &mut Criterion) {
    for (count, name) in [(1_000, "1k"), (10_000, "10k"), (100_000, "100k")] {
        let mut store = filled(count);
        let mut number = 0_u64;
        let mut next = || {
            // a prime step visits rows all over the list
            number = number.wrapping_add(7_919);
            number
        };
        c.bench_function(&format!("store/update/{name}"), |b| {
            b.iter_custom(|times| {
                let mut total = std::time::Duration::ZERO;
                for _ in 0..times {
                    let revision = next();
                    let frame = store.put_frame(&Item::new(revision % count, revision));
                    let start = std::time::Instant::now();
                    store.feed(&frame);
                    total += start.elapsed();
                }
                total
            });
        });
        if count == 1_000 {
            continue;
        }
        // each row goes in among the newest third and out again, so that the list stays as long as it is
        let middle =
            |revision: u64| Item { id: format!("extra-{revision}"), ..Item::new(count * 2 / 3, revision) };
        for (what, inserts) in [("insert", true), ("delete", false)] {
            c.bench_function(&format!("store/{what}/{name}"), |b| {
                b.iter_custom(|times| {
                    let mut total = std::time::Duration::ZERO;
                    for _ in 0..times {
                        let item = middle(next());
                        let insert = store.put_frame(&item);
                        let start = std::time::Instant::now();
                        store.feed(&insert);
                        let inserted = start.elapsed();
                        let delete = store.delete_frame(&item);
                        let start = std::time::Instant::now();
                        store.feed(&delete);
                        total += if inserts { inserted } else { start.elapsed() };
                    }
                    total
                });
            });
        }
    }
}

/// A row is edited and the edit confirmed, while other writes wait: what they cost must not grow with their number.
fn optimistic(c: &mut Criterion) {
    const ROWS: u64 = 10_000;
    for (waiting, name) in [(0, "0 pending"), (1_000, "1k pending"), (9_000, "9k pending")] {
        let mut store = filled(ROWS);
        for number in 0..waiting {
            store.write(&Item::new(number, 1));
        }
        let mut revision = 1;
        c.bench_function(&format!("store/edit and confirm/{name}"), |b| {
            b.iter_custom(|times| {
                let mut total = std::time::Duration::ZERO;
                for _ in 0..times {
                    revision += 1;
                    let item = Item::new(ROWS - 1 - revision % 500, revision);
                    let start = std::time::Instant::now();
                    store.write(&item);
                    let written = start.elapsed();
                    let frame = store.confirm_frame(&item);
                    let start = std::time::Instant::now();
                    store.feed(&frame);
                    total += written + start.elapsed();
                }
                total
            });
        });
    }
}

criterion_group!(benches, snapshots, changes, optimistic);
criterion_main!(benches);
