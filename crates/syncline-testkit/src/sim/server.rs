//! The server's process, its disk, and how both fail.

use std::sync::Arc;
use std::time::Duration;

use syncline_core::space::{self, Commit, Engine, Gauges, Identity, NewJob};
use syncline_core::{Error, Record, SpaceId, code};

use crate::connection::End;
use crate::faults::CrashPoint;
use crate::outbox::Outbox;
use crate::sim::Sim;
use crate::sim::event::Event;
use crate::trace::Who;

impl Sim {
    /// Whether the server's process runs.
    pub fn server_is_up(&self) -> bool {
        self.server.engine.is_some()
    }

    /// What the engine holds; nothing while the server is down.
    pub fn gauges(&self) -> Gauges {
        self.server.engine.as_ref().map(Engine::gauges).unwrap_or_default()
    }

    /// What a query finds in the server's storage now, whoever may see it.
    pub fn server_rows<R: Record>(&self, query: &syncline_core::Query<R>) -> Vec<R> {
        let rows = self.disk.query(query.spec(), &self.schema);
        rows.iter().filter_map(|row| row.as_any().downcast_ref::<R>()).cloned().collect()
    }

    /// The jobs that actions have left in a space, as the server's storage has them: what comes of them is the test's affair.
    pub fn server_jobs(&self, space: impl Into<SpaceId>) -> &[NewJob] {
        self.disk.jobs(&space.into())
    }

    /// The last version of a space that is on disk.
    pub fn server_version(&self, space: impl Into<SpaceId>) -> u64 {
        self.disk.version(&space.into())
    }

    /// Kills the server's process, as `kill -9` does: connections break, and what is on its way to the disk may still
    /// get there.
    pub fn crash_server(&mut self) {
        self.die(false);
    }

    /// Cuts the server's power: as [`crash_server`](Self::crash_server), but no client hears of it.
    pub fn crash_server_silently(&mut self) {
        self.die(true);
    }

    /// Kills the server's process around the next commit.
    pub fn crash_at_next_commit(&mut self, point: CrashPoint) {
        self.server.armed = Some(point);
    }

    /// Starts the server again, with what its disk holds. Nothing happens when it runs.
    pub fn start_server(&mut self) {
        if self.server.engine.is_some() {
            return;
        }
        self.trace.note(self.now, Who::Server, "starts");
        let seed = !self.seed ^ self.server.life.rotate_left(32);
        let engine = Engine::new(self.config.clone(), self.schema.clone(), self.access.clone(), seed);
        self.server.engine = Some(engine.actions(Arc::clone(&self.actions)));
        self.server.note_deadline();
    }

    /// Asks the server to stop in its own time: what it has taken in is stored and acknowledged first.
    ///
    /// # Panics
    /// When it has not stopped within 30 s of virtual time.
    #[track_caller]
    pub fn stop_server(&mut self) {
        self.trace.note(self.now, Who::Server, "is asked to stop");
        self.feed_server(space::Input::Shutdown);
        let stopped = |sim: &Self| {
            let (gauges, served) = (sim.gauges(), |end| end == End::Open);
            gauges.connections == 0
                && gauges.writes_waiting == 0
                && sim.disk.writing.is_empty()
                && !sim.connections.values().any(|conn| served(conn.server_end))
        };
        if !self.until_within(Duration::from_secs(30), stopped) {
            self.fail(format_args!("the server does not stop: {:?}", self.gauges()));
        }
        self.die(false);
    }

    /// From now on every commit fails, or none any more.
    pub fn fail_disk(&mut self, failing: bool) {
        self.trace.note(self.now, Who::Disk, if failing { "fails every commit" } else { "works" });
        self.disk.failing = failing;
    }

    /// From now on no space can be read, or every one again.
    pub fn fail_disk_reads(&mut self, failing: bool) {
        self.trace.note(self.now, Who::Disk, if failing { "cannot be read" } else { "can be read" });
        self.disk.unreadable = failing;
    }

    /// How long the disk takes for whatever it does, at the least; up to twice of it in fact. 2 ms.
    pub fn slow_disk(&mut self, latency: Duration) {
        self.disk_latency = latency;
    }

    /// Kills the server and deletes its database. What was acknowledged is lost; the spaces begin new histories.
    pub fn wipe_disk(&mut self) {
        self.die(false);
        self.trace.note(self.now, Who::Disk, "is wiped");
        self.disk.wipe();
        self.doubt_all_writes();
    }

    /// Makes a copy of the server's database, for [`restore_disk`](Self::restore_disk).
    pub fn back_up_disk(&mut self) {
        self.trace.note(self.now, Who::Disk, "is backed up");
        self.backup = Some(self.disk.copy());
    }

    /// Kills the server and puts the last copy of its database back. What was acknowledged since is lost.
    ///
    /// # Panics
    /// When there is no copy.
    #[track_caller]
    pub fn restore_disk(&mut self) {
        self.die(false);
        self.trace.note(self.now, Who::Disk, "is restored");
        let Some(copy) = &self.backup else { self.fail("there is no copy of the database") };
        self.disk.restore(copy);
        self.doubt_all_writes();
    }

    // what was acknowledged before says nothing about the disk any more
    fn doubt_all_writes(&mut self) {
        for write in self.clients.iter_mut().flat_map(|client| client.writes.values_mut()) {
            write.uncertain = true;
        }
    }

    fn die(&mut self, silently: bool) {
        if self.server.engine.take().is_none() {
            return;
        }
        self.trace.note(self.now, Who::Server, "dies");
        self.server.life += 1;
        self.server.deadline = None;
        self.server.armed = None;
        self.disk.reading = 0;
        for commit in std::mem::take(&mut self.disk.writing) {
            // what the operating system had already got may still reach the disk
            if self.rng.chance(0.5) {
                self.store(&commit);
            }
        }
        let ids: Vec<_> = self.connections.keys().copied().collect();
        for id in ids {
            if let Some(conn) = self.connections.get_mut(&id).filter(|conn| conn.server_end == End::Open) {
                conn.outbox = Outbox::new(self.outbox_bytes);
                conn.server_end = End::Closed;
                if silently {
                    self.silence(id);
                } else {
                    self.cut_connection(id);
                }
            }
        }
    }

    #[track_caller]
    pub(super) fn server_says(&mut self, output: space::Output) {
        let life = self.server.life;
        match output {
            space::Output::Authenticate { conn, token } => {
                let takes = self.rng.duration(Duration::from_millis(10));
                let result = self.authenticate(conn, token.as_deref());
                self.push(takes, Event::Authenticated { life, conn, result });
            }
            space::Output::Send { conn, frame, lossy, drained } => {
                self.server_sends(conn, frame, lossy, drained)
            }
            space::Output::Close { conn, error } => {
                self.trace.note(self.now, Who::Server, format!("ends connection {conn}: {error:?}"));
                self.server_closes(conn);
            }
            space::Output::Load { space } => {
                self.disk.reading += 1;
                let takes = self.disk_takes();
                self.push(takes, Event::Loaded { life, space });
            }
            space::Output::Commit(commit) => self.begin_commit(*commit),
            space::Output::Acted { call, .. } => self.fail(format_args!("nobody made call {call}")),
            space::Output::Unreadable { space, collection, key, code } => {
                self.fail(format_args!("the engine cannot read {collection}/{key} in {space}: {code}"));
            }
        }
    }

    fn disk_takes(&mut self) -> Duration {
        let least = self.disk_latency;
        least + self.rng.duration(least)
    }

    fn authenticate(&self, conn: u64, token: Option<&str>) -> Result<Identity, Error> {
        let unknown = || Error::new(code::UNAUTHENTICATED, "nobody is known to be there");
        let client =
            self.connections.get(&conn).map(|conn| &self.clients[conn.client]).ok_or_else(unknown)?;
        match token {
            Some(token) => self.server.identify(token, self.now),
            None => Ok(Identity::from(client.user.clone())),
        }
    }

    #[track_caller]
    pub(super) fn loaded(&mut self, life: u64, space: SpaceId) {
        if life != self.server.life {
            return;
        }
        self.disk.reading -= 1;
        self.trace.note(self.now, Who::Disk, format!("has read {space}"));
        let result = if self.disk.unreadable {
            Err(Error::new(code::STORAGE, "the disk cannot be read"))
        } else {
            Ok(self.disk.image(&space))
        };
        self.feed_server(space::Input::Loaded { space, result });
    }

    #[track_caller]
    fn begin_commit(&mut self, commit: Commit) {
        if self.disk.writing.iter().any(|other| other.space == commit.space) {
            self.fail("the engine gives a second commit of a space before the first is answered");
        }
        let what = format!("gets commit {} of {}, {} to {}", commit.id, commit.space, commit.from, commit.to);
        self.trace.note(self.now, Who::Disk, what);
        let (life, takes) = (self.server.life, self.disk_takes());
        self.push(takes, Event::Durable { life, space: commit.space.clone(), commit: commit.id });
        self.disk.writing.push(commit);
    }

    #[track_caller]
    pub(super) fn durable(&mut self, life: u64, space: &SpaceId, id: u64) {
        if life != self.server.life {
            return;
        }
        let Some(at) = self.disk.writing.iter().position(|one| one.id == id && one.space == *space) else {
            return;
        };
        let commit = self.disk.writing.remove(at);
        let crash = self.server.armed.take().or_else(|| self.random_crash());
        if crash == Some(CrashPoint::BeforeDurable) {
            self.die(false);
            return;
        }
        let (space, id) = (commit.space.clone(), commit.id);
        let result = if self.disk.failing || self.rng.chance(self.faults.disk_failure) {
            self.trace.note(self.now, Who::Disk, format!("fails commit {id}"));
            Err(Error::new(code::STORAGE, "the disk has failed"))
        } else {
            self.store(&commit);
            Ok(())
        };
        if crash == Some(CrashPoint::AfterDurable) {
            self.die(false);
            return;
        }
        let takes = self.rng.duration(Duration::from_millis(1));
        self.push(takes, Event::Committed { life, space, commit: id, result });
    }

    fn random_crash(&mut self) -> Option<CrashPoint> {
        if !self.rng.chance(self.faults.crash) {
            return None;
        }
        let takes = self.rng.duration(Duration::from_secs(5));
        self.push(takes, Event::Starts);
        Some(*self.rng.pick(&[CrashPoint::BeforeDurable, CrashPoint::AfterDurable]))
    }

    #[track_caller]
    fn store(&mut self, commit: &Commit) {
        self.trace.note(self.now, Who::Disk, format!("has stored commit {} of {}", commit.id, commit.space));
        self.changed = true;
        if let Err(violation) = self.disk.apply(commit, &self.schema) {
            self.fail(violation);
        }
    }
}
