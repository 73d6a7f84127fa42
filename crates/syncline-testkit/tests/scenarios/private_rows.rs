use std::time::Duration;

use syncline_core::Record;
use syncline_testkit::for_each_seed;

use crate::model::{HOME, Note, app, note};

#[test]
fn private_rows_never_leave_the_server_for_anybody_else() {
    for_each_seed(20, |seed| {
        let mut sim = app(seed).client("a", "ann").client("a2", "ann").client("b", "bob").build();
        sim.client("b").must_never_be_sent("ann's secret");
        sim.client("a").must_never_be_sent("bob's secret");
        sim.client("a2").must_never_be_sent("bob's secret");
        let at_a = sim.client("a").watch(Note::in_space(HOME));
        let at_a2 = sim.client("a2").watch(Note::in_space(HOME).limit(2));
        let at_b = sim.client("b").watch(Note::in_space(HOME));
        for round in 0..20 {
            let (client, owner) = *sim.rng().pick(&[("a", "ann"), ("a2", "ann"), ("b", "bob")]);
            let id = format!("{owner}-{}", sim.rng().below(4));
            if sim.rng().chance(0.3) {
                sim.client(client).delete::<Note>(HOME, &id);
            } else {
                sim.client(client).put(HOME, &note(&id, owner, &format!("{owner}'s secret, {round}")));
            }
            let wait = sim.rng().duration(Duration::from_millis(80));
            sim.run_for(wait);
            if round % 7 == 6 {
                let whose = *sim.rng().pick(&["a", "a2", "b"]);
                sim.client(whose).cut();
            }
        }
        sim.settle();
        assert!(sim.rows(at_a).iter().chain(&sim.rows(at_a2)).all(|note| note.owner == "ann"));
        assert!(sim.rows(at_b).iter().all(|note| note.owner == "bob"));
        assert_eq!(sim.rows(at_a).len() + sim.rows(at_b).len(), sim.server_rows(&Note::in_space(HOME)).len());
    });
}

#[test]
fn who_tries_to_take_somebody_elses_row_is_refused_and_learns_nothing() {
    for_each_seed(5, |seed| {
        let mut sim = app(seed).client("a", "ann").client("b", "bob").build();
        sim.client("b").must_never_be_sent("ann's secret");
        let at_a = sim.client("a").watch(Note::in_space(HOME));
        sim.client("a").put(HOME, &note("n", "ann", "ann's secret"));
        sim.settle();
        let taken = sim.client("b").put(HOME, &note("n", "bob", "mine now"));
        let deleted = sim.client("b").delete::<Note>(HOME, "n");
        sim.settle();
        assert_eq!(sim.verdict(taken).unwrap().as_ref().unwrap_err().code(), "not_yours");
        assert_eq!(sim.verdict(deleted).unwrap().as_ref().unwrap_err().code(), "not_yours");
        assert_eq!(sim.rows(at_a), [note("n", "ann", "ann's secret")]);
    });
}

#[test]
fn a_row_that_changes_hands_leaves_one_screen_and_enters_the_other() {
    // the rules of this application let nobody give a note away: these do
    for_each_seed(10, |seed| {
        let policy = syncline_testkit::Policy::new().read::<Note>(|user, _, note| user.id == *note.owner);
        let mut sim = syncline_testkit::Sim::builder(seed).record::<Note>().access(policy);
        sim = sim.client("a", "ann").client("b", "bob");
        let mut sim = sim.build();
        let at_a = sim.client("a").watch(Note::in_space(HOME));
        let at_b = sim.client("b").watch(Note::in_space(HOME));
        sim.client("a").put(HOME, &note("n", "ann", "a gift"));
        sim.settle();
        assert_eq!((sim.rows(at_a).len(), sim.rows(at_b).len()), (1, 0));
        if seed % 2 == 0 {
            sim.client("b").cut();
        }
        sim.client("a").update::<Note>(HOME, "n", |note| note.owner = "bob".into()).unwrap();
        sim.settle();
        assert_eq!((sim.rows(at_a).len(), sim.rows(at_b).len()), (0, 1));
    });
}
