//! Letting time pass.

use std::time::Duration;

use syncline_core::client;
use syncline_core::space;

use crate::node::Server;
use crate::sim::Sim;
use crate::sim::event::Event;
use crate::trace::Who;

/// How long [`Sim::until`] waits.
const PATIENCE: Duration = Duration::from_secs(600);
/// So many steps at one instant are a loop.
const INSTANT_STEPS: u32 = 100_000;

/// What is due next.
enum Due {
    Event,
    Server,
    Client(usize),
}

impl Sim {
    /// Lets the next thing happen, whatever it is, and the clock go there. Says whether there was anything.
    #[track_caller]
    pub fn step(&mut self) -> bool {
        match self.next() {
            Some((at, due)) => {
                self.take(at, due);
                true
            }
            None => false,
        }
    }

    /// Lets so much time pass.
    #[track_caller]
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass up to this moment.
    #[track_caller]
    pub fn run_until(&mut self, end: Duration) {
        while let Some((at, due)) = self.next().filter(|(at, _)| *at <= end) {
            self.take(at, due);
        }
        self.now = self.now.max(end);
    }

    /// Lets time pass until something is so.
    ///
    /// # Panics
    /// When it is not within ten minutes of virtual time.
    #[track_caller]
    pub fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        if !self.until_within(PATIENCE, condition) {
            self.fail("what was waited for did not come within ten minutes");
        }
    }

    /// Lets time pass until something is so, or until so much time has passed. Says whether it is so.
    #[track_caller]
    pub fn until_within(&mut self, time: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + time;
        while !condition(self) {
            match self.next().filter(|(at, _)| *at <= end) {
                Some((at, due)) => self.take(at, due),
                None => {
                    self.now = end;
                    return condition(self);
                }
            }
        }
        true
    }

    /// Plans something for later.
    pub fn plan(&mut self, after: Duration, action: impl FnOnce(&mut Self) + 'static) {
        self.push(after, Event::Planned(Box::new(action)));
    }

    fn next(&self) -> Option<(Duration, Due)> {
        let mut next = self.events.next_at().map(|at| (at, Due::Event));
        let mut consider = |at: Option<Duration>, due: Due| {
            if let Some(at) = at
                && next.as_ref().is_none_or(|(first, _)| at < *first)
            {
                next = Some((at, due));
            }
        };
        consider(self.server.deadline, Due::Server);
        for (index, client) in self.clients.iter().enumerate() {
            consider(client.deadline, Due::Client(index));
        }
        next.map(|(at, due)| (at.max(self.now), due))
    }

    #[track_caller]
    fn take(&mut self, at: Duration, due: Due) {
        self.instant_steps = if at > self.now { 0 } else { self.instant_steps + 1 };
        if self.instant_steps > INSTANT_STEPS {
            self.fail("no time passes any more: somebody asks to be woken again and again");
        }
        self.now = at;
        match due {
            Due::Event => {
                if let Some(event) = self.events.pop() {
                    self.happen(event);
                }
            }
            Due::Server => self.feed_server(space::Input::Tick),
            Due::Client(index) => self.feed_client(index, client::Input::Tick),
        }
        self.check_step();
    }

    #[track_caller]
    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives { conn, hello } => self.arrives(conn, hello),
            Event::Opens { conn } => self.opens(conn),
            Event::ToServer { conn, frame } => self.frame_to_server(conn, &frame),
            Event::ToClient { conn, frame } => self.frame_to_client(conn, &frame),
            Event::ServerLearns { conn } => self.server_learns(conn),
            Event::ClientLearns { conn, error } => self.client_learns(conn, error),
            Event::Left { conn } => self.left(conn),
            Event::Lagged { conn } => self.lagged(conn),
            Event::Drained { conn, epoch } => self.drained(conn, epoch),
            Event::Ends { conn } => self.ends(conn),
            Event::Authenticated { life, conn, result } => {
                if life == self.server.life {
                    self.feed_server(space::Input::Authenticated { conn, result });
                }
            }
            Event::Loaded { life, space } => self.loaded(life, space),
            Event::Durable { life, space, commit } => self.durable(life, &space, commit),
            Event::Committed { life, space, commit, result } => {
                if life == self.server.life {
                    self.feed_server(space::Input::Committed { space, commit, result });
                }
            }
            Event::Starts => self.start_server(),
            Event::Credentials { client, result } => {
                if !self.clients[client].gone {
                    self.feed_client(client, client::Input::Credentials(result));
                }
            }
            Event::Storage { client, answer } => self.storage_has_answered(client, answer),
            Event::Planned(action) => action(self),
        }
    }

    /// Gives a client something and does what it says.
    #[track_caller]
    pub(super) fn feed_client(&mut self, index: usize, input: client::Input<'_>) {
        let client = &mut self.clients[index];
        if !client.gone {
            let now = client.time(self.now);
            client.core.handle(now, input);
            self.pump_client(index);
        }
    }

    /// Gives the engine something, when there is one, and does what it says.
    #[track_caller]
    pub(super) fn feed_server(&mut self, input: space::Input) {
        let now = Server::time(self.now);
        let Some(engine) = &mut self.server.engine else { return };
        engine.handle(now, input);
        self.pump_server();
    }

    #[track_caller]
    pub(super) fn pump_client(&mut self, index: usize) {
        while let Some(output) = self.clients[index].core.poll_output() {
            self.client_says(index, output);
        }
        self.clients[index].note_deadline();
    }

    #[track_caller]
    pub(super) fn pump_server(&mut self) {
        while let Some(output) = self.server.engine.as_mut().and_then(space::Engine::poll_output) {
            self.server_says(output);
        }
        self.server.note_deadline();
    }

    #[track_caller]
    fn client_says(&mut self, index: usize, output: client::Output) {
        match output {
            client::Output::Open { attempt, transport, hello } => {
                self.connect(index, attempt, transport, hello)
            }
            client::Output::Send { attempt, frame } => self.client_sends(index, attempt, frame),
            client::Output::Close { attempt } => self.client_closes(index, attempt),
            client::Output::Credentials => self.fetch_credentials(index),
            client::Output::Remember(transport) => {
                self.trace.note(self.now, Who::Client(index), format!("remembers {}", transport.as_str()));
                self.clients[index].remembered = Some(transport);
            }
            client::Output::Load { load, user, query } => self.client_loads(index, load, user, query),
            client::Output::Store { user, lists } => self.client_stores(index, user, lists),
            client::Output::StoreWrites { batch, user, put, del } => {
                self.client_stores_writes(index, batch, user, put, del);
            }
            client::Output::Adopt { user } => self.client_adopts(index, user),
            client::Output::Changed(watch) => self.pull(index, watch),
            client::Output::ConnectionChanged => {
                let status = self.clients[index].core.connection().status.as_str();
                self.trace.note(self.now, Who::Client(index), format!("is {status}"));
            }
            // the simulation's server is none of contrail's, nor of partysync
            client::Output::Call { .. } | client::Output::Access { .. } | client::Output::Join { .. } => {}
            client::Output::Refused { .. } => {}
            client::Output::Settled { write, result } => {
                self.settled(index, write, result);
            }
        }
    }

    fn fetch_credentials(&mut self, index: usize) {
        let (now, takes) = (self.now, self.rng.duration(Duration::from_millis(40)));
        let client = &mut self.clients[index];
        client.credentials.asked += 1;
        self.trace.note(now, Who::Client(index), "asks for credentials");
        let result = if client.credentials.fail {
            Err(syncline_core::Error::new(
                syncline_core::code::CONNECTION,
                "there are no credentials to be had",
            ))
        } else {
            Ok(Some(self.server.mint(&client.user, now, client.credentials.last)))
        };
        self.push(takes, Event::Credentials { client: index, result });
    }
}
