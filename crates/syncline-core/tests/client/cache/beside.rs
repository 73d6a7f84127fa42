//! Lists of one collection that come back from storage beside each other, each from where it stood.

use super::*;
use syncline_core::client::WatchId;

fn text(text: &str) -> Todo {
    Todo { text: text.into(), ..Todo::new("000", 0) }
}

impl Rig {
    /// A list that comes back with these rows, as they were at a version.
    fn back(&mut self, query: &Query<Todo>, rows: &[Todo], version: u64) -> WatchId {
        let stored = left(|_| {}, query, rows, version);
        let watch = self.watch(query);
        let load = self.load();
        self.loaded(load, Some("ann"), Some(&stored));
        watch
    }

    /// Where each list says that it stands.
    fn stands(&mut self) -> Vec<Option<u64>> {
        self.connect();
        self.subscribes().iter().map(|asked| asked["cursor"]["version"].as_u64()).collect()
    }
}

#[test]
fn a_newer_list_beside_an_older_one_is_held_until_the_server_has_completed_it() {
    let mut rig = rig();
    rig.back(&all().limit(1), &[text("old")], 5);
    let newer = rig.back(&open(), &[text("new"), Todo::new("more", 3)], 10);
    assert!(rig.shown(newer).is_empty(), "half of a write could be in it");
    assert_eq!(rig.stands(), [Some(5), Some(5)], "its row is as old as it is in the other one");
}

#[test]
fn a_row_is_asked_for_from_where_the_list_stands_that_has_it() {
    let mut rig = rig();
    rig.back(&all().limit(1), &[text("old")], 5);
    // one that is ahead, and has not the row that the two others do not agree on
    rig.back(&all().filter(Todo::position.eq(1)), &[Todo::new("x", 1)], 20);
    rig.back(&open(), &[text("new")], 10);
    assert_eq!(rig.stands(), [Some(5), Some(20), Some(5)]);
}

#[test]
fn rows_that_others_do_not_have_stay_as_they_were_kept() {
    let mut rig = rig();
    rig.back(&all().limit(1), &[text("same")], 5);
    let list = rig.back(&open(), &[text("same"), Todo::new("more", 3)], 10);
    assert_eq!(rig.shown(list), ["000", "more"]);
    assert_eq!(rig.stands(), [Some(5), Some(10)]);
}

#[test]
fn lists_that_did_not_agree_are_shown_to_somebody_else_too() {
    let mut rig = rig();
    let first = rig.visit(&all().limit(1));
    rig.snapshot(1, &[Todo::new("hers", 1)]);
    let second = rig.watch(&open());
    rig.snapshot(2, &[Todo::new("hers", 1)]);
    rig.welcome_as("bob");
    let loads = rig.loads();
    assert_eq!(loads.len(), 2);
    for (load, user, query) in loads {
        let (text, version) = if query == *open().spec() { (text("old"), 5) } else { (text("new"), 9) };
        let query = if version == 5 { open() } else { all().limit(1) };
        rig.loaded(load, user.as_ref().map(UserId::as_str), Some(&left(|_| {}, &query, &[text], version)));
    }
    assert_eq!((rig.shown(first).len(), rig.shown(second).len()), (1, 0), "the older one is held");
    rig.wait(Duration::from_millis(1));
    rig.accept();
    rig.drain();
    rig.welcome_as("bob");
    rig.version = 9;
    for asked in rig.subscribes() {
        let resume =
            json!({"resume": {"chunk": 0, "last": true, "sub": asked["sub"], "cursor": rig.cursor()}});
        rig.server(resume);
    }
    assert_eq!((rig.shown(first), rig.shown(second)), (vec!["000".into()], vec!["000".into()]));
}

#[test]
fn rows_on_the_screen_do_not_go_back_to_an_older_visit() {
    let mut rig = rig();
    let first = rig.visit(&all().limit(1));
    rig.version = 10;
    rig.snapshot(1, &[text("new")]);
    rig.lose();
    rig.drain();
    let longer = rig.watch(&all().limit(2));
    let load = rig.load();
    rig.core.unwatch(rig.now, first);
    let stored = left(|_| {}, &all().limit(2), &[text("old"), Todo::new("more", 1)], 5);
    rig.loaded(load, Some("ann"), Some(&stored));
    assert_eq!(rig.core.entries::<Todo>(longer)[0].record.text, "new");
    // one that is newer is of use
    let longest = rig.watch(&all().limit(3));
    let load = rig.load();
    let stored = left(|_| {}, &all().limit(3), &[text("newest"), Todo::new("more", 1)], 15);
    rig.core.unwatch(rig.now, longer);
    rig.loaded(load, Some("ann"), Some(&stored));
    assert_eq!(rig.core.entries::<Todo>(longest)[0].record.text, "newest");
}
