//! A random plan: people who write, look, leave and come back, on a day on which anything may go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_core::client::{self, Transport};
use syncline_core::space::Config;
use syncline_core::{Query, Record, Version};
use syncline_testkit::{CrashPoint, Direction, Faults, Path, Rng, Sim, SimClient, Watch, Write};

use crate::model::{FORBIDDEN, Half, Note, Reply, Todo, app, is_whole, note, nothing, reply, todo, whole};

const SPACES: [&str; 2] = ["home", "work"];

/// A watch of a plan, and how to end it.
#[derive(Clone)]
enum Watched {
    Todos(Watch<Todo>, Query<Todo>),
    Halves(Watch<Half>, Query<Half>),
    Notes(Watch<Note>, Query<Note>),
}

impl Watched {
    fn todos(client: &mut SimClient<'_>, query: Query<Todo>) -> Self {
        Self::Todos(client.watch(query.clone()), query)
    }

    fn halves(client: &mut SimClient<'_>, query: Query<Half>) -> Self {
        Self::Halves(client.watch(query.clone()), query)
    }

    fn notes(client: &mut SimClient<'_>, query: Query<Note>) -> Self {
        Self::Notes(client.watch(query.clone()), query)
    }
}

/// What a test expects to find at the end.
#[derive(Default)]
struct Ledger {
    /// Rows that are put once and never touched again, by the write that put them.
    entries: BTreeMap<Write, (&'static str, String)>,
    watches: BTreeMap<String, Vec<Watched>>,
    /// Pages that are closed.
    closed: BTreeSet<String>,
    counter: u64,
}

impl Ledger {
    /// The clients that are there.
    fn names(&self, sim: &Sim) -> Vec<String> {
        sim.client_names().into_iter().filter(|name| !self.closed.contains(name)).collect()
    }
}

/// Runs the plan of a seed to its end, with all checks.
pub(crate) fn run(seed: u64) -> Sim {
    let mut sim = world(seed);
    let mut ledger = Ledger::default();
    for name in sim.client_names() {
        watch_something(&mut sim, &mut ledger, &name);
    }
    for _ in 0..sim.rng().below(60) + 40 {
        act(&mut sim, &mut ledger);
        let pause = *sim.rng().pick(&[1, 5, 30, 200, 3_000]);
        let pause = sim.rng().duration(Duration::from_millis(pause));
        sim.run_for(pause);
    }
    finish(&mut sim, &ledger);
    sim
}

fn world(seed: u64) -> Sim {
    let mut rng = Rng::new(seed);
    let (chunk_bytes, backlog_bytes) = *rng.pick(&[(64, 1_024), (512, 4 * 1024), (128 * 1024, 1024 * 1024)]);
    let config = Config {
        chunk_bytes,
        backlog_bytes,
        log_retention: *rng.pick(&[3, 20, 10_000]),
        log_keys: *rng.pick(&[5, 100_000]),
        idle_unload: Duration::from_secs(*rng.pick(&[1, 60])),
        idle_spaces: *rng.pick(&[0, 1, 1_000]),
        loads: *rng.pick(&[1, 64]),
        ..Config::default()
    };
    // whatever may be sent at once must fit
    let outbox = chunk_bytes + backlog_bytes + *rng.pick(&[2 * 1024, 4 * 1024 * 1024]);
    let mut sim = app(seed).config(config).outbox_bytes(outbox).build();
    for (name, user) in
        [("a", "ann"), ("b", "bob"), ("c", "ann"), ("d", "dan")].into_iter().take(rng.below(3) as usize + 2)
    {
        let has_credentials = rng.chance(0.3);
        let set_up = |config: &mut client::Config| config.has_credentials = has_credentials;
        let mut client = match rng.chance(0.7) {
            true => sim.add_client_in_with(user, name, user, set_up),
            false => sim.add_client_with(name, user, set_up),
        };
        client.credentials_last(Duration::from_secs(*rng.pick(&[5, 60, 3_600])));
        client.set_path(path(&mut rng));
        if rng.chance(0.2) {
            client.refuse(Transport::WebSocket, true);
        }
        for other in ["ann", "bob", "dan"].into_iter().filter(|other| *other != user) {
            client.must_never_be_sent(format!("{other}'s secret"));
        }
    }
    let faults = match rng.below(4) {
        0 => Faults::default(),
        1 => Faults { crash: 0.05, disk_failure: 0.1, ..Faults::default() },
        2 => Faults::rough_network(),
        _ => Faults { crash: 0.03, disk_failure: 0.05, ..Faults::rough_network() },
    };
    sim.set_faults(faults);
    sim
}

fn path(rng: &mut Rng) -> Path {
    Path {
        to_server: Duration::from_millis(rng.below(80)),
        to_client: Duration::from_millis(rng.below(80)),
        jitter: Duration::from_millis(*rng.pick(&[0, 5, 100])),
        bytes_per_second: *rng.pick(&[None, None, Some(10_000)]),
    }
}

fn act(sim: &mut Sim, ledger: &mut Ledger) {
    let names = ledger.names(sim);
    let name = sim.rng().pick(&names).clone();
    let space = *sim.rng().pick(&SPACES);
    match sim.rng().below(100) {
        0..3 => reload(sim, ledger, &name),
        3..60 => write_something(sim, ledger, &name, space),
        60..70 => watch_something(sim, ledger, &name),
        70..76 => stop_watching(sim, ledger, &name),
        76..79 => sim.client(&name).cut(),
        79..81 => sim.client(&name).half_open(),
        81..84 => sim.client(&name).go_offline(),
        84..89 => sim.client(&name).go_online(),
        89 => sim.client(&name).partition(),
        90..92 => sim.client(&name).heal(),
        92 => sim.client(&name).stop_reading(),
        93 => sim.client(&name).read_again(),
        94 => {
            let point = *sim.rng().pick(&[CrashPoint::BeforeDurable, CrashPoint::AfterDurable]);
            sim.crash_at_next_commit(point);
        }
        95 => sim.start_server(),
        96 => {
            let silently = sim.rng().chance(0.5);
            if silently {
                sim.crash_server_silently()
            } else {
                sim.crash_server()
            }
            let away = sim.rng().duration(Duration::from_secs(10));
            sim.plan(away, Sim::start_server);
        }
        97 => {
            let fails = sim.rng().chance(0.3);
            sim.fail_disk(fails);
        }
        98 => {
            let direction = *sim.rng().pick(&[Direction::ToClient, Direction::ToServer]);
            sim.client(&name).hold(direction);
            let held = sim.rng().duration(Duration::from_secs(3));
            sim.plan(held, move |sim| sim.client(&name).release(direction));
        }
        _ => {
            sim.client(&name).refresh_credentials();
        }
    }
}

/// The person reloads the page, or opens it again later: the next client begins with what is stored in their browser.
fn reload(sim: &mut Sim, ledger: &mut Ledger, name: &str) {
    sim.client(name).leave();
    ledger.closed.insert(name.to_owned());
    let watched = ledger.watches.remove(name).unwrap_or_default();
    ledger.counter += 1;
    let (next, user) = (format!("{}{}", &name[..1], ledger.counter), owner(name));
    let (slow, few) = (sim.rng().chance(0.3), sim.rng().chance(0.3));
    sim.add_client_in_with(user, &next, user, |config| {
        let Some(cache) = &mut config.cache else { return };
        if slow {
            // storage answers late
            cache.load_within = Duration::from_millis(1);
        }
        if few {
            cache.rows = 2;
        }
    });
    for query in watched {
        let mut client = sim.client(&next);
        let again = match query {
            Watched::Todos(_, query) => Watched::todos(&mut client, query),
            Watched::Halves(_, query) => Watched::halves(&mut client, query),
            Watched::Notes(_, query) => Watched::notes(&mut client, query),
        };
        stays_whole(sim, &again);
        ledger.watches.entry(next.clone()).or_default().push(again);
    }
}

fn write_something(sim: &mut Sim, ledger: &mut Ledger, name: &str, space: &'static str) {
    ledger.counter += 1;
    let counter = ledger.counter;
    let shared = sim.rng().below(6);
    match sim.rng().below(15) {
        0..3 => {
            // put once, never touched again: what an acknowledgement is worth
            let key = format!("entry-{counter}");
            let write = sim.client(name).put(space, &Todo { position: counter as i64, ..todo(&key) });
            ledger.entries.insert(write, (space, key));
        }
        3..5 => {
            let done = sim.rng().chance(0.5);
            let text = if sim.rng().chance(0.1) { FORBIDDEN.to_owned() } else { format!("text {counter}") };
            let put = Todo { text, done, position: (counter % 7) as i64, ..todo(shared) };
            sim.client(name).put(space, &put);
        }
        5 => {
            sim.client(name).delete::<Todo>(space, &shared.to_string());
        }
        6..8 => {
            // the row need not be on this client's screen
            let done = sim.rng().chance(0.5);
            let _ = sim.client(name).update::<Todo>(space, &shared.to_string(), |todo| {
                if done { todo.done = !todo.done } else { todo.position = (counter % 5) as i64 }
            });
        }
        12 => {
            let id = sim.rng().below(8);
            sim.client(name).delete::<Reply>(space, &id.to_string());
        }
        13..15 => {
            let (id, at) = (sim.rng().below(8), sim.rng().below(5) as i64);
            let owner = if sim.rng().chance(0.3) { owner(name).to_owned() } else { String::new() };
            let put = Reply { owner, ..reply(id, shared, at) };
            sim.client(name).put(space, &put);
        }
        8..10 => {
            let thing = format!("thing-{}", shared % 3);
            let ops = if sim.rng().chance(0.25) { nothing(&thing) } else { whole(&thing, counter as i64) };
            sim.client(name).write(space, ops).unwrap();
        }
        10 => {
            let owner = owner(name);
            let written =
                note(&format!("{owner}-{}", shared % 3), owner, &format!("{owner}'s secret {counter}"));
            if sim.rng().chance(0.3) {
                sim.client(name).delete::<Note>(space, &written.id);
            } else {
                sim.client(name).put(space, &written);
            }
        }
        _ => {
            if sim.rng().chance(0.5) {
                sim.client(name).retry::<Todo>(space, &shared.to_string());
            } else {
                sim.client(name).dismiss::<Todo>(space, &shared.to_string());
            }
        }
    }
}

fn owner(name: &str) -> &'static str {
    match name.chars().next() {
        Some('b') => "bob",
        Some('d') => "dan",
        _ => "ann",
    }
}

fn watch_something(sim: &mut Sim, ledger: &mut Ledger, name: &str) {
    let space = *sim.rng().pick(&SPACES);
    let watched = match sim.rng().below(8) {
        0..5 => {
            let query = todo_query(sim.rng(), space);
            Watched::todos(&mut sim.client(name), query)
        }
        5 | 6 => {
            let halves = Half::in_space(space);
            let side = *sim.rng().pick(&["left", "right"]);
            let query = match sim.rng().below(5) {
                0 => halves,
                1 => halves.order_by(Half::value.desc()),
                2 => halves.filter(Half::value.ge(sim.rng().below(40) as i64)),
                3 => halves.filter(Half::side.eq(side)),
                _ => halves.limit(3),
            };
            let watched = Watched::halves(&mut sim.client(name), query);
            stays_whole(sim, &watched);
            watched
        }
        _ => {
            let query =
                if sim.rng().chance(0.5) { Note::in_space(space) } else { Note::in_space(space).limit(2) };
            Watched::notes(&mut sim.client(name), query)
        }
    };
    ledger.watches.entry(name.to_owned()).or_default().push(watched);
}

/// Where both halves are asked for, they are never seen but together. Of a list that is stored in part, or asked for in
/// part, the last one may be alone.
fn stays_whole(sim: &mut Sim, watched: &Watched) {
    let Watched::Halves(watch, query) = watched.clone() else { return };
    let asks_for_both =
        query.spec().limit.is_none() && !format!("{:?}", query.spec().filter).contains("side");
    if asks_for_both {
        sim.always("views are whole", move |sim| {
            let state = sim.watch_state(watch);
            // as much as a shorter window of the list had, or as was stored
            let in_part = !state.loaded || state.cached && sim.rows(watch).len() <= 2;
            if in_part { Ok(()) } else { is_whole(&sim.rows(watch)) }
        });
    }
}

fn todo_query(rng: &mut Rng, space: &str) -> Query<Todo> {
    let mut query = Todo::in_space(space);
    match rng.below(4) {
        0 => query = query.filter(Todo::done.eq(false)),
        1 => query = query.filter(Todo::position.lt(rng.below(8) as i64).or(Todo::text.eq(FORBIDDEN))),
        _ => {}
    }
    match rng.below(3) {
        0 => query = query.order_by(Todo::position),
        1 => query = query.order_by(Todo::done.desc()).order_by(Todo::position.desc()),
        _ => {}
    }
    match rng.below(6) {
        0 => query = query.include(Reply::todo),
        1 => {
            let newest = Reply::todo.children().order_by(Reply::at.desc()).limit(2).counted();
            query = query.include(newest);
        }
        2 => {
            let early = Reply::todo.children().filter(Reply::at.lt(3)).limit(0).counted();
            query = query.include(early).include(Reply::todo.children().limit(1));
        }
        _ => {}
    }
    if rng.chance(0.3) { query.limit(1 + rng.below(6) as u32) } else { query }
}

fn stop_watching(sim: &mut Sim, ledger: &mut Ledger, name: &str) {
    let Some(watches) = ledger.watches.get_mut(name).filter(|watches| !watches.is_empty()) else { return };
    let which = sim.rng().below(watches.len() as u64) as usize;
    let (stop, start) = (sim.rng().chance(0.3), sim.rng().chance(0.5));
    let watched = if stop || start { watches[which].clone() } else { watches.remove(which) };
    let mut client = sim.client(name);
    macro_rules! each {
        ($watch:ident => $act:expr) => {
            match watched {
                Watched::Todos($watch, _) => $act,
                Watched::Halves($watch, _) => $act,
                Watched::Notes($watch, _) => $act,
            }
        };
    }
    match (stop, start) {
        (true, _) => each!(watch => client.stop(watch)),
        (_, true) => each!(watch => client.start(watch)),
        _ => each!(watch => client.unwatch(watch)),
    }
}

/// Faults end; everything that was promised is there, nothing else is, and nothing is left behind.
fn finish(sim: &mut Sim, ledger: &Ledger) {
    let names = ledger.names(sim);
    for name in &names {
        sim.client(name).credentials_last(Duration::from_secs(86_400));
        sim.client(name).go_online();
        sim.client(name).refresh_credentials();
    }
    sim.settle();
    // one more write reaches everybody, whatever they had gone through
    for space in SPACES {
        sim.client(&names[0]).put(space, &todo("last"));
    }
    sim.settle();
    check_entries(sim, ledger);
    for (name, watches) in &ledger.watches {
        for watched in watches {
            match *watched {
                Watched::Todos(watch, _) => sim.client(name).unwatch(watch),
                Watched::Halves(watch, _) => sim.client(name).unwatch(watch),
                Watched::Notes(watch, _) => sim.client(name).unwatch(watch),
            }
        }
    }
    sim.run_for(Duration::from_secs(3));
    // half-open connections are still waited for, and spaces for those who come back
    sim.run_for(Duration::from_secs(140));
    assert_eq!(sim.gauges(), syncline_core::space::Gauges::default(), "something is left on the server");
}

fn check_entries(sim: &Sim, ledger: &Ledger) {
    for space in SPACES {
        let stored = sim.server_rows(&Todo::in_space(space)).into_iter().map(|todo| todo.id);
        let stored: BTreeSet<String> = stored.filter(|id| id.starts_with("entry-")).collect();
        let accepted = |write: &Write| matches!(sim.verdict(*write), Some(Ok(_)));
        let promised = ledger.entries.iter().filter(|(write, (at, _))| *at == space && accepted(write));
        let promised: BTreeSet<String> = promised.map(|(_, (_, key))| key.clone()).collect();
        // nobody was left to hear what became of these
        let unheard = ledger.entries.iter().filter(|(write, _)| sim.verdict(**write).is_none());
        let unheard: BTreeSet<String> = unheard.map(|(_, (_, key))| key.clone()).collect();
        let stored: BTreeSet<String> = stored.difference(&unheard).cloned().collect();
        assert_eq!(promised, stored, "what was acknowledged in {space} and what is stored there");
        let versions = ledger.entries.keys().filter_map(|write| sim.verdict(*write)?.as_ref().ok().copied());
        assert!(
            versions.max().unwrap_or(0)
                <= SPACES.map(|space| sim.server_version(space)).into_iter().fold(0, Version::max)
        );
    }
}
