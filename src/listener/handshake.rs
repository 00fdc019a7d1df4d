//! The steps before the first request of a connection: the PROXY header, the TLS handshake, and on connections
//! without TLS the detection of the protocol. Each step has its own deadline.
//!
//! A client that sends plain HTTP to a listener with TLS gets a response in plain HTTP. So does a client
//! that begins TLS on a listener without TLS: most TLS clients cannot show the response, but they report
//! that the server does not speak TLS, which is the cause. A TLS alert would not tell them that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use crate::config::ProxyProtocol;
use crate::http::activity::Activity;
use crate::http::context::ConnectionInfo;
use crate::http::malformed::Malformed;
use crate::listener::client_io::ClientIo;
use crate::listener::first_bytes::FirstBytes;
use crate::listener::places::Admission;
use crate::listener::proxy_protocol::{self, Header, HeaderError};
use crate::listener::settings::ListenerSettings;
use crate::listener::tls::{ServerName, TlsSettings};
use crate::listener::tls_handshake::{self, Accepted};
use crate::listener::tls_outcome::TlsFailure;
use crate::net::socket::Socket;
use crate::net::stream::MaybeTls;

/// The first bytes of an HTTP/2 connection without TLS (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The maximum wait for a PROXY header, unless `timeouts.header` is shorter. The wait can be short,
/// because a load balancer sends the header before anything else.
const PROXY_HEADER: Duration = Duration::from_secs(5);

/// The protocol of a client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
    /// The client speaks a protocol that the listener does not serve. It gets one response, in HTTP/1.1.
    Refused(Malformed),
}

/// A connection that is ready for its first request.
pub(super) struct Established {
    pub(super) io: ClientIo,
    pub(super) info: ConnectionInfo,
    pub(super) protocol: Protocol,
    /// The server name (SNI); `None` without TLS or if the client sent no server name.
    pub(super) server_name: Option<ServerName>,
}

/// Reads the PROXY header, if the listener expects one. Returns `None` when the connection cannot be
/// served: its peer is not a trusted proxy, or the header is missing, malformed or late.
async fn read_proxy_header(
    socket: &mut Socket,
    peer: Option<SocketAddr>,
    settings: &ListenerSettings,
) -> Option<Header> {
    if settings.proxy_protocol == ProxyProtocol::Off {
        return Some(Header::default());
    }
    // The peer of a unix socket is always trusted: it is a process of this machine that has access to the
    // socket file.
    if peer.is_some_and(|peer| !settings.trusts(peer.ip())) {
        settings.note_bad_proxy_header(peer, &"not one of `trusted_proxies`");
        return None;
    }
    let limit = settings.timeouts.header.min(PROXY_HEADER);
    let read = proxy_protocol::read(socket, settings.proxy_protocol);
    match tokio::time::timeout(limit, read).await {
        Ok(Ok(header)) => return Some(header),
        // This is not logged, because the health check of a load balancer may connect and send nothing.
        Ok(Err(HeaderError::Ended(_))) => {}
        Ok(Err(error)) => settings.note_bad_proxy_header(peer, &error),
        Err(_elapsed) => settings.note_bad_proxy_header(peer, &"no PROXY header in time"),
    }
    None
}

/// Performs the steps that the listener's settings require: reads the PROXY header, completes the TLS
/// handshake and detects the protocol. Returns `None` when a step failed.
pub(super) async fn establish(
    mut socket: Socket,
    peer: Option<SocketAddr>,
    settings: &ListenerSettings,
    admission: Admission,
    activity: &Arc<Activity>,
) -> Option<Established> {
    let header = read_proxy_header(&mut socket, peer, settings).await?;
    let info = connection_info(header, peer, settings, admission);
    let limit = settings.header_timeout(admission);
    if let Some(tls) = &settings.tls {
        return tls_handshake(tls, socket, settings, info, limit, activity).await;
    }
    let mut io = ClientIo::new(MaybeTls::Plain(socket), Arc::clone(activity));
    let protocol = tokio::time::timeout(limit, detect_protocol(&mut io, settings.has_http2))
        .await
        .ok()
        .flatten()?;
    if protocol == Protocol::Refused(Malformed::TlsOnPlainPort) {
        tls_handshake::note(settings, &info, TlsFailure::TlsOnPlainPort, None, None);
    }
    Some(Established {
        io,
        info,
        protocol,
        server_name: None,
    })
}

fn connection_info(
    header: Header,
    peer: Option<SocketAddr>,
    settings: &ListenerSettings,
    admission: Admission,
) -> ConnectionInfo {
    let peer_ip = peer.map(|peer| peer.ip().to_canonical());
    let client = header.client.or(peer_ip);
    ConnectionInfo {
        listener: Arc::clone(&settings.label),
        peer,
        client,
        vpc_id: header.vpc_id,
        endpoint_id: header.endpoint_id,
        tls: None,
        sni: None,
        is_trusted: match (settings.proxy_protocol, header.client) {
            (ProxyProtocol::Off, _) => client.is_none_or(|client| settings.trusts(client)),
            (_, Some(client)) => settings.trusts(client),
            // The PROXY header names no client, so it is not known who sends the requests.
            (_, None) => false,
        },
        trusted_proxies: Arc::clone(&settings.trusted),
        max_headers: settings.limits.headers,
        health_path: settings.health_path.clone(),
        is_turned_away: admission == Admission::TurnedAway,
        is_plain_on_tls: false,
    }
}

/// Completes the TLS handshake. If the client sends HTTP instead, `limit` is the maximum time for the beginning of
/// its request.
async fn tls_handshake(
    tls: &TlsSettings,
    socket: Socket,
    settings: &ListenerSettings,
    mut info: ConnectionInfo,
    limit: Duration,
    activity: &Arc<Activity>,
) -> Option<Established> {
    let (stream, name) = match tls_handshake::accept(tls, socket, settings, &info).await {
        Accepted::Tls(stream, name) => (stream, name),
        Accepted::PlainHttp(socket, request) => {
            info.is_plain_on_tls = true;
            let mut io = ClientIo::new(MaybeTls::Plain(socket), Arc::clone(activity));
            io.put_back(request);
            let answering = plain_http(io, settings.has_http2, info);
            return tokio::time::timeout(limit, answering).await.ok().flatten();
        }
        Accepted::Failed => return None,
    };
    let (_, session) = stream.get_ref();
    info.tls = session.protocol_version().map(|version| match version {
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "TLSv1.2",
    });
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        Some(_) | None => Protocol::Http1,
    };
    let io = ClientIo::new(MaybeTls::Tls(stream), Arc::clone(activity));
    let server_name =
        (name.as_deref()).map(|name| ServerName::new(name, Arc::clone(&tls.certificates)));
    info.sni = name;
    Some(Established {
        io,
        info,
        protocol,
        server_name,
    })
}

/// Prepares the response to a client that speaks plain HTTP on a listener with TLS.
async fn plain_http(
    mut io: ClientIo,
    has_http2: bool,
    info: ConnectionInfo,
) -> Option<Established> {
    // HTTP is served as usual, up to the router, which refuses every request. A listener without HTTP/2 has
    // only HTTP/1.1 for the response to an HTTP/2 preface.
    let protocol = match detect_protocol(&mut io, true).await? {
        Protocol::Http2 if !has_http2 => Protocol::Refused(Malformed::PlainHttp),
        protocol => protocol,
    };
    Some(Established {
        io,
        info,
        protocol,
        server_name: None,
    })
}

/// Detects the protocol of a connection without TLS, and puts back the bytes that were read for the detection.
/// Without `has_http2`, HTTP/2 is not detected. Returns `None` when the client has closed the connection.
async fn detect_protocol(io: &mut ClientIo, has_http2: bool) -> Option<Protocol> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    let protocol = loop {
        let mut room = [0; PREFACE.len()];
        let room = room.get_mut(read.len()..)?;
        let length = io.read(room).await.ok().filter(|length| *length > 0)?;
        read.extend_from_slice(room.get(..length)?);
        if FirstBytes::of(&read) == FirstBytes::Tls {
            break Protocol::Refused(Malformed::TlsOnPlainPort);
        }
        if has_http2 && read.as_ref() == PREFACE {
            break Protocol::Http2;
        }
        if !has_http2 || !PREFACE.starts_with(&read) {
            break Protocol::Http1;
        }
    };
    io.put_back(read.freeze());
    Some(protocol)
}
