//! A program without a face: it keeps its rows in a file, writes one, and says what happens to all of them.
#![expect(clippy::print_stdout, reason = "what happens is what it is to say")]

use serde::{Deserialize, Serialize};
use syncline::{Client, Record, storage::SqliteStorage};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
struct Todo {
    id: String,
    text: String,
    done: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), syncline::Error> {
    let client =
        Client::builder("http://127.0.0.1:3000/sync").storage(SqliteStorage::new("todos.db")).build();
    let open = client.watch(Todo::in_space("list-42").filter(Todo::done.eq(false)));
    open.loaded().await?; // from the last run's file, before there is any connection
    client.put("list-42", Todo { id: "t1".into(), text: "Milk".into(), done: false }).await?;
    while let Some(diffs) = open.next().await {
        println!("{diffs:?}");
    }
    Ok(())
}
