use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use syncline_core::space::Who;
use syncline_core::{Channel, Draft, Error, RowState, Tx};
use syncline_testkit::{CrashPoint, Direction, Fault, Faults, Sim, Write, for_each_seed};

use crate::model::{HOME, Todo, all_todos, app, todo};

/// A list that people take numbers in.
struct Numbers;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Take {
    /// Moves a to-do up by one; gives back where it is then.
    Up(String),
    /// What the server always refuses, though the client expects it to be done.
    Wish(String),
}

impl Channel for Numbers {
    const NAME: &'static str = "numbers";
    type Record = Todo;
    type Action = Take;
    type Output = i64;
    type Error = Error;

    fn reduce(todos: &mut Draft<'_, Todo>, action: &Take) {
        let (Take::Up(id) | Take::Wish(id)) = action;
        todos.update(id, |todo| todo.position += 1);
    }
}

fn take(tx: &mut Tx<'_>, action: Take, who: &Who<'_>) -> Result<i64, Error> {
    Numbers::reduce(&mut tx.rows(), &action);
    let (Take::Up(id) | Take::Wish(id)) = &action;
    let position = tx.rows::<Todo>().get(id).map_or(0, |todo| todo.position);
    tx.enqueue("taken", &(who.user, position));
    match action {
        Take::Up(_) => Ok(position),
        Take::Wish(_) => Err(Error::new("only_a_wish", "This cannot be.")),
    }
}

/// Ann and Bob at one to-do, which is there.
fn ann_and_bob(seed: u64) -> Sim {
    let mut sim = app(seed).channel::<Numbers>(take).client("a", "ann").client("b", "bob").build();
    sim.client("a").put(HOME, &todo(1));
    sim.settle();
    sim
}

fn up(sim: &mut Sim, client: &str) -> Write {
    sim.client(client).act::<Numbers>(HOME, Take::Up("1".into())).unwrap()
}

#[test]
fn actions_over_a_network_that_loses_and_breaks_happen_once_and_say_what_they_gave() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        let (at_a, at_b) = (sim.client("a").watch(all_todos()), sim.client("b").watch(all_todos()));
        sim.settle();
        sim.set_faults(Faults { crash: 0.02, disk_failure: 0.05, ..Faults::rough_network() });
        let (mut ups, mut wishes) = (Vec::new(), Vec::new());
        for round in 0..15 {
            ups.push(up(&mut sim, "a"));
            ups.push(up(&mut sim, "b"));
            let wisher = if round % 2 == 0 { "a" } else { "b" };
            wishes.push(sim.client(wisher).act::<Numbers>(HOME, Take::Wish("1".into())).unwrap());
            sim.step();
        }
        sim.settle();
        // each took a number of its own, and together they took all of them
        let taken: BTreeSet<i64> = ups.iter().map(|up| sim.output::<Numbers>(*up).unwrap()).collect();
        assert_eq!(taken, (1..=30).collect());
        for wish in wishes {
            assert_eq!(sim.verdict(wish).unwrap().as_ref().unwrap_err().code(), "only_a_wish");
        }
        for watch in [at_a, at_b] {
            assert_eq!(sim.entries(watch)[0].record.position, 30);
            assert_eq!(sim.entries(watch)[0].state, RowState::Confirmed);
        }
        assert_eq!(sim.server_version(HOME), 31);
        assert_eq!(sim.server_jobs(HOME).len(), 30, "and each left its job");
    });
}

#[test]
fn an_output_whose_acknowledgement_was_lost_is_told_all_the_same() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").meddle(Direction::ToClient, "changes", Fault::Cut);
        let write = up(&mut sim, "a");
        sim.until(|sim| sim.server_version(HOME) == 2);
        assert_eq!(sim.output::<Numbers>(write), None);
        sim.settle();
        assert_eq!((sim.output::<Numbers>(write), sim.server_version(HOME)), (Some(1), 2));
    });
}

#[test]
fn a_server_that_dies_with_the_answer_in_hand_gives_the_same_one_afterwards() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.settle();
        for (point, expected) in [(CrashPoint::AfterDurable, 1), (CrashPoint::BeforeDurable, 2)] {
            sim.crash_at_next_commit(point);
            let write = up(&mut sim, "a");
            sim.until(|sim| !sim.server_is_up());
            sim.start_server();
            sim.settle();
            assert_eq!(sim.output::<Numbers>(write), Some(expected));
        }
        assert_eq!(sim.server_jobs(HOME).len(), 2);
    });
}
