//! Whom to trust.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// How connections are made safe. Clones share what they have worked out.
#[derive(Clone, Default)]
pub(super) struct Tls {
    authorities: Vec<CertificateDer<'static>>,
    connector: Arc<OnceLock<Result<TlsConnector, rustls::Error>>>,
}

impl Tls {
    pub(super) fn trust(&mut self, authority: Vec<u8>) {
        self.authorities.push(authority.into());
        self.connector = Arc::default();
    }

    pub(super) fn connector(&self) -> io::Result<TlsConnector> {
        // only whoever connects pays for it
        let connector = self.connector.get_or_init(|| connector(&self.authorities));
        connector.clone().map_err(io::Error::other)
    }
}

fn connector(authorities: &[CertificateDer<'static>]) -> Result<TlsConnector, rustls::Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    // named, and not the process's default: an application may have none, or another one
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("authorities", &self.authorities.len()).finish_non_exhaustive()
    }
}
