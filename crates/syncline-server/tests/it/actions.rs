//! Actions through a real socket and from inside, and whatever can be wrong with them.

use serde_json::{Value, json};
use syncline_core::Draft;
use syncline_server::{ActionError, Channel, Error, Memory, Sqlite, Syncline, code};
use tempfile::TempDir;

use crate::support::channel::{
    Counted, NoteAction, NoteChannel, NoteError, act, act_raw, ada, add, handle, with_channel,
};
use crate::support::ws::Ws;
use crate::support::{Note, Server, note, notes, put};

async fn server() -> Server {
    Server::of(with_channel(Memory::new()).build().await.unwrap()).await
}

/// Does an action; gives its acknowledgement.
async fn ack(ws: &mut Ws, frame: &Value) -> Value {
    ws.say(frame).await;
    ws.hear_one("changes").await.body["acks"][0].clone()
}

fn wrong(ack: &Value) -> (&str, &str) {
    assert!(ack.get("expected").is_none(), "it is final: {ack}");
    (ack["error"]["code"].as_str().unwrap(), ack["error"]["field"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn an_action_is_done_seen_and_answered() {
    let server = server().await;
    let (mut ada, _) = Ws::watch(&server, "client-a", "list").await;
    let (mut bob, _) = Ws::watch(&server, "client-b", "list").await;
    ada.say(&act("client-a", 1, "list", &add("n1"))).await;
    let heard = ada.hear_one("changes").await;
    assert_eq!(heard.texts(), ["note n1"]);
    assert_eq!(heard.body["acks"][0], json!({"client": "client-a", "id": 1, "output": {"notes": 1}}));
    let heard = bob.hear_one("changes").await;
    assert_eq!((heard.texts(), heard.body.get("acks")), (vec!["note n1"], None));
    // and the same again to who asks again
    let again = ack(&mut ada, &act("client-a", 1, "list", &add("n2"))).await;
    assert_eq!(again["output"], json!({"notes": 1}));
}

#[tokio::test]
async fn what_is_wrong_with_an_action_is_said_of_it_alone() {
    let server = server().await;
    let (mut bob, _) = Ws::watch(&server, "client-b", "list").await;
    let mut ws = Ws::open(&server, "client-a").await;
    let mut id = 0;
    let mut say = async |channel: &str, action: Value| {
        id += 1;
        ack(&mut ws, &act_raw("client-a", id, "list", channel, action)).await
    };
    let add = json!({ "type": "add", "payload": { "id": "n", "text": 5 } });
    let said = say("nope", add.clone()).await;
    assert_eq!(wrong(&said), (code::UNKNOWN_CHANNEL, "nope/add"));
    let said = say("'; DROP TABLE space; --", add.clone()).await;
    assert_eq!(wrong(&said), (code::UNKNOWN_CHANNEL, "'; DROP TABLE space; --/add"));
    let said = say("notes", json!({ "type": "fly" })).await;
    assert_eq!(wrong(&said), (code::BAD_ACTION, "notes/fly"));
    let said = say("notes", add).await;
    assert_eq!(wrong(&said), (code::BAD_ACTION, "notes/add"));
    let said = say("notes", json!([[["?"]]])).await;
    assert_eq!(wrong(&said), (code::BAD_ACTION, "notes"));
    let long_key = json!({ "type": "add", "payload": { "id": "k".repeat(300), "text": "" } });
    let said = say("notes", long_key).await;
    assert_eq!(wrong(&said), (code::BAD_KEY, "notes/add"));
    let said = say("notes", json!({ "type": "refuse" })).await;
    assert_eq!(wrong(&said), ("full", "notes/refuse"));
    let error: Error = serde_json::from_value(said["error"].clone()).unwrap();
    assert_eq!(ActionError::<NoteError>::from(error).refusal(), Some(&NoteError::Full { most: 3 }));

    ws.say(&act("client-a", 1, "closed", &NoteAction::Refuse)).await;
    let heard = ws.hear_one("changes").await;
    assert_eq!(wrong(&heard.body["acks"][0]), ("members_only", "notes/refuse"));

    // nobody has noticed anything, and the space goes on
    let ack = ack(&mut ws, &put("client-a", id + 1, "list", &note("n1", "Milk"))).await;
    assert_eq!(ack["error"], Value::Null);
    let heard = bob.hear_one("changes").await;
    assert_eq!((heard.texts(), &heard.body["from"], &heard.body["to"]), (vec!["Milk"], &json!(0), &json!(1)));
}

#[tokio::test]
async fn a_handler_that_panics_refuses_its_action_and_tells_nothing() {
    let server = server().await;
    let (mut bob, _) = Ws::watch(&server, "client-b", "list").await;
    let mut ws = Ws::open(&server, "client-a").await;
    // two of one batch, and one behind them
    for (id, action) in (1..).zip([NoteAction::Panic, NoteAction::Burst, add("n1")]) {
        ws.say(&act("client-a", id, "list", &action)).await;
    }
    let mut acks = Vec::new();
    while acks.len() < 3 {
        acks.extend(ws.hear_one("changes").await.body["acks"].as_array().unwrap().clone());
    }
    assert_eq!(wrong(&acks[0]), (code::ACTION_FAILED, "notes/panic"));
    assert_eq!(wrong(&acks[1]), (code::ACTION_FAILED, "notes/burst"));
    assert!(!format!("{acks:?}").contains("secret"), "{acks:?}");
    assert_eq!(acks[2]["output"], json!({"notes": 1}), "what they had made by then is gone");
    assert_eq!(bob.hear_one("changes").await.texts(), ["note n1"]);
}

#[tokio::test]
async fn an_action_from_inside_goes_the_same_way() {
    let server = server().await;
    let (mut bob, _) = Ws::watch(&server, "client-b", "list").await;
    let syncline = &server.syncline;
    let done = syncline.send_action::<NoteChannel>("list", ada(), add("n1")).await;
    assert_eq!(done.unwrap().notes, 1);
    let heard = bob.hear_one("changes").await;
    assert_eq!((heard.texts(), &heard.rows[0]["author"]), (vec!["note n1"], &json!("ada")));

    let refused = syncline.send_action::<NoteChannel>("list", ada(), NoteAction::Refuse).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&NoteError::Full { most: 3 }));
    assert_eq!(refused.error().field(), Some("notes/refuse"));
    let failed = syncline.send_action::<NoteChannel>("list", ada(), NoteAction::Panic).await.unwrap_err();
    assert_eq!((failed.refusal(), failed.error().code()), (None, code::ACTION_FAILED));
    let failed = syncline.send_action::<NoteChannel>("closed", ada(), add("n1")).await.unwrap_err();
    assert_eq!((failed.error().code(), failed.error().field()), ("members_only", Some("notes/add")));
    let failed = syncline.send_action::<NoteChannel>("no such space", ada(), add("n1")).await.unwrap_err();
    assert_eq!(failed.error().code(), code::UNKNOWN_SPACE);

    server.syncline.shutdown().await;
    let failed = syncline.send_action::<NoteChannel>("list", ada(), add("n1")).await.unwrap_err();
    assert_eq!(failed.error().code(), code::CONNECTION);
}

#[tokio::test]
async fn with_a_key_it_happens_once_whatever_becomes_of_the_process() {
    let folder = TempDir::new().unwrap();
    let open = async || {
        let storage = Sqlite::open(folder.path().join("spaces.db")).unwrap();
        with_channel(storage).build().await.unwrap()
    };
    let once = async |syncline: &Syncline, key: &str, action: NoteAction| {
        syncline.send_action_once::<NoteChannel>(key, "list", ada(), action).await
    };
    let syncline = open().await;
    assert_eq!(once(&syncline, "a", add("n1")).await.unwrap().notes, 1);
    assert_eq!(once(&syncline, "b", add("n2")).await.unwrap().notes, 2);
    once(&syncline, "c", NoteAction::Refuse).await.unwrap_err();
    syncline.shutdown().await;
    drop(syncline);

    let syncline = open().await;
    assert_eq!(once(&syncline, "a", add("n9")).await.unwrap().notes, 1, "as the first time");
    let refused = once(&syncline, "c", add("n9")).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&NoteError::Full { most: 3 }));
    assert_eq!(once(&syncline, "d", add("n3")).await.unwrap().notes, 3);
    // somebody else's key is another one
    let bob = syncline_server::User { id: "bob".into(), name: None };
    let done = syncline.send_action_once::<NoteChannel>("a", "list", bob, add("n4")).await;
    assert_eq!(done.unwrap().notes, 4);
}

#[tokio::test]
async fn nobody_outside_can_come_first_under_a_key() {
    let server = server().await;
    let mut ws = Ws::open(&server, "client-a").await;
    let said = ack(&mut ws, &act("key:ABC", 1, "list", &add("n1"))).await;
    assert_eq!(wrong(&said).0, code::BAD_FRAME);
}

/// What the application has forgotten to give a handler.
struct Forgotten;

impl Channel for Forgotten {
    const NAME: &'static str = "forgotten";
    type Record = Note;
    type Action = NoteAction;
    type Output = Counted;
    type Error = Error;

    fn reduce(_: &mut Draft<'_, Note>, _: &NoteAction) {}
}

#[tokio::test]
async fn a_channel_that_the_server_does_not_have_is_unknown_from_inside_too() {
    let server = server().await;
    let failed = server.syncline.send_action::<Forgotten>("list", ada(), add("n1")).await.unwrap_err();
    assert_eq!(
        (failed.error().code(), failed.error().field()),
        (code::UNKNOWN_CHANNEL, Some("forgotten/add"))
    );
}

#[test]
#[should_panic(expected = "there are two channels with the name \"notes\"")]
fn two_channels_of_one_name_are_a_mistake() {
    let _ = Syncline::builder().channel::<NoteChannel>(handle).channel::<NoteChannel>(handle);
}

#[tokio::test]
async fn rows_of_a_channel_are_changed_by_its_actions_alone_unless_there_are_rules() {
    let builder = Syncline::builder().storage(Memory::new()).channel::<NoteChannel>(handle);
    let server = Server::of(builder.build().await.unwrap()).await;
    let mut ws = Ws::open(&server, "client-a").await;
    let said = ack(&mut ws, &put("client-a", 1, "list", &note("n1", "past the handler"))).await;
    assert_eq!(wrong(&said), (code::ACTIONS_ONLY, "notes"));
    let said = ack(&mut ws, &act("client-a", 2, "list", &add("n1"))).await;
    assert_eq!(said["output"], json!({"notes": 1}));
    for ops in [json!([{"delete": ["notes", "n1"]}]), json!([{"patch": ["notes", "n1", {"text": "x"}]}])] {
        let write = json!({ "write": { "space": "list", "client": "client-b", "id": 1, "kind": "rows", "payload": { "ops": ops } } });
        let mut ws = Ws::open(&server, "client-b").await;
        assert_eq!(wrong(&ack(&mut ws, &write).await).0, code::ACTIONS_ONLY);
    }
    // whichever is named first
    for builder in [
        Syncline::builder().storage(Memory::new()).collection::<Note>(()).channel::<NoteChannel>(handle),
        Syncline::builder().storage(Memory::new()).channel::<NoteChannel>(handle).collection::<Note>(()),
    ] {
        let server = Server::of(builder.build().await.unwrap()).await;
        let mut ws = Ws::open(&server, "client-a").await;
        let said = ack(&mut ws, &put("client-a", 1, "list", &note("n1", "Milk"))).await;
        assert_eq!(said["error"], Value::Null);
    }
}

struct NobodyWrites;

impl syncline_server::Rules<Note> for NobodyWrites {
    fn write(
        &self,
        _: &syncline_server::User,
        _: &syncline_server::SpaceId,
        _: syncline_server::Change<'_, Note>,
    ) -> Result<(), Error> {
        Err(Error::new("by_hand", "Not by hand."))
    }
}

#[tokio::test]
async fn rules_hold_for_writes_and_not_for_handlers_whichever_was_named_first() {
    let first = Syncline::builder().storage(Memory::new()).collection::<Note>(NobodyWrites);
    let last = Syncline::builder().storage(Memory::new()).channel::<NoteChannel>(handle);
    let builders = [first.channel::<NoteChannel>(handle), last.collection::<Note>(NobodyWrites)];
    for builder in builders {
        let server = Server::of(builder.build().await.unwrap()).await;
        let mut ws = Ws::open(&server, "client-a").await;
        let said = ack(&mut ws, &put("client-a", 1, "list", &note("n1", "Milk"))).await;
        assert_eq!(wrong(&said).0, "by_hand");
        let said = ack(&mut ws, &act("client-a", 2, "list", &add("n1"))).await;
        assert_eq!(said["output"], json!({"notes": 1}));
    }
    // without any, a channel brings its collection along
    let server = Server::of(notes(Memory::new()).channel::<NoteChannel>(handle).build().await.unwrap()).await;
    let mut ws = Ws::open(&server, "client-a").await;
    assert_eq!(ack(&mut ws, &put("client-a", 1, "list", &note("n1", "Milk"))).await["error"], Value::Null);
}
