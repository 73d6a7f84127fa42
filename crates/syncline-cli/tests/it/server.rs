//! A server that may go and come back.

use std::net::SocketAddr;

use axum::Router;
use serde::{Deserialize, Serialize};
use syncline_core::{Channel, Draft, Error, Query, Record as _, SpaceId};
use syncline_server::{AuthError, Credentials, Memory, Sqlite, Storage, Syncline, Tx, User, Who};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Todo, soon};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    syncline: Syncline,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// What is done to lists by actions.
struct Lists;

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
enum ListAction {
    Rename { id: String, text: String },
    ClearCompleted,
}

/// There is no such to-do.
#[derive(Clone, Serialize, Deserialize)]
struct Gone {
    id: String,
}

impl From<Gone> for Error {
    fn from(Gone { id }: Gone) -> Self {
        Self::new("gone", format!("there is no `{id}`"))
    }
}

impl Channel for Lists {
    const NAME: &'static str = "lists";
    type Record = Todo;
    type Action = ListAction;
    type Output = usize;
    type Error = Gone;

    fn reduce(todos: &mut Draft<'_, Todo>, action: &ListAction) {
        match action.clone() {
            ListAction::Rename { id, text } => {
                todos.update(&id, |todo| todo.text = text);
            }
            ListAction::ClearCompleted => {
                for todo in todos.rows().iter().filter(|todo| todo.done) {
                    todos.remove(&todo.id);
                }
            }
        }
    }

    fn records(list: SpaceId) -> Query<Todo> {
        Todo::in_space(list)
    }
}

fn on_list_action(tx: &mut Tx<'_>, action: ListAction, _: &Who<'_>) -> Result<usize, Gone> {
    let mut todos = tx.rows::<Todo>();
    let changed = match &action {
        ListAction::Rename { id, .. } if !todos.contains(id) => return Err(Gone { id: id.clone() }),
        ListAction::Rename { .. } => 1,
        ListAction::ClearCompleted => todos.rows().iter().filter(|todo| todo.done).count(),
    };
    Lists::reduce(&mut todos, &action);
    Ok(changed)
}

/// Whoever shows a token has its name; some need none.
async fn who(credentials: Credentials) -> Result<User, syncline_server::Error> {
    match credentials.token.as_deref() {
        Some("wrong") => Err(AuthError::new("Who are you?").into()),
        name => Ok(User { id: name.unwrap_or("anybody").into(), name: None }),
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Memory::new(), None).await
    }

    /// With what is kept in a file, perhaps where one was before.
    pub(crate) async fn of(file: &std::path::Path, address: Option<SocketAddr>) -> Self {
        Self::with(Sqlite::open(file).unwrap(), address).await
    }

    async fn with(storage: impl Storage, address: Option<SocketAddr>) -> Self {
        let builder = Syncline::builder().storage(storage).authenticate(who);
        let syncline = builder.collection::<Todo>(()).channel::<Lists>(on_list_action).build().await.unwrap();
        let address = address.unwrap_or(([127, 0, 0, 1], 0).into());
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app: Router = Router::new().nest("/sync", syncline.router());
        let (stop, stopped) = oneshot::channel::<()>();
        let handle = syncline.clone();
        let shutdown = async move {
            let _ = stopped.await;
            handle.shutdown().await;
        };
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).with_graceful_shutdown(shutdown).await.unwrap();
        });
        Self { address, syncline, stop, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/sync", self.address)
    }

    /// How many connections there are.
    pub(crate) async fn connections(&self, count: usize) {
        soon(self.syncline.gauges_when(|gauges| gauges.connections == count)).await;
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        soon(self.serving).await.unwrap();
    }
}
