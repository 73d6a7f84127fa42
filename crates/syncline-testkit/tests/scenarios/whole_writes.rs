use std::time::Duration;

use syncline_core::Record;
use syncline_testkit::{Faults, for_each_seed};

use crate::model::{HOME, Half, ann_and_bob, is_whole, nothing, whole};

#[test]
fn nobody_ever_sees_half_of_a_write() {
    for_each_seed(40, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(Half::in_space(HOME));
        sim.client("b").watch(Half::in_space(HOME).filter(Half::side.eq("right")));
        let at_b = sim.client("b").watch(Half::in_space(HOME));
        let large = sim.client("b").watch(Half::in_space(HOME).filter(Half::value.ge(25)));
        sim.client("b").watch(Half::in_space(HOME).filter(Half::side.eq("left")));
        let ordered = sim.client("b").watch(Half::in_space(HOME).order_by(Half::value.desc()));
        sim.always("views are whole", move |sim| {
            [at_a, at_b, large, ordered].into_iter().try_for_each(|watch| is_whole(&sim.rows(watch)))
        });
        sim.set_faults(Faults { crash: 0.03, ..Faults::rough_network() });
        for value in 0..50 {
            let client = *sim.rng().pick(&["a", "b"]);
            let name = (*sim.rng().pick(&["x", "y", "z"])).to_owned();
            let ops = if sim.rng().chance(0.25) { nothing(&name) } else { whole(&name, value) };
            sim.client(client).write(HOME, ops).unwrap();
            let wait = sim.rng().duration(Duration::from_millis(300));
            sim.run_for(wait);
        }
        sim.settle();
        is_whole(&sim.server_rows(&Half::in_space(HOME))).unwrap();
    });
}

#[test]
fn not_even_while_several_lists_come_back_one_after_the_other() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        // the left halves are in two lists of b, and come back with the first
        sim.client("b").watch(Half::in_space(HOME).filter(Half::side.eq("left")));
        let all = sim.client("b").watch(Half::in_space(HOME));
        sim.client("b").watch(Half::in_space(HOME).filter(Half::side.eq("right")));
        sim.always("the list of all is whole", move |sim| is_whole(&sim.rows(all)));
        for round in 0..5 {
            sim.client("a").write(HOME, whole("x", round)).unwrap();
            sim.settle();
            sim.client("b").cut();
            sim.client("a").write(HOME, whole("x", 100 + round)).unwrap();
        }
        sim.settle();
    });
}
