//! Which pages may connect.

use reqwest::header::{HeaderMap, ORIGIN};
use reqwest::{Client, Method, StatusCode};
use syncline_server::{Memory, Syncline};
use tokio_tungstenite::tungstenite::Error;

use crate::support::http::{post, refusal};
use crate::support::ws::Ws;
use crate::support::{Server, hello, notes, soon};

const APP: &str = "https://app.example";

async fn server() -> Server {
    Server::of(notes(Memory::new()).allowed_origins([APP]).build().await.unwrap()).await
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_is_refused_on_every_route() {
    let server = server().await;
    let evil = "https://evil.example";
    let expected = (StatusCode::FORBIDDEN, "forbidden_origin".to_owned());
    assert_eq!(
        refusal(post(&server, "stream").header(ORIGIN, evil).body(hello("client-a").to_string())).await,
        expected
    );
    assert_eq!(refusal(post(&server, "send").header(ORIGIN, evil)).await, expected);
    match Ws::connect_with(&server, &[("origin", evil)]).await {
        Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 403),
        _ => panic!("the socket was not refused"),
    }
    assert_eq!(server.syncline.gauges().connections, 0);
}

#[tokio::test]
async fn pages_of_the_server_and_of_the_list_connect() {
    let server = server().await;
    let own = format!("http://{}", server.address);
    for origin in [own.as_str(), APP] {
        assert!(Ws::connect_with(&server, &[("origin", origin)]).await.is_ok(), "{origin}");
        let request = post(&server, "stream").header(ORIGIN, origin).body(hello("client-a").to_string());
        assert_eq!(soon(request.send()).await.unwrap().status(), StatusCode::OK, "{origin}");
    }
}

async fn preflight(server: &Server, origin: &str) -> HeaderMap {
    let request = Client::new()
        .request(Method::OPTIONS, server.url("http", "send"))
        .header(ORIGIN, origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-syncline-link");
    soon(request.send()).await.unwrap().headers().clone()
}

#[tokio::test]
async fn a_preflight_lets_pages_of_the_list_send_cookies_and_name_their_link() {
    let server = server().await;
    let headers = preflight(&server, APP).await;
    assert_eq!(headers["access-control-allow-origin"], APP);
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("x-syncline-link"));
    assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    let foreign = preflight(&server, "https://evil.example").await;
    assert!(!foreign.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_page_of_the_list_may_read_refusals_too() {
    let server = server().await;
    let response = soon(post(&server, "send").header(ORIGIN, APP).send()).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["access-control-allow-origin"], APP);
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_when_the_server_is_built() {
    let built = Syncline::builder().storage(Memory::new()).allowed_origins(["*"]).build().await;
    assert_eq!(built.unwrap_err().code(), "bad_config");
}
