//! Whatever a client sends, the worst that happens happens to itself.

use serde_json::{Value, json};
use syncline_core::code;
use syncline_core::space::Config;
use syncline_core::wire::Limits;

use crate::rig::{Rig, SPACE, note, notes};

/// A connection with one good subscription, and another connection that must not notice anything.
fn rig() -> Rig {
    let mut rig = Rig::new();
    for (conn, name) in [(1, "ada"), (2, "bob")] {
        rig.join(conn, name);
        rig.subscribe(conn, 1, notes());
    }
    rig
}

fn query(change: impl FnOnce(&mut Value)) -> Value {
    let mut query = json!({"space": SPACE, "collection": "notes"});
    change(&mut query);
    json!({"subscribe": {"sub": 9, "query": query}})
}

#[test]
fn a_subscription_that_cannot_be_answered_fails_alone() {
    let cases = [
        (query(|q| q["space"] = json!("nowhere")), code::UNKNOWN_SPACE),
        (query(|q| q["space"] = json!("no way!")), code::UNKNOWN_SPACE),
        (query(|q| q["space"] = json!("closed")), code::FORBIDDEN),
        (query(|q| q["collection"] = json!("nothing")), code::UNKNOWN_COLLECTION),
        (query(|q| q["where"] = json!({"eq": ["colour", 1]})), code::UNKNOWN_FIELD),
        (query(|q| q["order"] = json!([["colour", "asc"]])), code::UNKNOWN_FIELD),
        (query(|q| q["order"] = json!([["n", "sideways"]])), code::BAD_QUERY),
        (query(|q| q["where"] = json!({"like": ["text", 1]})), code::BAD_QUERY),
        (query(|q| q["limit"] = json!(0)), code::BAD_QUERY),
        (query(|q| q["limit"] = json!(-1)), code::BAD_QUERY),
        (query(|q| q["offset"] = json!(10)), code::BAD_QUERY),
        (query(|q| q["where"] = json!({"in": ["n", (0..300).collect::<Vec<_>>()]})), code::BAD_QUERY),
        (query(|q| q["where"] = json!({"eq": ["text", "x".repeat(70_000)]})), code::BAD_QUERY),
        (
            query(|q| q["where"] = (0..40).fold(json!({"and": []}), |all, _| json!({"not": all}))),
            code::FRAME_TOO_LARGE,
        ),
        (json!({"subscribe": {"sub": 9, "query": 5}}), code::BAD_QUERY),
        (json!({"subscribe": {"sub": 9}}), code::BAD_QUERY),
        (
            json!({"subscribe": {"sub": 9, "query": {"space": SPACE, "collection": "notes"}, "cursor": 1}}),
            code::BAD_QUERY,
        ),
    ];
    for (subscribe, code) in cases {
        let mut rig = rig();
        rig.say(1, subscribe.clone());
        assert_eq!(rig.page(1).failed[&9].code(), code, "{subscribe}");
        rig.put_note(2, "client-bob", "a", 1);
        assert_eq!(rig.page(1).keys(1), ["a"], "its sibling goes on");
        assert_eq!(rig.heard_kinds(2), ["welcome", "snapshot", "changes"], "nobody else noticed");
        assert_eq!(rig.engine.gauges().subscriptions, 2);
    }
}

#[test]
fn a_write_that_cannot_be_done_is_refused_in_its_turn_and_the_next_one_goes_on() {
    let write = |payload: Value| json!({"write": {"space": SPACE, "client": "client-ada", "id": 1, "kind": "rows", "payload": payload}});
    let put = |collection: &str, row: Value| write(json!({"ops": [{"put": [collection, row]}]}));
    let long = "k".repeat(257);
    let cases = [
        (put("nothing", json!({})), code::UNKNOWN_COLLECTION),
        (put("notes", json!({"id": "a"})), code::BAD_ROW),
        (put("notes", json!("text")), code::BAD_ROW),
        (put("notes", json!({"id": "", "text": "", "n": 1})), code::BAD_KEY),
        (put("notes", json!({"id": long, "text": "", "n": 1})), code::BAD_KEY),
        (put("notes", json!({"id": "a", "text": "x".repeat(1_000_001), "n": 1})), code::VALUE_TOO_LARGE),
        (write(json!({"ops": [{"patch": ["notes", "none", {"n": 1}]}]})), code::UNKNOWN_ROW),
        (write(json!({"ops": [{"delete": ["notes", long]}]})), code::BAD_KEY),
        (write(json!({"ops": [{"explode": []}]})), code::BAD_WRITE),
        (write(json!({"nonsense": []})), code::BAD_WRITE),
        (write(json!({"ops": vec![json!({"delete": ["notes", "a"]}); 1_001]})), code::BAD_WRITE),
        (write(Value::Null), code::BAD_WRITE),
        (write((0..40).fold(json!([]), |all, _| json!([all]))), code::FRAME_TOO_LARGE),
        (write(json!("x".repeat(3_000_000))), code::FRAME_TOO_LARGE),
        (
            json!({"write": {"space": SPACE, "client": "client-ada", "id": 1, "kind": "dance", "payload": 1}}),
            code::BAD_WRITE,
        ),
        (
            json!({"write": {"space": SPACE, "client": "client-ada", "id": 1, "kind": 7, "payload": 1}}),
            code::BAD_WRITE,
        ),
        (json!({"write": {"space": SPACE, "client": "client-ada", "id": 1}}), code::BAD_WRITE),
    ];
    for (write, code) in cases {
        let mut rig = rig();
        rig.say(1, write.clone());
        let name: String = write.to_string().chars().take(120).collect();
        assert_eq!(rig.verdict(1, "client-ada", 1), Some(Err(code.to_owned())), "{name}");
        rig.write_as(1, SPACE, "client-ada", 2, vec![note("a", "", 1)]);
        assert_eq!(rig.verdict(1, "client-ada", 2), Some(Ok(())), "{name}");
        assert_eq!(rig.disk[SPACE].clients["client-ada"].last, 2);
        assert_eq!(rig.disk[SPACE].version, 1, "a refused write makes no version");
        assert_eq!(rig.heard_kinds(2), ["welcome", "snapshot", "changes"], "nobody else noticed");
    }
}

/// JSON in a text in JSON in a text: each looks 100 levels deep.
fn nested_in_texts(times: usize) -> String {
    let (open, close) = ("[".repeat(100), "]".repeat(100));
    (0..times).fold("1".to_owned(), |json, _| {
        let text = json.replace('\\', "\\u005c").replace('"', "\\u0022");
        format!("{open}{{\"$serde_json::private::RawValue\":\"{text}\"}}{close}")
    })
}

#[test]
fn nothing_is_nested_deeper_than_it_looks() {
    let run = || {
        let mut rig = rig();
        rig.put_note(1, "client-ada", "a", 1);
        for (id, times) in [(2, 50), (3, 1)] {
            let value = nested_in_texts(times);
            let value = value.trim_start_matches('[').trim_end_matches(']');
            let frame = format!(
                r#"{{"write":{{"space":"{SPACE}","client":"client-ada","id":{id},"kind":"rows","payload":{{"ops":[{{"patch":["notes","a",{{"text":{value}}}]}}]}}}}}}"#
            );
            rig.say_bytes(1, frame.into_bytes());
            let refused = Some(Err(code::FRAME_TOO_LARGE.to_owned()));
            assert_eq!(rig.verdict(1, "client-ada", id), refused);
        }
    };
    // a stack of which a few hundred levels too many are the end
    std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_row_whose_own_code_panics_is_a_bad_one_and_everybody_goes_on() {
    let mut rig = rig();
    let put = |text: &str| json!({"ops": [{"put": ["notes", {"id": "a", "text": text, "n": 1}]}]});
    let patch = |text: &str| json!({"ops": [{"patch": ["notes", "a", {"text": text}]}]});
    let write = |id: u64, payload: Value| json!({"write": {"space": SPACE, "client": "client-ada", "id": id, "kind": "rows", "payload": payload}});
    rig.say(1, write(1, put("boom")));
    rig.say(1, write(2, put("crash")));
    rig.say(1, write(3, put("fine")));
    rig.say(1, write(4, patch("boom")));
    rig.say(1, write(5, patch("crash")));
    let verdicts: Vec<_> = (1..=5).map(|id| rig.verdict(1, "client-ada", id).unwrap()).collect();
    let bad = || Err(code::BAD_ROW.to_owned());
    assert_eq!(verdicts, [bad(), bad(), Ok(()), bad(), bad()]);
    rig.put_note(2, "client-bob", "b", 1);
    assert_eq!(rig.verdict(2, "client-bob", 1), Some(Ok(())));

    let stored = rig.disk.get_mut(SPACE).unwrap();
    stored.rows.insert(("notes".into(), "c".into()), br#"{"id":"c","text":"boom","n":1}"#.to_vec());
    rig.crash();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    assert_eq!((rig.page(1).keys(1), &rig.unreadable[..]), (vec!["a", "b"], &["c".to_owned()][..]));
}

#[test]
fn an_envelope_that_is_wrong_is_refused_without_being_counted() {
    let write = |space: &str, client: &str, id: u64| json!({"write": {"space": space, "client": client, "id": id, "kind": "rows", "payload": {"ops": []}}});
    let cases = [
        (write("nowhere", "client-ada", 1), code::UNKNOWN_SPACE),
        (write("no way!", "client-ada", 1), code::UNKNOWN_SPACE),
        (write(SPACE, "a b", 1), code::BAD_FRAME),
        (write(SPACE, "client-ada", 0), code::BAD_WRITE),
    ];
    for (write, code) in cases {
        let mut rig = rig();
        rig.heard(1);
        rig.say(1, write.clone());
        assert!(rig.heard_text(1).contains(&format!(r#""error":{{"code":"{code}""#)), "{write}");
        assert!(rig.page(1).not_handled.is_empty(), "it is no use to send it again");
        assert!(rig.disk.is_empty());
        rig.put_note(1, "client-ada", "a", 1);
        assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
    }
}

#[test]
fn a_frame_that_says_nothing_ends_its_connection_only() {
    for bytes in
        [&b""[..], b"{", b"\xff\xfe", b"null", b"[]", b"{\"dance\":1}", b"{\"auth\":7}", b"{\"write\":{}}"]
    {
        let mut rig = rig();
        rig.say_bytes(1, bytes.to_vec());
        assert_eq!(rig.page(1).error.as_ref().unwrap().code(), code::BAD_FRAME);
        assert!(rig.lines[&1].closed.is_some());
        rig.put_note(2, "client-bob", "a", 1);
        assert_eq!(rig.heard_kinds(2), ["welcome", "snapshot", "changes"]);
        assert_eq!((rig.engine.gauges().connections, rig.engine.gauges().subscriptions), (1, 1));
    }
}

#[test]
fn an_oversize_frame_without_a_meaning_is_refused_by_name() {
    let mut rig =
        Rig::with(Config { limits: Limits { frame_bytes: 100, ..Limits::default() }, ..Config::default() });
    rig.join(1, "ada");
    rig.say_bytes(1, vec![b'x'; 101]);
    assert_eq!(rig.page(1).error.as_ref().unwrap().code(), code::FRAME_TOO_LARGE);
}

#[test]
fn what_an_error_quotes_is_cut_to_a_length_that_can_be_kept() {
    let mut rig = rig();
    let payload = json!({"ops": [{"put": ["notes", {"id": "a", "text": "", "n": "é".repeat(100_000)}]}]});
    rig.say(1, json!({"write": {"space": SPACE, "client": "client-ada", "id": 1, "kind": "rows", "payload": payload}}));
    let refused = &rig.disk[SPACE].clients["client-ada"].refused[0].error;
    assert_eq!(refused.code(), code::BAD_ROW);
    assert!(refused.message().len() < 600);
}
