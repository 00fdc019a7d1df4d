//! A small HTTP client for the requests of `demo --once`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cli::demo::world::DemoError;
use crate::listener::tls;

/// Sends one request on a new connection. With `ca_pem` the connection uses TLS and trusts that CA.
pub(crate) async fn send(
    address: SocketAddr,
    ca_pem: Option<&str>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, DemoError> {
    let socket = TcpStream::connect(address).await?;
    match ca_pem {
        None => exchange(socket, request).await,
        Some(pem) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
            let config = rustls::ClientConfig::builder_with_provider(Arc::new(tls::provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from("localhost")?;
            let stream = TlsConnector::from(Arc::new(config))
                .connect(name, socket)
                .await?;
            exchange(stream, request).await
        }
    }
}

async fn exchange<S>(io: S, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, DemoError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, DemoError>(Response::from_parts(head, body))
    };
    tokio::pin!(answer, connection);
    let mut is_open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            ended = &mut connection, if is_open => {
                is_open = false;
                ended?;
            }
        }
    }
}
