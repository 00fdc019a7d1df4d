//! What HTTP/2 has to say at a time leaves in one write, over a real TLS connection.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;

use ossgate::http::activity::Activity;
use ossgate::listener::client_io::ClientIo;
use ossgate::listener::http2::cork::Corked;
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

/// The proxy's side of a TLS connection, corked, and the client's.
async fn connected() -> (Corked, TlsStream<TcpStream>) {
    let leaf = leaf(&["localhost"]);
    let chain = vec![CertificateDer::from_pem_file(&leaf.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    // The client is to find nothing but what the test writes.
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
        TlsAcceptor::from(Arc::new(server)).accept(Socket::Tcp(accepted.unwrap().0)),
    );
    let stream = MaybeTls::Tls(Box::new(server.unwrap()));
    let corked = Corked::new(ClientIo::new(stream, Arc::new(Activity::default())));
    (corked, client.unwrap())
}

#[tokio::test]
async fn frames_wait_for_one_write_although_h2_flushes_each_of_them() {
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
async fn more_than_can_be_held_back_is_written_at_once() {
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
async fn an_end_takes_along_what_was_held_back() {
    let (mut corked, mut client) = connected().await;
    corked.write_all(b"last words").await.unwrap();
    poll_fn(|cx| tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut corked), cx))
        .await
        .unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last words");
}
