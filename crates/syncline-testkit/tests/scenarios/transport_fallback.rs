use std::time::Duration;

use syncline_core::client::{Status, Transport};
use syncline_testkit::for_each_seed;

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

#[test]
fn where_websockets_are_refused_streaming_is_used_without_delay_and_remembered() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").refuse(Transport::WebSocket, true);
        let at_a = sim.client("a").watch(all_todos());
        // two attempts and two handshakes; no wait between them
        assert!(sim.until_within(Duration::from_millis(250), |sim| sim.status(at_a) == Status::Live));
        assert_eq!(sim.connection("a").transport, Some(Transport::Sse));
        assert_eq!(sim.client("a").remembered(), Some(Transport::Sse));
        let write = sim.client("a").put(HOME, &todo(1));
        sim.until(|sim| sim.verdict(write).is_some());

        sim.client("a").cut();
        sim.until(|sim| sim.status(at_a) != Status::Live);
        sim.until(|sim| sim.status(at_a) == Status::Live);
        assert_eq!(sim.connection("a").transport, Some(Transport::Sse));
        assert_eq!(ids(&sim, at_a), ["1"]);
    });
}

#[test]
fn where_nothing_refuses_them_websockets_are_used() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.settle();
        assert_eq!(sim.connection("a").transport, Some(Transport::WebSocket));
        assert_eq!(sim.client("a").remembered(), Some(Transport::WebSocket));
    });
}

#[test]
fn a_transport_that_worked_is_left_when_it_no_longer_does() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").refuse(Transport::WebSocket, true);
        sim.client("a").cut();
        assert!(sim.until_within(Duration::from_secs(60), |sim| {
            sim.status(at_a) == Status::Live && sim.connection("a").transport == Some(Transport::Sse)
        }));
    });
}

#[test]
fn a_server_that_is_merely_away_is_found_again_over_either() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.crash_server();
        let at_a = sim.client("a").watch(all_todos());
        sim.run_for(Duration::from_secs(30));
        assert_eq!(sim.status(at_a), Status::Reconnecting);
        sim.settle();
        assert_eq!(sim.status(at_a), Status::Live);
    });
}
