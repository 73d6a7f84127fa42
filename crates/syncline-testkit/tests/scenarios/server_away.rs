use std::time::Duration;

use syncline_core::client::Status;
use syncline_core::space::Config;
use syncline_core::{Record, RowState};
use syncline_testkit::{Path, for_each_seed};

use crate::model::{HOME, Todo, all_todos, app, ids, long_todo, todo};

#[test]
fn while_the_server_is_away_nobody_knocks_all_the_time() {
    for_each_seed(10, |seed| {
        let mut sim = app(seed).client("a", "ann").build();
        sim.limit_attempts_a_minute(20);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.crash_server();
        sim.run_for(Duration::from_secs(60));
        for _ in 0..20 {
            sim.run_for(Duration::from_secs(60));
            // waits of up to 30 s, 15 s on average
            assert!(sim.attempts_in_the_last_minute("a") <= 12);
        }
        sim.start_server();
        assert!(sim.until_within(Duration::from_secs(31), |sim| sim.status(at_a) == Status::Live));
    });
}

#[test]
fn a_hundred_clients_do_not_come_back_at_the_same_moment() {
    let mut builder = app(1);
    for number in 0..100 {
        builder = builder.client(&format!("c{number}"), "ann");
    }
    let mut sim = builder.build();
    for number in 0..100 {
        sim.client(&format!("c{number}")).watch(all_todos());
    }
    sim.settle();
    sim.crash_server();
    sim.run_for(Duration::from_secs(90));
    sim.start_server();
    let mut most = 0;
    for _ in 0..31 {
        let before = sim.gauges().connections;
        sim.run_for(Duration::from_secs(1));
        most = most.max(sim.gauges().connections - before);
    }
    assert_eq!(sim.gauges().connections, 100);
    assert!(most <= 20, "{most} came within one second");
}

#[test]
fn a_person_who_is_asked_to_wait_need_not() {
    for_each_seed(5, |seed| {
        let mut sim = app(seed).client("a", "ann").build();
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.crash_server();
        sim.run_for(Duration::from_secs(300));
        sim.start_server();
        if seed % 2 == 0 {
            sim.client("a").retry_now()
        } else {
            sim.client("a").hint_online(true)
        }
        assert!(sim.until_within(Duration::from_millis(300), |sim| sim.status(at_a) == Status::Live));
    });
}

#[test]
fn what_is_written_meanwhile_stays_on_the_screen_through_the_reconnect() {
    for_each_seed(20, |seed| {
        let mut sim = app(seed).client("a", "ann").client("b", "bob").build();
        let at_a = sim.client("a").watch(all_todos());
        sim.client("b").watch(all_todos());
        sim.settle();
        sim.crash_server();
        for id in 1..=5 {
            sim.client("a").put(HOME, &todo(id));
            sim.client("b").put(HOME, &todo(format!("b{id}")));
        }
        sim.always("nothing that a has written leaves its screen", move |sim| {
            let ids = ids(sim, at_a);
            let missing = (1..=5).find(|id| !ids.contains(&id.to_string()));
            missing.map_or(Ok(()), |id| Err(format!("{id} is missing in {ids:?}")))
        });
        sim.run_for(Duration::from_secs(20));
        sim.settle();
        assert_eq!(sim.rows(at_a).len(), 10);
        assert_eq!(sim.status(at_a), Status::Live);
    });
}

#[test]
fn own_rows_do_not_flicker_while_a_slow_list_comes_before_theirs() {
    for_each_seed(10, |seed| {
        let config = Config { chunk_bytes: 4 * 1024, ..Config::default() };
        let mut sim = app(seed).config(config).client("a", "ann").client("b", "bob").build();
        let long: Vec<_> = (0..100).map(long_todo).collect();
        sim.client("b").put_all("archive", &long);
        sim.client("b").put_all(HOME, &long);
        sim.settle();
        let path = Path { bytes_per_second: Some(100_000), ..Path::default() };
        sim.client("a").set_path(path);
        // with a limit, each comes back as a whole snapshot, one after the other
        sim.client("a").watch(Todo::in_space("archive").limit(1_000));
        sim.client("a").watch(all_todos().filter(Todo::position.lt(1_000)).limit(1_000));
        let own = sim.client("a").watch(all_todos().filter(Todo::text.lt("w")).limit(1_000));
        sim.settle();
        sim.client("a").go_offline();
        for id in 1..=3 {
            sim.client("a").put(HOME, &todo(id));
        }
        sim.always("all three are there", move |sim| match sim.rows(own).len() {
            3 => Ok(()),
            other => Err(format!("{other} are")),
        });
        sim.client("a").go_online();
        sim.settle();
        assert!(sim.entries(own).iter().all(|entry| entry.state == RowState::Confirmed));
    });
}

#[test]
fn an_own_row_does_not_flicker_in_a_list_that_was_just_opened() {
    for_each_seed(10, |seed| {
        let mut sim = app(seed).client("a", "ann").build();
        sim.client("a").watch(all_todos());
        sim.settle();
        sim.slow_disk(Duration::from_millis(30));
        sim.client("a").put(HOME, &todo(1));
        let wait = sim.rng().duration(Duration::from_millis(100));
        sim.run_for(wait);
        let own = sim.client("a").watch(all_todos().limit(5));
        let since = sim.rows(own).len();
        sim.always("what was there stays", move |sim| {
            if sim.rows(own).len() < since { Err("it is gone".into()) } else { Ok(()) }
        });
        sim.settle();
        assert_eq!(ids(&sim, own), ["1"]);
    });
}
