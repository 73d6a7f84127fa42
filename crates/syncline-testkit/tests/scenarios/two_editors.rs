use std::time::Duration;

use syncline_testkit::for_each_seed;

use crate::model::{HOME, Todo, all_todos, ann_and_bob, todo};

#[test]
fn two_people_change_different_fields_of_one_row_and_both_survive() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.client("a").put(HOME, &todo(1));
        sim.settle();

        if seed % 2 == 0 {
            sim.client("b").go_offline();
        }
        sim.client("a").update::<Todo>(HOME, "1", |todo| todo.text = "from a".into()).unwrap();
        sim.client("b").update::<Todo>(HOME, "1", |todo| todo.done = true).unwrap();
        assert_eq!((sim.rows(at_a)[0].done, &*sim.rows(at_b)[0].text), (false, "todo 1"));
        sim.run_for(Duration::from_secs(1));
        sim.client("b").go_online();
        sim.settle();
        assert_eq!(sim.rows(at_a), [Todo { text: "from a".into(), done: true, ..todo(1) }]);
        assert_eq!(sim.rows(at_a), sim.rows(at_b));
    });
}

#[test]
fn two_people_change_one_field_and_all_agree_on_the_later_one() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.client("a").put(HOME, &todo(1));
        sim.settle();
        sim.client("a").update::<Todo>(HOME, "1", |todo| todo.text = "from a".into()).unwrap();
        sim.client("b").update::<Todo>(HOME, "1", |todo| todo.text = "from b".into()).unwrap();
        sim.settle();
        assert_eq!(sim.rows(at_a), sim.rows(at_b));

        // who comes back later writes later
        sim.client("b").go_offline();
        sim.client("b").update::<Todo>(HOME, "1", |todo| todo.text = "b, offline".into()).unwrap();
        sim.client("a").update::<Todo>(HOME, "1", |todo| todo.text = "a, meanwhile".into()).unwrap();
        sim.run_for(Duration::from_secs(1));
        assert_eq!(sim.rows(at_b)[0].text, "b, offline");
        sim.client("b").go_online();
        sim.settle();
        assert_eq!(sim.rows(at_a)[0].text, "b, offline");
    });
}

#[test]
fn a_change_of_a_row_that_somebody_else_deletes_is_refused_with_the_reason() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.client("a").put(HOME, &todo(1));
        sim.settle();
        sim.client("b").go_offline();
        let change = sim.client("b").update::<Todo>(HOME, "1", |todo| todo.done = true).unwrap().unwrap();
        sim.client("a").delete::<Todo>(HOME, "1");
        sim.run_for(Duration::from_secs(1));
        sim.client("b").go_online();
        sim.settle();
        assert_eq!(sim.verdict(change).unwrap().as_ref().unwrap_err().code(), "unknown_row");
        assert!(sim.rows(at_a).is_empty() && sim.rows(at_b).is_empty());
    });
}
