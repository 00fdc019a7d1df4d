//! Writes of HTTP/2: h2 flushes each frame, and the cork joins what is ready into one write.
//!
//! Rows, over a real TLS connection: several flushed frames; more than the cork holds back; a shutdown with
//! bytes held back.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;

use ossgate::http::activity::Activity;
use ossgate::listener::client_io::ClientIo;
use ossgate::listener::http2::cork::Corked;
use ossgate::listener::tls_socket::TlsSocket;
use ossgate::net::socket::Socket;
use ossgate::net::stream::MaybeTls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::certificates::leaf;

/// Both ends of a TLS connection: the proxy's, corked, and the client's.
async fn connected() -> (Corked, TlsStream<TcpStream>) {
    let leaf = leaf(&["localhost"]);
    let chain = vec![CertificateDer::from_pem_file(&leaf.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    // Session tickets would arrive at the client beside the bytes of the test.
    server.send_tls13_tickets = 0;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&leaf.ca).unwrap())
        .unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap());
    let (socket, accepted) = tokio::join!(socket, listener.accept());
    let name = ServerName::try_from("localhost").unwrap();
    let (client, server) = tokio::join!(
        TlsConnector::from(Arc::new(client)).connect(name, socket.unwrap()),
        TlsAcceptor::from(Arc::new(server))
            .accept(TlsSocket::new(Socket::Tcp(accepted.unwrap().0))),
    );
    let stream = MaybeTls::Tls(Box::new(server.unwrap()));
    let corked = Corked::new(ClientIo::new(stream, Arc::new(Activity::default())));
    (corked, client.unwrap())
}

#[tokio::test]
async fn flushed_frames_are_held_back_until_they_are_uncorked() {
    let (mut corked, mut client) = connected().await;
    for frame in ["one", "two", "three"] {
        corked.write_all(frame.as_bytes()).await.unwrap();
        corked.flush().await.unwrap();
    }
    let early = client.get_ref().0.try_read(&mut [0; 64]);
    assert_eq!(
        early.map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock)
    );
    poll_fn(|cx| corked.poll_uncork(cx)).await.unwrap();
    let mut all = [0; 11];
    client.read_exact(&mut all).await.unwrap();
    assert_eq!(&all, b"onetwothree");
}

#[tokio::test]
async fn bytes_above_the_limit_are_written_at_once_and_in_order() {
    let (mut corked, mut client) = connected().await;
    let sent: Vec<u8> = (0..1_000_000_u32)
        .map(|place| place.to_le_bytes()[0])
        .collect();
    let mut came = vec![0; sent.len()];
    let writing = async {
        corked.write_all(&sent).await.unwrap();
        poll_fn(|cx| corked.poll_uncork(cx)).await.unwrap();
    };
    let ((), read) = tokio::join!(writing, client.read_exact(&mut came));
    read.unwrap();
    assert!(came == sent);
}

#[tokio::test]
async fn a_shutdown_writes_the_bytes_that_were_held_back() {
    let (mut corked, mut client) = connected().await;
    corked.write_all(b"last words").await.unwrap();
    poll_fn(|cx| tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut corked), cx))
        .await
        .unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last words");
}
