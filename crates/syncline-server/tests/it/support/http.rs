//! A client where there are no WebSockets.

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::support::{Heard, Server, hello, soon};

pub(crate) fn post(server: &Server, route: &str) -> RequestBuilder {
    Client::new().post(server.url("http", route))
}

/// Sends a request that is refused, and gives the status and the code of the refusal.
pub(crate) async fn refusal(request: RequestBuilder) -> (StatusCode, String) {
    let response = soon(request.send()).await.unwrap();
    let status = response.status();
    let error: Value = serde_json::from_str(&soon(response.text()).await.unwrap()).unwrap();
    assert!(error["message"].is_string(), "{error}");
    (status, error["code"].as_str().unwrap().to_owned())
}

/// A stream, and the POSTs that belong to it.
pub(crate) struct Sse {
    response: Response,
    buffer: Vec<u8>,
    pub(crate) link: String,
    send: String,
}

impl Sse {
    pub(crate) async fn open(server: &Server, client: &str) -> Self {
        Self::open_with(server, &hello(client)).await
    }

    pub(crate) async fn open_with(server: &Server, hello: &Value) -> Self {
        let response = soon(post(server, "stream").body(hello.to_string()).send()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut sse =
            Self { response, buffer: Vec::new(), link: String::new(), send: server.url("http", "send") };
        let welcome = sse.hear().await;
        assert_eq!(welcome.name, "welcome");
        sse.link = welcome.body["link"].as_str().unwrap().to_owned();
        sse
    }

    pub(crate) fn response(&self) -> &Response {
        &self.response
    }

    pub(crate) async fn say(&self, frames: &[Value]) {
        let lines: Vec<String> = frames.iter().map(Value::to_string).collect();
        let request =
            Client::new().post(&self.send).header("x-syncline-link", &self.link).body(lines.join("\n"));
        assert_eq!(soon(request.send()).await.unwrap().status(), StatusCode::NO_CONTENT);
    }

    /// The next frame.
    pub(crate) async fn hear(&mut self) -> Heard {
        self.next_event().await.expect("the stream ended instead")
    }

    /// The next event that is a frame; `None` at the end of the stream.
    pub(crate) async fn next_event(&mut self) -> Option<Heard> {
        loop {
            let event = self.next_block().await?;
            if event.starts_with("data: ") {
                let lines: Vec<&str> =
                    event.lines().map(|line| line.strip_prefix("data: ").unwrap()).collect();
                return Some(Heard::parse(lines.join("\n").as_bytes()));
            }
        }
    }

    /// The text up to the next blank line: an event or a comment.
    pub(crate) async fn next_block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(String::from_utf8(block).unwrap().trim_end().to_owned());
            }
            let chunk = soon(self.response.chunk()).await.unwrap()?;
            self.buffer.extend_from_slice(&chunk);
        }
    }
}
