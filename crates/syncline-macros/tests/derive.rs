//! What the derive gives, seen by a crate that depends on `syncline-core`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use syncline_core::{FieldDef, Key, Record, Scalar};

mod model {
    use super::{Deserialize, Record, Serialize};

    #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    #[record(collection = "todos", key = id)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Todo {
        pub(super) id: String,
        pub(super) text: String,
        pub(super) done: bool,
        pub(super) created_at: u64,
        #[serde(rename = "pos", alias = "position", alias = "place")]
        pub(super) position: Option<f64>,
        #[record(opaque)]
        pub(super) labels: Vec<String>,
        #[serde(skip)]
        pub(super) draft: Option<String>,
        pub(super) r#type: String,
    }
}

use model::Todo;

fn todo() -> Todo {
    Todo {
        id: "t1".into(),
        text: "Milk".into(),
        done: true,
        created_at: 12,
        position: None,
        labels: vec!["home".into()],
        draft: Some("x".into()),
        r#type: "plain".into(),
    }
}

#[test]
fn the_fields_are_those_on_the_wire_in_order() {
    let def = |name, queryable| FieldDef { name, queryable, aliases: &[] };
    assert_eq!(
        Todo::FIELDS,
        [
            def("id", true),
            def("text", true),
            def("done", true),
            def("createdAt", true),
            FieldDef { aliases: &["position", "place"], ..def("pos", true) },
            def("labels", false),
            def("type", true),
        ]
    );
    let json = serde_json::to_value(todo()).unwrap();
    let mut written: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut derived: Vec<_> = Todo::FIELDS.iter().map(|field| field.name).collect();
    written.sort_unstable();
    derived.sort_unstable();
    assert_eq!(written, derived);
}

#[test]
fn the_values_are_those_of_the_fields() {
    let todo = todo();
    let values: Vec<Scalar> = (0..Todo::FIELDS.len() + 1).map(|index| todo.field(index).to_owned()).collect();
    let null = Scalar::Null;
    let expected = [
        "t1".into(),
        "Milk".into(),
        true.into(),
        12.into(),
        null.clone(),
        null.clone(),
        "plain".into(),
        null,
    ];
    assert_eq!(values, expected);
}

#[test]
fn the_key_and_the_collection_are_the_named_ones() {
    assert_eq!((Todo::COLLECTION, Todo::KEY_FIELD, todo().key()), ("todos", "id", "t1"));
}

#[test]
fn tokens_make_queries_with_the_names_on_the_wire() {
    let query = Todo::in_space("list-1")
        .filter(Todo::r#type.eq("plain"))
        .order_by(Todo::position)
        .order_by(Todo::created_at.desc());
    let json = serde_json::to_value(query.spec()).unwrap();
    assert_eq!(json["order"], serde_json::json!([["pos", "asc"], ["createdAt", "desc"]]));
    assert_eq!((Todo::r#type.name(), Todo::done.name()), ("type", "done"));
}

#[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "shared")]
#[record(key = key, crate = ::syncline_core)]
struct Shared {
    key: Arc<str>,
    owner: Key,
}

#[test]
fn any_text_can_be_the_key_and_attributes_may_be_split() {
    let row = Shared { key: "k".into(), owner: "o".into() };
    // the token `Shared::key` and the method of the trait do not get into each other's way
    assert_eq!((row.key(), Shared::key.name(), Shared::owner.name()), ("k", "key", "owner"));
}
