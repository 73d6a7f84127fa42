//! Several clients at a double of a server, with a network and a server that lose, delay and reorder: when that stops, all
//! see what the server holds, no action was done twice, and what was said of each is true.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use syncline_core::client::partysync::Service;
use syncline_core::client::{ClientCore, Config, Input, Output, WatchId, WriteRef};
use syncline_core::{ClientId, Query};

use crate::double::{Double, Running};
use crate::rig::{Todo, TodoAction, Todos, all, create, delete, list, rename};

const CLIENTS: usize = 3;

/// Chance, so that a seed can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn ms(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.roll(most) + 1)
    }
}

enum Event {
    /// A socket is open.
    Opened(usize, u64),
    /// The server gets a frame.
    Arrives(u64, Value),
    /// It answers a question for rows.
    Syncs(u64, String),
    /// It does an action.
    Acts(u64, Value),
    /// It tells of it.
    Tells(Running),
    /// A client gets the next frame of a socket.
    Delivers(usize, u64),
    /// A client is told that a socket is closed.
    Closed(usize, u64),
}

struct Client {
    core: ClientCore,
    watch: WatchId,
    open_ones: WatchId,
    /// What its actions are called on the wire, in order.
    writes: Vec<WriteRef>,
    verdicts: BTreeMap<WriteRef, Result<(), String>>,
    frames: u64,
}

struct World {
    now: Duration,
    dice: Dice,
    server: Double,
    clients: Vec<Client>,
    /// The sockets' numbers at the server, by client and attempt.
    sockets: BTreeMap<(usize, u64), u64>,
    /// What is on its way to a client, in order.
    lines: BTreeMap<(usize, u64), VecDeque<String>>,
    events: BTreeMap<(Duration, u64), Event>,
    next: u64,
    /// The network and the server are as bad as they get.
    faults: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let server = Double::new(dice.roll(2) == 0);
        let clients = (0..CLIENTS).map(|index| {
            let mut config = Config::new(ClientId::from(format!("client-{index}")), seed ^ index as u64);
            config.partysync = Some(Service::default());
            let mut core = ClientCore::new(config);
            core.register_channel::<Todos>();
            let watch = core.watch(Duration::ZERO, &all());
            let open_ones = core.watch(Duration::ZERO, &first_texts());
            Client { core, watch, open_ones, writes: vec![], verdicts: BTreeMap::new(), frames: 0 }
        });
        let clients = clients.collect();
        let (sockets, lines, events) = Default::default();
        let now = Duration::ZERO;
        let mut world = Self { now, dice, server, clients, sockets, lines, events, next: 0, faults: true };
        (0..CLIENTS).for_each(|index| world.drain(index));
        world
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.next += 1;
        self.events.insert((self.now + after, self.next), event);
    }

    /// Whether something goes wrong that goes wrong once in so many times.
    fn fault(&mut self, once_in: u64) -> bool {
        self.faults && self.dice.roll(once_in) == 0
    }

    fn input(&mut self, index: usize, input: Input<'_>) {
        let now = self.now;
        self.clients[index].core.handle(now, input);
        self.drain(index);
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.clients[index].core.poll_output() {
            match output {
                Output::Join { attempt, .. } => {
                    let takes = self.dice.ms(50);
                    match self.fault(4) {
                        true => self.later(takes, Event::Closed(index, attempt)),
                        false => self.later(takes, Event::Opened(index, attempt)),
                    }
                }
                Output::Send { attempt, frame } => {
                    self.clients[index].frames += 1;
                    let Some(&socket) = self.sockets.get(&(index, attempt)) else { continue };
                    let frame = serde_json::from_slice(&frame).unwrap();
                    // one line keeps its order
                    self.later(Duration::from_millis(10), Event::Arrives(socket, frame));
                }
                Output::Close { attempt } => self.close(index, attempt),
                Output::Settled { write, result } => {
                    let result = result.map(drop).map_err(|error| error.code().to_owned());
                    let before = self.clients[index].verdicts.insert(write, result);
                    assert!(before.is_none(), "two verdicts on one action");
                }
                _ => {}
            }
        }
    }

    /// A socket is gone, for both ends.
    fn close(&mut self, index: usize, attempt: u64) {
        if let Some(socket) = self.sockets.remove(&(index, attempt)) {
            self.server.here.remove(&socket);
        }
        self.lines.remove(&(index, attempt));
    }

    fn tell(&mut self, frames: Vec<(u64, String)>) {
        for (socket, frame) in frames {
            let place = self.sockets.iter().find(|(_, other)| **other == socket).map(|(place, _)| *place);
            let Some((index, attempt)) = place else { continue };
            if self.fault(60) {
                continue;
            }
            self.lines.entry((index, attempt)).or_default().push_back(frame);
            self.later(Duration::from_millis(10), Event::Delivers(index, attempt));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Opened(index, attempt) => {
                self.next += 1;
                let socket = self.next;
                self.sockets.insert((index, attempt), socket);
                self.server.here.insert(socket);
                self.input(index, Input::Opened { attempt });
            }
            Event::Arrives(socket, frame) => self.arrives(socket, frame),
            Event::Syncs(socket, channel) => {
                let frame = self.server.sync(&channel);
                if self.server.here.contains(&socket) {
                    self.tell(vec![(socket, frame)]);
                }
            }
            Event::Acts(socket, frame) => {
                let running = self.server.act(self.now, socket, &frame);
                let frames = self.server.told_at_once(&running);
                self.tell(frames);
                // others may end before it
                let takes = self.dice.ms(300);
                self.later(takes, Event::Tells(running));
            }
            Event::Tells(running) => {
                if !self.fault(20) {
                    let frames = self.server.told(&running);
                    self.tell(frames);
                }
            }
            Event::Delivers(index, attempt) => {
                let frame = self.lines.get_mut(&(index, attempt)).and_then(VecDeque::pop_front);
                if let Some(frame) = frame {
                    self.input(index, Input::Frame { attempt, bytes: frame.as_bytes() });
                }
            }
            Event::Closed(index, attempt) => {
                self.close(index, attempt);
                self.input(index, Input::Closed { attempt, error: None });
            }
        }
    }

    /// The server gets a frame. Some are never answered.
    fn arrives(&mut self, socket: u64, frame: Value) {
        if !self.server.here.contains(&socket) || self.fault(20) {
            return;
        }
        if frame["sync"] == true {
            assert!(frame["from"].is_null());
            let takes = self.dice.ms(100);
            self.later(takes, Event::Syncs(socket, frame["channel"].as_str().unwrap().into()));
            return;
        }
        let id = frame["id"].as_str().unwrap().to_owned();
        self.server.received.entry(socket).or_default().push(id);
        let takes = self.dice.ms(100);
        self.later(takes, Event::Acts(socket, frame));
    }

    /// Lets time go by.
    fn run(&mut self, until: Duration) {
        loop {
            let event = self.events.keys().next().map(|(at, _)| *at);
            let deadlines = self.clients.iter().filter_map(|client| client.core.deadline());
            let deadline = deadlines.min().map(|at| at.max(self.now));
            let Some(next) = event.into_iter().chain(deadline).min().filter(|at| *at <= until) else { break };
            self.now = next;
            if event == Some(next) {
                let (_, event) = self.events.pop_first().unwrap();
                self.happen(event);
            } else {
                for index in 0..CLIENTS {
                    if self.clients[index].core.deadline().is_some_and(|at| at <= self.now) {
                        self.input(index, Input::Tick);
                    }
                }
            }
        }
        self.now = until;
    }

    fn act(&mut self, index: usize) {
        let id = format!("t{}", self.dice.roll(6));
        let action = match self.dice.roll(12) {
            0..=4 => create(&id),
            5..=8 => rename(&id, &format!("text {}", self.dice.roll(1_000))),
            9 => TodoAction::Delete { id: None },
            10 => TodoAction::Clear(()),
            _ => delete(&id),
        };
        let now = self.now;
        let client = &mut self.clients[index];
        client.writes.push(client.core.send_action::<Todos>(now, &list(), action).unwrap());
        self.drain(index);
    }

    fn step(&mut self) {
        let index = self.dice.roll(CLIENTS as u64) as usize;
        match self.dice.roll(30) {
            0 => {
                let attempt = self.sockets.keys().find(|(client, _)| *client == index).map(|(_, at)| *at);
                if let Some(attempt) = attempt {
                    self.happen(Event::Closed(index, attempt));
                }
            }
            1 => {
                let (now, on) = (self.now, self.dice.roll(2) == 0);
                self.clients[index].core.set_enabled(now, on);
                self.drain(index);
            }
            2 => self.input(index, Input::Visible(true)),
            _ => self.act(index),
        }
        let pause = if self.dice.roll(10) == 0 { 8_000 } else { 200 };
        let until = self.now + self.dice.ms(pause);
        self.run(until);
    }

    /// Everything works again.
    fn settle(&mut self) {
        self.faults = false;
        for index in 0..CLIENTS {
            let now = self.now;
            self.clients[index].core.set_enabled(now, true);
            self.drain(index);
        }
        // the longest wait between attempts, and twice the time after which silence is asked about
        self.run(self.now + Duration::from_secs(100));
    }

    fn check(&self) {
        let truth = self.server.truth();
        for (index, client) in self.clients.iter().enumerate() {
            let shown = |watch| {
                let entries = client.core.entries::<Todo>(watch);
                let row = |todo: &Todo| (todo.id.clone(), todo.text.clone());
                entries.iter().map(|entry| row(&entry.record)).collect::<Vec<_>>()
            };
            assert_eq!(shown(client.watch), truth, "client {index}");
            let mut first = truth.clone();
            first.sort_by(|a, b| (&b.1, &a.0).cmp(&(&a.1, &b.0)));
            first.truncate(2);
            assert_eq!(shown(client.open_ones), first, "client {index}");
            assert_eq!(client.core.watch_state(client.watch).status.as_str(), "live");
            assert_eq!(client.core.connection().pending, 0);
            self.check_verdicts(index, client);
        }
        for received in self.server.received.values() {
            let number = |id: &String| id.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
            assert!(received.iter().map(number).is_sorted(), "actions of one line came out of order");
        }
    }

    fn check_verdicts(&self, index: usize, client: &Client) {
        for (place, write) in client.writes.iter().enumerate() {
            let handled = self.server.handled.get(&format!("client-{index}-{}", place + 1));
            match client.verdicts[write].as_ref().map_err(String::as_str) {
                Ok(()) => assert_eq!(handled, Some(&true)),
                Err("action_failed") => assert_eq!(handled, Some(&false)),
                Err("outcome_unknown") => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

fn first_texts() -> Query<Todo> {
    all().order_by(Todo::text.desc()).limit(2)
}

fn story(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..80 {
        world.step();
    }
    world.settle();
    world.check();
    // and then it is quiet: nobody asks more than once in 30 s
    let frames: Vec<_> = world.clients.iter().map(|client| client.frames).collect();
    world.run(world.now + Duration::from_secs(300));
    for (client, before) in world.clients.iter().zip(frames) {
        assert!((9..=11).contains(&(client.frames - before)), "{}", client.frames - before);
    }
    world.check();
}

/// Nothing is lost, and everything overtakes: nobody has to wait for a silence.
fn story_of_overtaking(seed: u64) {
    let mut world = World::new(seed);
    world.faults = false;
    world.run(Duration::from_secs(5));
    for _ in 0..40 {
        let index = world.dice.roll(CLIENTS as u64) as usize;
        world.act(index);
        let until = world.now + world.dice.ms(150);
        world.run(until);
    }
    world.run(world.now + Duration::from_secs(3));
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_overtakes_is_told_apart_at_once(seed in any::<u64>()) {
        story_of_overtaking(seed);
    }

    #[test]
    fn all_see_what_the_server_holds(seed in any::<u64>()) {
        story(seed);
    }
}
