//! The one connection to the server: when to make it, when to try again. What it is tried over stands in [`transport`],
//! how to tell that it is dead in [`pulse`].
//!
//! ```text
//!            want            opened          welcome
//!   Idle ──▶ Asking ──▶ Opening ──▶ Greeting ──▶ Open
//!    ▲      (credentials)  │            │          │
//!    │                     └─────┬──────┴──────────┘ one failure, one decision
//!    └── nobody wants it         ▼
//!                             Waiting (backoff) ──▶ Asking …        NeedsAuth, Failed: until told to try again
//! ```

mod pulse;
mod transport;

use std::time::Duration;

use self::pulse::{Due, Pulse};
use self::transport::TransportChoice;
use crate::client::{Config, Output, Status, Transport};
use crate::error::{Error, code};
use crate::id::ClientId;
use crate::rng::Rng;
use crate::wire::{
    Auth, ClientMessage, Hello, JSON, JSON_BYTES, Limits, PACKED, PROTOCOL, User, Welcome, encode,
};

/// See the [module](self).
pub(crate) struct Link {
    config: Config,
    rng: Rng,
    phase: Phase,
    attempt: u64,
    transport: TransportChoice,
    pulse: Pulse,
    /// Failures in a row. A connection that lasts ends the row; one that is lost as soon as it is open does not.
    failures: u32,
    /// The application's credentials; asked for once for a connection, again when the server says they are no good.
    token: Token,
    /// The application has been asked for credentials, and has not answered.
    asking: bool,
    /// Fresh ones were demanded when others were on their way already.
    again: bool,
    last_error: Option<Error>,
    user: Option<User>,
    limits: Limits,
    /// When it was opened.
    opened: Duration,
    /// The application has switched it on.
    enabled: bool,
    closed: bool,
    /// Since when nobody has needed the connection.
    unused_since: Option<Duration>,
    wanted: bool,
    /// Whether it has been open since it was last wanted.
    was_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Asking,
    Opening {
        overdue: Duration,
    },
    Greeting {
        overdue: Duration,
    },
    Open,
    /// Open, while the credentials are renewed.
    Renewing {
        /// When the server's answer is overdue; while the application is asked, which may take as long as a person
        /// takes, nothing is.
        overdue: Option<Duration>,
        /// The server does nothing more before it has them.
        expired: bool,
    },
    Waiting {
        until: Duration,
    },
    NeedsAuth,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// To be asked for.
    Unknown,
    /// To be asked for, because the server turned away the one before.
    Refused,
    /// What the application gave.
    Known(Option<String>),
    /// What the application gave after the server refused the one before; if this one is refused too, a person is needed.
    Renewed(Option<String>),
}

/// What a step of the link means for the rest of the core.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Nothing.
    None,
    /// The connection is gone.
    Lost,
}

impl Link {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            rng: Rng::new(config.seed),
            phase: Phase::Idle,
            attempt: 0,
            transport: TransportChoice::new(config.transport, config.remembered),
            pulse: Pulse::new(config.answer_within),
            failures: 0,
            token: Token::Unknown,
            asking: false,
            again: false,
            last_error: None,
            user: None,
            limits: Limits::default(),
            opened: Duration::ZERO,
            enabled: true,
            closed: false,
            unused_since: None,
            wanted: false,
            was_open: false,
            config,
        }
    }

    /// Whether requests can be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether there is a connection; requests may have to wait for credentials.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Renewing { .. })
    }

    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn status(&self) -> Status {
        match self.phase {
            _ if self.closed || !self.enabled => Status::Closed,
            Phase::Idle => Status::Idle,
            Phase::Open | Phase::Renewing { expired: false, .. } => Status::Live,
            Phase::NeedsAuth => Status::NeedsAuth,
            Phase::Failed => Status::Failed,
            _ if self.was_open || self.failures > 0 => Status::Reconnecting,
            _ => Status::Connecting,
        }
    }

    pub(crate) fn transport(&self) -> Option<Transport> {
        self.is_connected().then(|| self.transport.current())
    }

    pub(crate) fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    pub(crate) fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Whether inputs about this attempt still count.
    pub(crate) fn is_current(&self, attempt: u64) -> bool {
        attempt == self.attempt
            && matches!(
                self.phase,
                Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Open | Phase::Renewing { .. }
            )
    }

    /// Says whether anybody needs the connection; opens it, or lets it end after the linger.
    pub(crate) fn want(&mut self, now: Duration, wanted: bool, out: &mut Vec<Output>) {
        self.wanted = wanted;
        if wanted {
            self.unused_since = None;
            if self.phase == Phase::Idle && self.enabled && !self.closed {
                self.connect(now, out);
            }
        } else if self.phase != Phase::Idle && self.unused_since.is_none() {
            self.unused_since = Some(now);
        }
    }

    fn connect(&mut self, now: Duration, out: &mut Vec<Output>) {
        if let Err(error) = ClientId::checked(self.config.client.as_str()) {
            // no server takes it
            (self.phase, self.last_error) = (Phase::Failed, Some(error));
            return;
        }
        if self.config.has_credentials && matches!(self.token, Token::Unknown | Token::Refused) {
            self.phase = Phase::Asking;
            self.ask_for_credentials(out);
            return;
        }
        self.attempt += 1;
        self.phase = Phase::Opening { overdue: now + self.config.answer_within };
        self.pulse.reset();
        let (attempt, transport) = (self.attempt, self.transport.current());
        out.push(Output::Open { attempt, transport, hello: self.hello() });
    }

    /// One request at a time, however often the connection is lost meanwhile: it may have opened a dialog.
    fn ask_for_credentials(&mut self, out: &mut Vec<Output>) {
        if !std::mem::replace(&mut self.asking, true) {
            out.push(Output::Credentials);
        }
    }

    fn token(&self) -> Option<String> {
        match &self.token {
            Token::Unknown | Token::Refused => None,
            Token::Known(token) | Token::Renewed(token) => token.clone(),
        }
    }

    fn hello(&self) -> Vec<u8> {
        let hello = Hello {
            protocol: PROTOCOL,
            schema: self.config.schema_version,
            client: self.config.client.clone(),
            encodings: [PACKED, JSON_BYTES, JSON].map(Into::into).to_vec(),
            token: self.token(),
        };
        encode(&ClientMessage::Hello(hello), [])
    }

    /// Sends a message that the server answers.
    pub(crate) fn ask(&mut self, now: Duration, message: &ClientMessage, out: &mut Vec<Output>) {
        out.push(self.asking(now, encode(message, [])));
    }

    /// A frame that the server answers, to be sent. It may take its time to leave.
    pub(crate) fn asking(&mut self, now: Duration, frame: Vec<u8>) -> Output {
        self.pulse.asks(now, frame.len());
        Output::Send { attempt: self.attempt, frame }
    }

    /// What was to leave by then has left: the server has answered it. Gives how much sooner than at the slowest that was.
    pub(crate) fn has_left(&mut self, now: Duration, leaves_at: Duration) -> Duration {
        self.pulse.has_left(now, leaves_at)
    }

    /// When everything has left that was sent until now.
    pub(crate) fn left_at(&self, now: Duration) -> Duration {
        self.pulse.left_at(now)
    }

    /// Sends a message that has no answer.
    pub(crate) fn tell(&self, message: &ClientMessage, out: &mut Vec<Output>) {
        out.push(Output::Send { attempt: self.attempt, frame: encode(message, []) });
    }

    pub(crate) fn opened(&mut self, now: Duration, out: &mut Vec<Output>) {
        if !matches!(self.phase, Phase::Opening { .. }) {
            return;
        }
        self.phase = Phase::Greeting { overdue: now + self.config.answer_within };
        if self.transport.current() == Transport::WebSocket {
            out.push(Output::Send { attempt: self.attempt, frame: self.hello() });
        }
    }

    /// Any frame shows that the server is there.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.pulse.heard(now);
    }

    pub(crate) fn welcome(&mut self, now: Duration, welcome: Welcome, out: &mut Vec<Output>) {
        self.user = Some(welcome.user);
        self.last_error = None;
        if let Token::Renewed(token) = &self.token {
            self.token = Token::Known(token.clone());
        }
        match self.phase {
            // credentials were renewed in place: what was open is open
            Phase::Renewing { overdue: Some(_), .. } => self.phase = Phase::Open,
            Phase::Opening { .. } | Phase::Greeting { .. } => {
                self.limits = welcome.limits;
                self.pulse.set_heartbeat(welcome.heartbeat_ms);
                self.phase = Phase::Open;
                self.opened = now;
                self.was_open = true;
                out.extend(self.transport.has_worked().map(Output::Remember));
            }
            _ => return,
        }
        if std::mem::take(&mut self.again) {
            self.renew(now, false, out);
        }
    }

    /// Brings fresh credentials to the server, in place.
    fn renew(&mut self, now: Duration, expired: bool, out: &mut Vec<Output>) {
        if self.config.has_credentials {
            self.token = Token::Unknown;
            self.phase = Phase::Renewing { overdue: None, expired };
            self.ask_for_credentials(out);
        } else {
            self.authenticate(now, None, expired, out);
        }
    }

    fn authenticate(&mut self, now: Duration, token: Option<String>, expired: bool, out: &mut Vec<Output>) {
        self.phase = Phase::Renewing { overdue: Some(now + self.config.answer_within), expired };
        self.tell(&ClientMessage::Auth(Auth { token }), out);
    }

    /// The server says that the credentials are not good, or no longer.
    pub(crate) fn unauthenticated(
        &mut self,
        now: Duration,
        error: Option<Error>,
        out: &mut Vec<Output>,
    ) -> Event {
        match &mut self.phase {
            Phase::Renewing { overdue, expired } => {
                *expired = true;
                if error.is_none() || overdue.is_none() {
                    // it crossed with the new ones, which the server has yet to see
                    return Event::None;
                }
            }
            Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Open => {}
            Phase::Idle | Phase::Asking | Phase::Waiting { .. } | Phase::NeedsAuth | Phase::Failed => {
                return Event::None;
            }
        }
        if self.config.has_credentials && !matches!(self.token, Token::Renewed(_)) {
            self.renew(now, true, out);
            return Event::None;
        }
        self.last_error =
            error.or_else(|| Some(Error::new(code::UNAUTHENTICATED, "the session has expired")));
        self.token = Token::Unknown;
        self.leave(Phase::NeedsAuth, out)
    }

    /// The application's answer to [`Output::Credentials`].
    pub(crate) fn credentials(
        &mut self,
        now: Duration,
        result: Result<Option<String>, Error>,
        out: &mut Vec<Output>,
    ) -> Event {
        self.asking = false;
        let waits = matches!(self.phase, Phase::Asking | Phase::Renewing { overdue: None, .. });
        if std::mem::take(&mut self.again) {
            self.token = Token::Unknown;
            if waits {
                self.ask_for_credentials(out);
            }
            return Event::None;
        }
        match (self.phase, result) {
            (_, Err(error)) if waits => return self.lost(now, Some(error), out),
            (_, Err(_)) => {}
            (Phase::Asking, Ok(token)) => {
                let refused = self.token == Token::Refused;
                self.token = if refused { Token::Renewed(token) } else { Token::Known(token) };
                self.connect(now, out);
            }
            (Phase::Renewing { overdue: None, expired }, Ok(token)) => {
                self.token = Token::Renewed(token.clone());
                self.authenticate(now, token, expired, out);
            }
            // nobody waits for it any more; the next connection may use it
            (_, Ok(token)) => self.token = Token::Known(token),
        }
        Event::None
    }

    /// Asks for credentials anew: in place when the connection is open, with a new connection otherwise. What is on
    /// its way already is out of date.
    pub(crate) fn refresh_credentials(&mut self, now: Duration, out: &mut Vec<Output>) {
        // no earlier answer may pass for the fresh one
        self.again |= self.asking;
        match self.phase {
            Phase::Open => self.renew(now, false, out),
            Phase::NeedsAuth | Phase::Waiting { .. } | Phase::Failed => {
                self.token = Token::Unknown;
                self.retry_now(now, out);
            }
            Phase::Idle => self.token = Token::Unknown,
            Phase::Asking | Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Renewing { .. } => {
                self.again = true;
            }
        }
    }

    /// The connection failed, however many signs of it there are: one decision.
    pub(crate) fn lost(&mut self, now: Duration, error: Option<Error>, out: &mut Vec<Output>) -> Event {
        // a failure to get credentials says nothing of the transport
        let connecting = matches!(self.phase, Phase::Opening { .. } | Phase::Greeting { .. });
        if self.is_connected() && now >= self.opened + self.config.answer_within {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let terminal = error.as_ref().is_some_and(is_terminal);
        let unauthenticated = error.as_ref().is_some_and(Error::is_unauthenticated);
        self.last_error =
            error.or_else(|| Some(Error::new(code::CONNECTION, "the connection to the server was lost")));
        if !self.wanted || !self.enabled || self.closed {
            return self.leave(Phase::Idle, out);
        }
        if terminal {
            return self.leave(Phase::Failed, out);
        }
        if unauthenticated {
            // a token may have grown old: it is asked for anew, once. One that has just been asked for has not; and one
            // that is still being asked for the server has not seen
            let stale = self.config.has_credentials && (self.asking || matches!(self.token, Token::Known(_)));
            self.token = if stale { Token::Refused } else { Token::Unknown };
            let phase = if stale { Phase::Waiting { until: now } } else { Phase::NeedsAuth };
            return self.leave(phase, out);
        }
        let at_once = self.transport.has_failed(connecting);
        match self.config.backoff.wait(self.failures, &mut self.rng) {
            Some(_) if at_once => self.leave(Phase::Waiting { until: now }, out),
            Some(wait) => self.leave(Phase::Waiting { until: now + wait }, out),
            None => self.leave(Phase::Failed, out),
        }
    }

    /// Connects anew at once, as another client.
    pub(crate) fn restart(&mut self, now: Duration, client: ClientId, out: &mut Vec<Output>) -> Event {
        self.config.client = client;
        self.leave(Phase::Waiting { until: now }, out)
    }

    /// Ends the connection, if there is one, and goes to `phase`.
    fn leave(&mut self, phase: Phase, out: &mut Vec<Output>) -> Event {
        let before = std::mem::replace(&mut self.phase, phase);
        self.pulse.reset();
        // whether it was good was never said; on another connection it may have grown old
        if let Token::Renewed(token) = &self.token {
            self.token = Token::Known(token.clone());
        }
        if self.again && !self.asking {
            (self.again, self.token) = (false, Token::Unknown);
        }
        match before {
            Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Open | Phase::Renewing { .. } => {
                out.push(Output::Close { attempt: self.attempt });
                Event::Lost
            }
            _ => Event::None,
        }
    }

    /// Somebody asks for it: what failed before does not count.
    pub(crate) fn retry_now(&mut self, now: Duration, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Waiting { .. } | Phase::NeedsAuth | Phase::Failed) {
            self.failures = 0;
            self.try_now(now, out);
        }
    }

    fn try_now(&mut self, now: Duration, out: &mut Vec<Output>) {
        if self.enabled && !self.closed {
            self.phase = Phase::Idle;
            let wanted = self.wanted;
            self.want(now, wanted, out);
        }
    }

    /// The person's own switch.
    pub(crate) fn set_enabled(&mut self, now: Duration, enabled: bool, out: &mut Vec<Output>) -> Event {
        self.enabled = enabled;
        if enabled {
            let wanted = self.wanted;
            self.want(now, wanted, out);
            return Event::None;
        }
        self.failures = 0;
        self.leave(Phase::Idle, out)
    }

    pub(crate) fn close(&mut self, out: &mut Vec<Output>) -> Event {
        self.closed = true;
        self.leave(Phase::Idle, out)
    }

    /// The platform believes to be online, or the page to be visible, again: look at once.
    pub(crate) fn hint(&mut self, now: Duration, out: &mut Vec<Output>) {
        match self.phase {
            Phase::Waiting { .. } => self.try_now(now, out),
            Phase::Open => self.ping(now, out),
            _ => {}
        }
    }

    /// The platform believes to be online again.
    pub(crate) fn online(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.transport.set_offline(false);
        self.hint(now, out);
    }

    /// The platform believes to be offline: an open connection is looked at; nothing else would help.
    pub(crate) fn offline(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.transport.set_offline(true);
        if self.phase == Phase::Open {
            self.ping(now, out);
        }
    }

    fn ping(&mut self, now: Duration, out: &mut Vec<Output>) {
        let ping = ClientMessage::Ping(self.pulse.pings(now));
        self.tell(&ping, out);
    }

    /// An answer is overdue.
    pub(crate) fn timed_out(&mut self, now: Duration, out: &mut Vec<Output>) -> Event {
        self.lost(now, Some(Error::new(code::TIMEOUT, "the server did not answer in time")), out)
    }

    fn unused_until(&self) -> Option<Duration> {
        self.unused_since.map(|since| since + self.config.linger)
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Opening { overdue } | Phase::Greeting { overdue } => Some(overdue),
            Phase::Renewing { overdue: Some(overdue), .. } => Some(overdue),
            Phase::Waiting { until } => Some(until),
            Phase::Open | Phase::Renewing { overdue: None, expired: false } => Some(self.pulse.deadline()),
            Phase::Renewing { overdue: None, expired: true } => None,
            Phase::Idle | Phase::Asking | Phase::NeedsAuth | Phase::Failed => None,
        };
        let unused = if self.phase == Phase::Idle { None } else { self.unused_until() };
        [phase, unused].into_iter().flatten().min()
    }

    pub(crate) fn tick(&mut self, now: Duration, out: &mut Vec<Output>) -> Event {
        if self.phase != Phase::Idle && self.unused_until().is_some_and(|until| now >= until) {
            self.unused_since = None;
            self.was_open = false;
            self.failures = 0;
            return self.leave(Phase::Idle, out);
        }
        match self.phase {
            Phase::Opening { overdue }
            | Phase::Greeting { overdue }
            | Phase::Renewing { overdue: Some(overdue), .. }
                if now >= overdue =>
            {
                self.timed_out(now, out)
            }
            Phase::Waiting { until } if now >= until => {
                self.try_now(now, out);
                Event::None
            }
            Phase::Open | Phase::Renewing { overdue: None, expired: false } => {
                match self.pulse.due(now) {
                    Due::Nothing => {}
                    Due::Ping => self.ping(now, out),
                    Due::Answer => return self.timed_out(now, out),
                }
                Event::None
            }
            _ => Event::None,
        }
    }
}

/// Trying again cannot help.
fn is_terminal(error: &Error) -> bool {
    matches!(error.code(), code::UNSUPPORTED_PROTOCOL | code::FORBIDDEN_ORIGIN | code::FOREIGN_CLIENT)
        || error.code() == code::FORBIDDEN
}
