//! What the tool is told.

use std::fmt;
use std::io::Read as _;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;
use serde_json::value::RawValue;
use syncline_core::channel::{ACTION, ActionPayload};
use syncline_core::client::{Transport, TransportPreference};
use syncline_core::ops::{Fields, ROWS, RowOp, RowOps};
use syncline_core::query::FilterOp;
use syncline_core::{Direction, Filter, OrderBy, QuerySpec, Scalar, SpaceId};

const HELP: &str = r#"What is in a Syncline space, what happens there, and writes to it.

    syncline watch URL SPACE COLLECTION [options]   show the rows, then every change
    syncline tail  URL SPACE COLLECTION [options]   show the changes alone
    syncline send  URL SPACE STEP…      [options]   write rows: all steps, or none
    syncline send  URL SPACE CHANNEL ACTION         do an action of a channel

URL is where the server is mounted, as https://app.example/sync.

Which rows to watch:
    --filter FIELD=VALUE    only these; also != < <= > >=. Several hold together. VALUE is JSON of a
                            single value, or else a text: 42 is a number, and 'text="42"' is for the text
    --order FIELD[:desc]    in this order; a second one orders what the first leaves equal
    --limit N               the first N, live
    --key FIELD             the field that is the key [id]

What to write, in this order:
    --put COLLECTION ROW            the row in the place of what has its key
    --patch COLLECTION KEY FIELDS   some fields of a row
    --delete COLLECTION KEY         no row
    --timeout SECONDS               how long to wait for the server's word [30]
ROW, FIELDS and ACTION are JSON; - reads it from the standard input.

Everywhere:
    --json                  one JSON object a line; what is on the standard error too:
                            {"error":…} why it ends, {"retry":…} why it is not connected just now
    --token TOKEN           who you are; also taken from SYNCLINE_TOKEN, which others on this machine do not see
    --transport ws|sse      only this one; otherwise the one that works
    --trust FILE            also trust the authority with this certificate (DER)
    --schema N              the application's schema version [0]
    -h, --help    -V, --version

Exit codes: 0 all went well, or Ctrl-C during `watch` or `tail`; 1 it failed, with a stable code on the standard error; 2 called
wrongly; 130 Ctrl-C during `send`, when the write may have been done or not.
"#;

/// What to do.
#[derive(Debug)]
pub(crate) enum Args {
    /// This.
    Run(Box<Run>),
    /// Only say something.
    Say(String),
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) server: Server,
    pub(crate) task: Task,
    pub(crate) json: bool,
}

/// Which server, and who asks it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) transport: TransportPreference,
    pub(crate) trust: Option<Vec<u8>>,
    pub(crate) schema: u32,
}

#[derive(Debug)]
pub(crate) enum Task {
    Watch(Watch),
    Send(Send),
}

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) query: QuerySpec,
    pub(crate) key: String,
    /// Not the rows that are there already.
    pub(crate) changes_alone: bool,
}

#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) space: SpaceId,
    pub(crate) kind: &'static str,
    pub(crate) payload: Box<RawValue>,
    pub(crate) within: Duration,
}

/// How it was called wrongly.
#[derive(Debug)]
pub(crate) struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Wrong {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong(what.into()))
}

/// What was said, by option.
struct Said {
    words: Vec<String>,
    filters: Vec<Filter>,
    order: Vec<OrderBy>,
    limit: Option<u32>,
    key: Option<String>,
    ops: Vec<RowOp>,
    within: Option<Duration>,
    server: Server,
    json: bool,
}

/// Whether a program reads what the tool says, however else it was called.
pub(crate) fn is_for_a_program() -> bool {
    std::env::args_os().any(|arg| arg == "--json")
}

pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Args, Wrong> {
    let server = Server {
        url: String::new(),
        token: std::env::var("SYNCLINE_TOKEN").ok(),
        transport: TransportPreference::Auto,
        trust: None,
        schema: 0,
    };
    let mut said = Said {
        words: Vec::new(),
        filters: Vec::new(),
        order: Vec::new(),
        limit: None,
        key: None,
        ops: Vec::new(),
        within: None,
        server,
        json: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("filter") => said.filters.push(filter(&text(&mut parser)?)?),
            Long("order") => said.order.push(order(&text(&mut parser)?)?),
            Long("limit") => said.limit = Some(number(&mut parser, "limit")?),
            Long("key") => said.key = Some(text(&mut parser)?),
            Long("put") => {
                let (collection, row) = (text(&mut parser)?, json(&text(&mut parser)?)?);
                said.ops.push(RowOp::Put(collection.into(), row));
            }
            Long("patch") => {
                let (collection, key) = (text(&mut parser)?, text(&mut parser)?);
                let fields = json(&text(&mut parser)?)?;
                let fields: Fields = serde_json::from_str(fields.get())
                    .map_err(|_| Wrong("--patch takes an object of fields".into()))?;
                said.ops.push(RowOp::Patch(collection.into(), key.into(), fields));
            }
            Long("delete") => {
                let (collection, key) = (text(&mut parser)?, text(&mut parser)?);
                said.ops.push(RowOp::Delete(collection.into(), key.into()));
            }
            Long("timeout") => {
                let seconds: u32 = number(&mut parser, "timeout")?;
                said.within = Some(Duration::from_secs(seconds.into()));
            }
            Long("json") => said.json = true,
            Long("token") => said.server.token = Some(text(&mut parser)?),
            Long("transport") => said.server.transport = transport(&text(&mut parser)?)?,
            Long("trust") => {
                let path = parser.value()?;
                let certificate = std::fs::read(&path)
                    .map_err(|error| Wrong(format!("{} cannot be read: {error}", path.to_string_lossy())))?;
                said.server.trust = Some(certificate);
            }
            Long("schema") => said.server.schema = number(&mut parser, "schema")?,
            Short('h') | Long("help") => return Ok(Args::Say(HELP.into())),
            Short('V') | Long("version") => {
                return Ok(Args::Say(concat!("syncline ", env!("CARGO_PKG_VERSION"), "\n").into()));
            }
            Value(word) => said.words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    said.understand()
}

impl Said {
    fn understand(self) -> Result<Args, Wrong> {
        let is_of_rows = !self.ops.is_empty() || self.within.is_some();
        let is_of_queries =
            !self.filters.is_empty() || !self.order.is_empty() || self.limit.is_some() || self.key.is_some();
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let (url, task) = match words[..] {
            [] => return wrong("it has to be told what to do: watch, tail or send"),
            [face @ ("watch" | "tail"), url, space, collection] => {
                if is_of_rows {
                    return wrong(format!("`{face}` writes nothing"));
                }
                let filter = self.filters.into_iter().reduce(Filter::and);
                let query = QuerySpec {
                    space: space.into(),
                    collection: collection.into(),
                    filter,
                    order: self.order,
                    limit: self.limit,
                    relations: Vec::new(),
                };
                let key = self.key.unwrap_or_else(|| "id".to_owned());
                (url, Task::Watch(Watch { query, key, changes_alone: face == "tail" }))
            }
            [face @ ("watch" | "tail"), ..] => return wrong(format!("`{face}` takes URL SPACE COLLECTION")),
            ["send", ..] if is_of_queries => return wrong("`send` watches nothing"),
            ["send", url, space] if !self.ops.is_empty() => {
                let payload =
                    RowOps { ops: self.ops }.to_payload().map_err(|error| Wrong(error.to_string()))?;
                (
                    url,
                    Task::Send(Send {
                        space: space.into(),
                        kind: ROWS,
                        payload,
                        within: within(self.within),
                    }),
                )
            }
            ["send", url, space, channel, action] if self.ops.is_empty() => {
                let action = ActionPayload { channel: channel.into(), action: json(action)? };
                let payload = action.to_payload().map_err(|error| Wrong(error.to_string()))?;
                (
                    url,
                    Task::Send(Send {
                        space: space.into(),
                        kind: ACTION,
                        payload,
                        within: within(self.within),
                    }),
                )
            }
            ["send", ..] => {
                return wrong("`send` takes URL SPACE, and --put, --patch or --delete or CHANNEL ACTION");
            }
            [other, ..] => return wrong(format!("there is no `{other}`, but watch, tail and send")),
        };
        let server = Server { url: url.to_owned(), ..self.server };
        Ok(Args::Run(Box::new(Run { server, task, json: self.json })))
    }
}

fn within(said: Option<Duration>) -> Duration {
    said.unwrap_or(Duration::from_secs(30))
}

fn text(parser: &mut lexopt::Parser) -> Result<String, Wrong> {
    // a value may begin like an option: a text may
    Ok(parser.value()?.string()?)
}

fn number<T: FromStr>(parser: &mut lexopt::Parser, option: &str) -> Result<T, Wrong> {
    text(parser)?.parse().map_err(|_| Wrong(format!("--{option} takes a whole number")))
}

fn json(said: &str) -> Result<Box<RawValue>, Wrong> {
    let mut from_input = String::new();
    let said = if said == "-" {
        let read = std::io::stdin().read_to_string(&mut from_input);
        read.map_err(|error| Wrong(format!("the standard input cannot be read: {error}")))?;
        &from_input
    } else {
        said
    };
    serde_json::from_str(said.trim()).map_err(|error| Wrong(format!("this is no JSON: {error}")))
}

fn transport(word: &str) -> Result<TransportPreference, Wrong> {
    match word {
        "auto" => Ok(TransportPreference::Auto),
        _ if word == Transport::WebSocket.as_str() => Ok(TransportPreference::WebSocket),
        _ if word == Transport::Sse.as_str() => Ok(TransportPreference::Sse),
        _ => wrong("--transport takes ws or sse"),
    }
}

fn filter(said: &str) -> Result<Filter, Wrong> {
    let at = said.find(['=', '!', '<', '>']).filter(|at| *at > 0);
    let Some((field, rest)) = at.map(|at| said.split_at(at)) else {
        return wrong("--filter takes FIELD=VALUE");
    };
    // longer ones first: each begins with a shorter one
    let ops = [
        ("<=", FilterOp::Le),
        (">=", FilterOp::Ge),
        ("!=", FilterOp::Ne),
        ("=", FilterOp::Eq),
        ("<", FilterOp::Lt),
        (">", FilterOp::Gt),
    ];
    let found = ops.iter().find_map(|(sign, op)| Some((*op, rest.strip_prefix(sign)?)));
    let Some((op, value)) = found else { return wrong("--filter takes FIELD=VALUE") };
    if value.starts_with(['=', '<', '>']) {
        return wrong(
            "--filter knows = != < <= > >= alone; a text that begins like one of these is put in quotes",
        );
    }
    if matches!(serde_json::from_str(value), Ok(serde_json::Value::Array(_) | serde_json::Value::Object(_))) {
        return wrong(
            "--filter compares with null, true, false, a number or a text; a text that reads as a list or an object is put in quotes",
        );
    }
    Ok(Filter::Compare(op, field.into(), scalar(value)))
}

/// A value as JSON has it, and what is none as the text it is.
fn scalar(said: &str) -> Scalar {
    serde_json::from_str(said).unwrap_or_else(|_| Scalar::Text(said.into()))
}

fn order(said: &str) -> Result<OrderBy, Wrong> {
    let (field, direction) = match said.rsplit_once(':') {
        Some((field, "desc")) => (field, Direction::Desc),
        Some((field, "asc")) => (field, Direction::Asc),
        Some(_) => return wrong("--order takes FIELD, FIELD:asc or FIELD:desc"),
        None => (said, Direction::Asc),
    };
    Ok(OrderBy { field: field.into(), direction })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Run, String> {
        match parse(lexopt::Parser::from_args(args)) {
            Ok(Args::Run(run)) => Ok(*run),
            Ok(Args::Say(text)) => Err(text),
            Err(wrong) => Err(wrong.to_string()),
        }
    }

    fn query(options: &[&str]) -> String {
        let args = [&["watch", "http://a/s", "l", "todos"], options].concat();
        match parsed(&args).unwrap().task {
            Task::Watch(watch) => serde_json::to_string(&watch.query).unwrap(),
            Task::Send(_) => panic!("it writes"),
        }
    }

    fn sent(options: &[&str]) -> (&'static str, String) {
        let args = [&["send", "http://a/s", "l"], options].concat();
        match parsed(&args).unwrap().task {
            Task::Send(send) => (send.kind, send.payload.get().to_owned()),
            Task::Watch(_) => panic!("it watches"),
        }
    }

    #[test]
    fn a_query_is_what_the_options_say() {
        assert_eq!(query(&[]), r#"{"space":"l","collection":"todos"}"#);
        let options = [
            "--filter",
            "done=false",
            "--filter=position>=1.5",
            "--order",
            "position:desc",
            "--order",
            "id",
            "--limit",
            "3",
        ];
        assert_eq!(
            query(&options),
            r#"{"space":"l","collection":"todos","where":{"and":[{"eq":["done",false]},{"ge":["position",1.5]}]},"order":[["position","desc"],["id","asc"]],"limit":3}"#
        );
        for (said, expected) in [
            ("a=b", r#"{"eq":["a","b"]}"#),
            ("a=b=c", r#"{"eq":["a","b=c"]}"#),
            ("a=\"7\"", r#"{"eq":["a","7"]}"#),
            ("a=7", r#"{"eq":["a",7]}"#),
            ("a=", r#"{"eq":["a",""]}"#),
            ("a=null", r#"{"eq":["a",null]}"#),
            ("a=\"[1]\"", r#"{"eq":["a","[1]"]}"#),
            ("a!=b", r#"{"ne":["a","b"]}"#),
            ("a<7", r#"{"lt":["a",7]}"#),
            ("a<=7", r#"{"le":["a",7]}"#),
            ("a>7", r#"{"gt":["a",7]}"#),
            (r#"a="==b""#, r#"{"eq":["a","==b"]}"#),
        ] {
            assert_eq!(serde_json::to_string(&filter(said).unwrap()).unwrap(), expected, "{said}");
        }
    }

    #[test]
    fn a_write_is_its_steps_in_their_order_or_an_action() {
        let steps = [
            "--delete",
            "todos",
            "a",
            "--put",
            "todos",
            r#"{"id": "b"}"#,
            "--patch",
            "todos",
            "c",
            r#"{"done":true}"#,
        ];
        let expected = r#"{"ops":[{"delete":["todos","a"]},{"put":["todos",{"id": "b"}]},{"patch":["todos","c",{"done":true}]}]}"#;
        assert_eq!(sent(&steps), ("rows", expected.to_owned()));
        let expected = r#"{"channel":"todos","action":{"type":"clear_completed"}}"#;
        assert_eq!(sent(&["todos", r#"{"type":"clear_completed"}"#]), ("action", expected.to_owned()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases: [&[&str]; 20] = [
            &[],
            &["look", "http://a", "l"],
            &["watch", "http://a", "l"],
            &["tail", "http://a", "l", "todos", "more"],
            &["watch", "http://a", "l", "todos", "--put", "todos", "{}"],
            &["watch", "http://a", "l", "todos", "--limit", "many"],
            &["watch", "http://a", "l", "todos", "--filter", "done"],
            &["watch", "http://a", "l", "todos", "--filter", "=done"],
            &["watch", "http://a", "l", "todos", "--filter", "done!true"],
            &["watch", "http://a", "l", "todos", "--filter", "done==true"],
            &["watch", "http://a", "l", "todos", "--filter", "done=>1"],
            &["watch", "http://a", "l", "todos", "--filter", "tags=[1]"],
            &["watch", "http://a", "l", "todos", "--filter", "tags={\"a\":1}"],
            &["watch", "http://a", "l", "todos", "--order", "a:up"],
            &["watch", "http://a", "l", "todos", "--transport", "pigeon"],
            &["watch", "http://a", "l", "todos", "--colour"],
            &["send", "http://a", "l"],
            &["send", "http://a", "l", "todos", "{"],
            &["send", "http://a", "l", "todos", "{}", "--limit", "1"],
            &["send", "http://a", "l", "--patch", "todos", "a", "[]"],
        ];
        for args in cases {
            assert!(parsed(args).is_err(), "{args:?}");
        }
        assert!(parsed(&["--help"]).unwrap_err().starts_with("What is in a Syncline space"));
        assert!(parsed(&["-V"]).unwrap_err().starts_with("syncline "));
    }
}
