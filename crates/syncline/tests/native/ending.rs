//! Nothing outlives its owner.

use syncline::transport::{ConnectRequest, Connector as _, TokioConnector};
use syncline::{Client, Record as _, Transport};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::server::{Between, Server};
use crate::{BOTH, Todo, soon, todo};

#[tokio::test]
async fn connections_end_with_the_client() {
    let server = Server::start().await;
    let mut between = Between::start(server.address).await;
    for transport in BOTH {
        for _ in 0..3 {
            let client = Client::builder(between.url("http")).transport(transport).build();
            let list = client.watch(Todo::in_space("l"));
            soon(client.put("l", todo("a"))).await.unwrap();
            drop((list, client));
            between.open(0).await;
        }
    }
}

#[tokio::test]
async fn tasks_end_with_the_link() {
    let server = Server::start().await;
    let before = Handle::current().metrics().num_alive_tasks();
    let hello = r#"{"hello":{"protocol":1,"client":"client-a"}}"#;
    for transport in [Transport::WebSocket, Transport::Sse] {
        let request = ConnectRequest::new(server.url(), transport, hello);
        let mut link = soon(TokioConnector::new().connect(request)).await.unwrap();
        if transport == Transport::WebSocket {
            link.send(hello).await.unwrap();
        }
        assert!(soon(link.receive()).await.unwrap().unwrap().starts_with(b"{\"welcome\""));
        drop(link);
        soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
        soon(async {
            // the server's own end with its connections
            while Handle::current().metrics().num_alive_tasks() > before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_connection_that_is_given_up_while_it_opens_leaves_no_socket() {
    for transport in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sync", listener.local_addr().unwrap());
        let client = Client::builder(url).transport(transport).build();
        let list = client.watch(Todo::in_space("l"));
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        drop((list, client));
        let mut request = Vec::new();
        let _ = soon(stream.read_to_end(&mut request)).await;
    }
}
