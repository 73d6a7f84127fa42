//! Connections over TLS.

use std::sync::Arc;

use syncline::transport::TokioConnector;
use syncline::{Backoff, Client, ClientBuilder, Record as _, Status, Transport, code};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::server::{Between, Server};
use crate::{BOTH, Todo, shown, soon, todo};

// good until 2120, for `localhost` and 127.0.0.1; whose key this is nobody needs to keep secret
const AUTHORITY: &[u8] = include_bytes!("tls/authority.der");
const CERTIFICATE: &[u8] = include_bytes!("tls/server.der");
const KEY: &[u8] = include_bytes!("tls/server-key.der");

/// TLS in front of a server.
async fn secured(server: &Server) -> Between {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], PrivateKeyDer::try_from(KEY).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Between::wrapping(server.address, move |stream| {
        let accepting = acceptor.accept(stream);
        async { accepting.await.ok() }
    })
    .await
}

fn trusting(builder: ClientBuilder) -> ClientBuilder {
    builder.connector(TokioConnector::new().trust(AUTHORITY))
}

#[tokio::test]
async fn both_transports_go_over_tls() {
    let server = Server::start().await;
    let between = secured(&server).await;
    for transport in BOTH {
        for scheme in ["https", "wss"] {
            let client = trusting(Client::builder(between.url(scheme)).transport(transport)).build();
            let list = client.watch(Todo::in_space("l"));
            soon(client.put("l", todo("a"))).await.unwrap();
            shown(&list, &["a"]).await;
        }
    }
}

#[tokio::test]
async fn a_name_is_looked_up_and_checked() {
    let server = Server::start().await;
    let between = secured(&server).await;
    let port = between.address.port();
    let client = trusting(Client::builder(format!("https://localhost:{port}/sync"))).build();
    soon(client.watch(Todo::in_space("l")).loaded()).await.unwrap();
    assert_eq!(client.connection().transport, Some(Transport::WebSocket));
}

async fn failing(builder: ClientBuilder) -> String {
    let client = builder.backoff(Backoff { attempts: Some(1), ..Backoff::default() }).build();
    let list = client.watch(Todo::in_space("l"));
    let error = soon(list.loaded()).await.unwrap_err();
    assert_eq!((error.code(), list.status()), (code::CONNECTION, Status::Failed));
    error.message().to_owned()
}

#[tokio::test]
async fn nobody_is_trusted_who_should_not_be() {
    let server = Server::start().await;
    let between = secured(&server).await;
    for transport in BOTH {
        let unknown = failing(Client::builder(between.url("https")).transport(transport)).await;
        assert!(unknown.contains("UnknownIssuer"), "{unknown}");
        // a good certificate, for another name
        let other = format!("https://127.0.0.2:{}/sync", between.address.port());
        let other = trusting(Client::builder(other).transport(transport));
        let other = failing(other).await;
        // elsewhere than on Linux this address may be nobody's
        assert!(other.contains("not valid for name") || !cfg!(target_os = "linux"), "{other}");
        let nonsense = Client::builder(between.url("https")).transport(transport);
        let _ = failing(nonsense.connector(TokioConnector::new().trust("nonsense"))).await;
        // neither what speaks no TLS
        let plain = format!("https://{}/sync", server.address);
        let _ = failing(trusting(Client::builder(plain).transport(transport))).await;
    }
    assert_eq!(server.syncline.gauges().connections, 0);
}
