//! TLS clients, and an origin behind TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CipherSuite, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::Leaf;
use super::origin::{RawOrigin, ok};

/// Opens a TLS connection to `address`. The server's certificate must be valid for `name` and signed by `ca`.
pub(crate) async fn connect_to(
    address: SocketAddr,
    ca: &Leaf,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    handshake(TcpStream::connect(address).await.unwrap(), ca, name, alpn).await
}

/// Like [`connect_to`], on an open connection.
pub(crate) async fn handshake(
    socket: TcpStream,
    ca: &Leaf,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.ca_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}

/// As [`connect_to`], and accepts every certificate.
pub(crate) async fn connect_unverified(address: SocketAddr, name: &str) -> TlsStream<TcpStream> {
    let connecting = Client::default().connect(address, name);
    connecting.await.unwrap()
}

/// A client that accepts every certificate. `None` stands for everything that rustls supports.
#[derive(Clone, Copy, Default)]
pub(crate) struct Client<'a> {
    pub(crate) version: Option<&'static SupportedProtocolVersion>,
    /// The signatures that the client can verify.
    pub(crate) schemes: Option<&'a [SignatureScheme]>,
    pub(crate) suites: Option<&'a [CipherSuite]>,
    pub(crate) alpn: &'a [&'a str],
    /// Whether the client sends no server name.
    pub(crate) is_nameless: bool,
}

impl Client<'_> {
    /// Opens a TLS connection to `address` with `name` as the server name.
    pub(crate) async fn connect(
        self,
        address: SocketAddr,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(self.config())
            .connect(name, socket)
            .await
    }

    /// Returns the settings of the client.
    pub(crate) fn config(self) -> Arc<rustls::ClientConfig> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if let Some(suites) = self.suites {
            let suites = |one: &rustls::SupportedCipherSuite| suites.contains(&one.suite());
            provider.cipher_suites.retain(suites);
        }
        let provider = Arc::new(provider);
        let all = provider
            .signature_verification_algorithms
            .supported_schemes();
        let verifier = AcceptAll {
            schemes: self.schemes.map_or(all, <[_]>::to_vec),
            provider: Arc::clone(&provider),
        };
        let versions = match &self.version {
            Some(version) => std::slice::from_ref(version),
            None => rustls::ALL_VERSIONS,
        };
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.enable_sni = !self.is_nameless;
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|one| one.as_bytes().to_vec())
            .collect();
        Arc::new(config)
    }
}

#[derive(Debug)]
struct AcceptAll {
    schemes: Vec<SignatureScheme>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Starts an origin behind TLS with the certificate of `leaf`.
pub(crate) async fn tls_origin(leaf: &Leaf) -> SocketAddr {
    tls_origin_at(leaf, ([127, 0, 0, 1], 0).into()).await
}

pub(crate) async fn tls_origin_at(leaf: &Leaf, address: SocketAddr) -> SocketAddr {
    let plain = RawOrigin::start(|_| ok("secret")).await;
    let chain = CertificateDer::pem_file_iter(&leaf.cert)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let plain = plain;
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, inner) = (acceptor.clone(), plain.address);
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    return;
                };
                let mut socket = TcpStream::connect(inner).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut stream, &mut socket).await;
            });
        }
    });
    address
}
