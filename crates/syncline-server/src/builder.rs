//! Putting a server together.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt as _;
use serde::de::DeserializeOwned;
use syncline_core::space::{Channels, Engine, Identity, Who};
use syncline_core::wire::User;
use syncline_core::{Channel, Error, Record, Schema, SpaceId, Tx};

use crate::access::AppAccess;
use crate::actions::Guarded;
use crate::config::Config;
use crate::credentials::{Authenticator, Credentials};
use crate::hub::Hub;
use crate::jobs::{Handlers, Job, Jobs};
use crate::origin::Origins;
use crate::partysync::{self, Partysync, Spoken};
use crate::problem::INTERNAL;
use crate::rules::{ActionsOnly, Rules};
use crate::storage::Storage;
use crate::syncline::{Doors, Syncline};
use crate::watch_records::{Face, WatchRecords};

/// A server that is being put together; from [`Syncline::builder`].
#[must_use]
pub struct Builder<S = NoStorage> {
    storage: S,
    authenticator: Option<Authenticator>,
    access: AppAccess,
    schema: Schema,
    channels: Channels,
    jobs: Handlers,
    origins: Vec<String>,
    config: Config,
    watch: Option<WatchRecords>,
    /// What is to be known of channels to speak of them in other protocols.
    spoken: BTreeMap<&'static str, Spoken>,
    parties: Option<Partysync>,
}

/// In the place of the storage that a [`Builder`] has not been given.
#[derive(Debug)]
pub struct NoStorage;

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            storage: NoStorage,
            authenticator: None,
            access: AppAccess::default(),
            schema: Schema::default(),
            channels: Channels::default(),
            jobs: Handlers::default(),
            origins: Vec::new(),
            config: Config::default(),
            watch: None,
            spoken: BTreeMap::new(),
            parties: None,
        }
    }
}

impl<S> Builder<S> {
    /// Where spaces are kept: [`Sqlite`](crate::Sqlite), or [`Memory`](crate::Memory) for tests.
    pub fn storage<T: Storage>(self, storage: T) -> Builder<T> {
        let Self {
            storage: _,
            authenticator,
            access,
            schema,
            channels,
            jobs,
            origins,
            config,
            watch,
            spoken,
            parties,
        } = self;
        Builder {
            storage,
            authenticator,
            access,
            schema,
            channels,
            jobs,
            origins,
            config,
            watch,
            spoken,
            parties,
        }
    }

    /// Who a connection belongs to. Asked when it opens, and again when its client brings fresh credentials; the person
    /// it gives is behind every read, write and change of the connection.
    ///
    /// It gives a [`User`], or an [`Identity`] when the proof is good for a while only. An
    /// [`AuthError`](crate::AuthError) asks the client for other credentials, `forbidden` turns it away for good, any other error for now.
    ///
    /// Without this, everybody is one and the same user, `anonymous`: enough for a trial, too little for anything with
    /// rules about people.
    ///
    /// ```
    /// use syncline_server::{AuthError, Credentials, Syncline, User};
    ///
    /// async fn who(credentials: Credentials) -> Result<User, AuthError> {
    ///     match credentials.token.as_deref() {
    ///         Some("open sesame") => Ok(User { id: "ali".into(), name: Some("Ali Baba".into()) }),
    ///         _ => Err(AuthError::new("That is not the word.")),
    ///     }
    /// }
    ///
    /// let builder = Syncline::builder().authenticate(who);
    /// ```
    pub fn authenticate<F, A, I, E>(mut self, authenticate: F) -> Self
    where
        F: Fn(Credentials) -> A + Send + Sync + 'static,
        A: Future<Output = Result<I, E>> + Send + 'static,
        I: Into<Identity>,
        E: Into<Error>,
    {
        self.authenticator = Some(Arc::new(move |credentials| {
            let asked = authenticate(credentials);
            async move { asked.await.map(Into::into).map_err(Into::into) }.boxed()
        }));
        self
    }

    /// Whether a person may open a space: `unknown_space` where there is none, `forbidden` or a code of the
    /// application's where it is not theirs.
    ///
    /// Without this, every space there could be exists and is open to everybody.
    pub fn spaces(
        mut self,
        rule: impl Fn(&User, &SpaceId) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        self.access.spaces = Some(Box::new(rule));
        self
    }

    /// A collection that spaces have, and what people may do with its rows; `()` where there is nothing to say
    /// about that.
    ///
    /// # Panics
    /// When another Rust type with other fields has the same collection name: a mistake in the program.
    #[track_caller]
    pub fn collection<R: Record>(mut self, rules: impl Rules<R>) -> Self {
        self.schema.add::<R>();
        self.access.add::<R>(rules);
        self
    }

    /// A channel, and what the server does with its actions. The handler looks at who acts, changes rows through the
    /// transaction, and gives the output or the refusal; what it changed is stored and shown as one change.
    ///
    /// It is called on the task that runs all spaces: it waits for nothing. What takes time, or concerns others, it leaves as
    /// a [job](Self::job) with [`Tx::enqueue`]. The [`Rules`] of collections are not asked about what it writes: it is the
    /// rule. A handler that panics refuses the one action.
    ///
    /// The collection of the channel's records is added too, unless it is there already. Everybody who may open a space reads it, and nobody
    /// writes its rows past the channel: that is `actions_only`. [`collection`](Self::collection), before or after this, gives it other rules; with
    /// `()` people write as they like.
    ///
    /// ```
    /// use syncline_server::{Error, Syncline};
    /// # use serde::{Deserialize, Serialize};
    /// # use syncline_core::{Channel, Draft, Record};
    /// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    /// # #[record(collection = "todos", key = id)]
    /// # struct Todo { id: String, by: String, done: bool }
    /// # #[derive(Serialize, Deserialize)]
    /// # enum TodoAction { Create { id: String }, Finish { id: String } }
    /// # struct TodoChannel;
    /// # impl Channel for TodoChannel {
    /// #     const NAME: &'static str = "todos";
    /// #     type Record = Todo;
    /// #     type Action = TodoAction;
    /// #     type Output = ();
    /// #     type Error = Error;
    /// #     fn reduce(_: &mut Draft<'_, Todo>, _: &TodoAction) {}
    /// # }
    ///
    /// let builder = Syncline::builder().channel::<TodoChannel>(|tx, action, who| {
    ///     let mut todos = tx.rows::<Todo>();
    ///     match action {
    ///         TodoAction::Create { id } => todos.put(Todo { id, by: who.user.id.to_string(), done: false }),
    ///         TodoAction::Finish { id } => {
    ///             if !todos.update(&id, |todo| todo.done = true) {
    ///                 return Err(Error::new("gone", "Somebody has deleted it."));
    ///             }
    ///             tx.enqueue("congratulate", &id);
    ///         }
    ///     }
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Panics
    /// When there is a channel of that name already, or another Rust type with other fields has the same collection name:
    /// mistakes in the program.
    #[track_caller]
    pub fn channel<C: Channel>(
        mut self,
        handler: impl Fn(&mut Tx<'_>, C::Action, &Who<'_>) -> Result<C::Output, C::Error> + Send + Sync + 'static,
    ) -> Self {
        self.channels.add::<C>(handler);
        self.spoken.insert(C::NAME, Spoken::of::<C>());
        if self.access.has(C::Record::COLLECTION) {
            self.schema.add::<C::Record>();
            self
        } else {
            self.collection::<C::Record>(ActionsOnly)
        }
    }

    /// What does the jobs of a name, which handlers of actions leave with [`Tx::enqueue`].
    ///
    /// A job is stored with what its action wrote, and done once that is on disk: at least once, whatever crashes. It may be done again
    /// when the process ends before it is noted that it was done, so what it does must be harmless twice: its [`id`](Job::id) stays
    /// the same, for whoever is called to tell, and for [`send_action_once`](Syncline::send_action_once).
    ///
    /// A handler that fails, panics, or takes more time than it may is tried again, later and later, until the job is kept as failed; see
    /// [`JobConfig`](crate::JobConfig) for how often and how many at a time. Jobs have no order among each other. Those of a
    /// name without a handler stay stored, and the log says so once. Two processes on one storage may both do a job.
    ///
    /// ```
    /// use syncline_server::{Error, Job, Syncline};
    /// # async fn send_mail(to: &str, id: &str) -> Result<(), Error> { Ok(()) }
    ///
    /// let builder = Syncline::builder().job("congratulate", async |job: Job<String>| {
    ///     send_mail(&job.payload, &job.id).await
    /// });
    /// ```
    ///
    /// # Panics
    /// When there is a handler of that name already: a mistake in the program.
    #[track_caller]
    pub fn job<P, F, A, E>(mut self, name: impl Into<Box<str>>, handler: F) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        F: Fn(Job<P>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.jobs.add(name.into(), handler);
        self
    }

    /// The application's schema version. A client with another one loads its rows anew.
    pub fn schema_version(mut self, version: u32) -> Self {
        self.schema.version = version;
        self
    }

    /// The origins whose pages may connect, like `https://app.example.com`, beside those of the server's own host. They
    /// may send cookies along.
    pub fn allowed_origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Also speaks contrail's `watchRecords`, at [`Syncline::xrpc_router`]. See [`watch_records`](crate::watch_records).
    pub fn watch_records(mut self, watch: WatchRecords) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Also speaks partysync's protocol, at [`Syncline::parties_router`]. See [`partysync`](crate::partysync).
    pub fn partysync(mut self, parties: Partysync) -> Self {
        self.parties = Some(parties);
        self
    }

    /// Other bounds and times than the default ones.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }
}

impl<S: Storage> Builder<S> {
    /// Starts the server's tasks on the tokio runtime this is called in.
    ///
    /// # Errors
    /// `bad_config`, with the field that is wrong; `unknown_collection` for one that is to be watched and is not there; `unknown_channel` for one that a party
    /// speaks of and is not there; `internal` when the system has no random numbers.
    pub async fn build(self) -> Result<Syncline, Error> {
        let Self {
            storage,
            authenticator,
            access,
            schema,
            channels,
            jobs,
            origins,
            config,
            watch,
            spoken,
            parties,
        } = self;
        config.check()?;
        let origins = Origins::parse(&origins)?;
        let face = watch.map(|watch| Face::new(watch, &schema)).transpose()?.map(Arc::new);
        let access = Arc::new(access);
        let parties = parties.map(|parties| partysync::Face::new(parties, &spoken, &*access, &config));
        let parties = parties.transpose()?.map(Arc::new);
        let seed = getrandom::u64().map_err(|_| Error::new(INTERNAL, "the system has no random numbers"))?;
        let engine =
            Engine::new(config.engine.clone(), schema, access, seed).actions(Arc::new(Guarded(channels)));
        let authenticator = authenticator.unwrap_or_else(everybody_is_anonymous);
        let jobs = Jobs { handlers: jobs, config: config.jobs.clone() };
        Ok(Hub::start(engine, config, storage, authenticator, jobs, Doors { origins, face, parties }))
    }
}

fn everybody_is_anonymous() -> Authenticator {
    tracing::warn!("without `authenticate`, everybody is the same anonymous user");
    Arc::new(|_| async { Ok(User { id: "anonymous".into(), name: None }.into()) }.boxed())
}
