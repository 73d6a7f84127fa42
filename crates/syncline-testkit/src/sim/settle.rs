//! The end of all faults.

use std::time::Duration;

use syncline_core::client::Status;

use crate::connection::End;
use crate::faults::{Direction, Faults};
use crate::sim::Sim;

/// The longest that convergence may take: a connection must be found dead and the longest wait be over.
const PATIENCE: Duration = Duration::from_secs(300);

impl Sim {
    /// Ends all faults, waits until everything is quiet, and checks what must then hold: clients see what the server
    /// has stored, every accepted write is stored once, no refused one is.
    ///
    /// The server is started when it is down, everybody can reach it and reads again, the disk works. Those whom a
    /// person has switched [offline](crate::SimClient::go_offline) stay it. A connection that has lost a change, and
    /// on which nothing followed that could show it, is cut: in a real network it would be dead.
    ///
    /// # Panics
    /// When it does not become quiet within five minutes of virtual time, or what must hold does not.
    #[track_caller]
    pub fn settle(&mut self) {
        self.end_faults();
        self.calm_down();
        if self.cut_unaware() {
            self.calm_down();
        }
        if let Err(violation) = self.check_quiet() {
            self.fail(format_args!("after all is quiet: {violation}"));
        }
    }

    #[track_caller]
    fn calm_down(&mut self) {
        if !self.until_within(PATIENCE, |sim| sim.unrest().is_none()) {
            let unrest = self.unrest().unwrap_or_default();
            self.fail(format_args!("it does not become quiet: {unrest}"));
        }
    }

    /// Cuts the connections of clients that cannot know what they have missed. Says whether there are any.
    fn cut_unaware(&mut self) -> bool {
        let unaware = self.connections.iter().filter(|(_, conn)| !conn.dead && !conn.missed.is_empty());
        let unaware: Vec<_> = unaware.map(|(id, _)| *id).collect();
        unaware.iter().for_each(|id| self.cut_connection(*id));
        !unaware.is_empty()
    }

    fn end_faults(&mut self) {
        self.note("all faults end");
        self.faults = Faults::default();
        self.disk.failing = false;
        self.disk.unreadable = false;
        self.server.armed = None;
        self.start_server();
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            client.partitioned = false;
            client.refused.clear();
            client.meddling.clear();
            client.held.clear();
            if !client.reading {
                self.client_at(index).read_again();
            }
            self.release_frames(index, Direction::ToServer);
            self.release_frames(index, Direction::ToClient);
        }
    }

    /// Why it is not quiet; `None` when it is.
    pub fn unrest(&self) -> Option<String> {
        if self.server.engine.is_none() {
            return Some("the server is down".into());
        }
        if self.events.has_work() {
            return Some("something is on its way".into());
        }
        if !self.disk.writing.is_empty() || self.disk.reading > 0 {
            return Some("the disk works".into());
        }
        let gauges = self.gauges();
        if gauges.writes_waiting > 0 {
            return Some(format!("the server has not answered all writes: {gauges:?}"));
        }
        for (id, conn) in &self.connections {
            let name = &self.clients[conn.client].name;
            if conn.client_end != End::Closed && conn.dead && !self.clients[conn.client].gone {
                return Some(format!("{name} does not know that connection {id} is dead"));
            }
            if conn.server_end == End::Open && !conn.dead && !conn.outbox.is_empty() {
                return Some(format!("frames wait for {name}"));
            }
            if conn.holds_any() {
                return Some(format!("frames of {name} are held back"));
            }
        }
        self.clients.iter().enumerate().find_map(|(index, client)| {
            let why = self.client_unrest(index)?;
            Some(format!("{} {why}", client.name))
        })
    }

    fn client_unrest(&self, index: usize) -> Option<String> {
        let client = &self.clients[index];
        if client.gone {
            return None;
        }
        let connection = client.core.connection();
        match connection.status {
            Status::Live | Status::Idle if connection.pending > 0 => {
                return Some(format!("has {} writes without a verdict", connection.pending));
            }
            Status::Live => {}
            // a person has to do something first, or nothing is wanted
            Status::Idle | Status::NeedsAuth | Status::Failed | Status::Closed => return None,
            Status::Connecting | Status::Reconnecting | Status::Snapshot { .. } => {
                return Some(format!("is {}: {:?}", connection.status.as_str(), connection.last_error));
            }
        }
        client.watches.values().find_map(|watched| match watched.mirror.state().status {
            Status::Live | Status::Failed | Status::Closed => None,
            status => Some(format!("has a watch that is {}: {:?}", status.as_str(), watched.mirror.query())),
        })
    }
}
