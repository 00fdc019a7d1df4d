//! What comes before the first request of a connection: the PROXY header, the TLS handshake, and on
//! plain text the choice between HTTP/1.1 and HTTP/2. Each has its own deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use crate::config::ProxyProtocol;
use crate::http::activity::Activity;
use crate::http::context::ConnectionInfo;
use crate::listener::Shared;
use crate::listener::io::ClientIo;
use crate::listener::proxy_protocol::{self, Header, Refused};
use crate::net::socket::Socket;
use crate::net::stream::MaybeTls;

/// What a client sends first to speak HTTP/2 without TLS (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longest wait for a PROXY header: it is the first thing a load balancer sends.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// Reads the PROXY header, if the listener has one. `None` when the connection cannot be served: it is
/// from somebody else, or the header is missing, malformed or late.
async fn introduce(
    socket: &mut Socket,
    peer: Option<std::net::SocketAddr>,
    shared: &Shared,
) -> Option<Header> {
    if shared.proxy_protocol == ProxyProtocol::Off {
        return Some(Header::default());
    }
    // On a unix socket it is a process of this machine that may write to the socket file.
    if peer.is_some_and(|peer| !shared.trusts(peer.ip())) {
        shared.note_stranger(peer, &"not one of `trusted_proxies`");
        return None;
    }
    let limit = shared.timeouts.header.min(INTRODUCTION);
    let read = proxy_protocol::read(socket, shared.proxy_protocol);
    match tokio::time::timeout(limit, read).await {
        Ok(Ok(header)) => Some(header),
        // A probe that only connects.
        Ok(Err(Refused::Ended(_))) => None,
        Ok(Err(why)) => {
            shared.note_stranger(peer, &why);
            None
        }
        Err(_elapsed) => {
            shared.note_stranger(peer, &"no PROXY header in time");
            None
        }
    }
}

/// PROXY header and TLS, and what they tell about the client; `None` when either failed.
pub(super) async fn greet(
    mut socket: Socket,
    peer: Option<std::net::SocketAddr>,
    shared: &Shared,
    activity: &Arc<Activity>,
) -> Option<(ClientIo, ConnectionInfo, bool)> {
    let header = introduce(&mut socket, peer, shared).await?;
    let peer_ip = peer.map(|peer| peer.ip().to_canonical());
    let client = header.client.or(peer_ip);
    let mut info = ConnectionInfo {
        listener: Arc::clone(&shared.label),
        peer,
        client,
        vpc_id: header.vpc_id,
        endpoint_id: header.endpoint_id,
        tls: None,
        sni: None,
        is_trusted: match (shared.proxy_protocol, header.client) {
            (ProxyProtocol::Off, _) => client.is_none_or(|client| shared.trusts(client)),
            (_, Some(client)) => shared.trusts(client),
            // The balancer does not say whose bytes it passes on: they prove nothing about their sender.
            (_, None) => false,
        },
        trusted_proxies: Arc::clone(&shared.trusted),
        max_headers: shared.limits.headers,
        health_path: shared.health_path.clone(),
        is_refused: false,
    };
    let Some(acceptor) = &shared.tls else {
        return Some((
            ClientIo::new(MaybeTls::Plain(socket), Arc::clone(activity)),
            info,
            false,
        ));
    };
    let handshake = tokio::time::timeout(shared.timeouts.tls_handshake, acceptor.accept(socket));
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(?peer, %error, "tls handshake failed");
            return None;
        }
        Err(_elapsed) => {
            tracing::debug!(?peer, "tls handshake timed out");
            return None;
        }
    };
    let (_, session) = stream.get_ref();
    info.tls = session.protocol_version().map(|version| match version {
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "TLSv1.2",
    });
    info.sni = session.server_name().map(Into::into);
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    Some((
        ClientIo::new(MaybeTls::Tls(Box::new(stream)), Arc::clone(activity)),
        info,
        is_http2,
    ))
}

/// Reads until it is clear whether the client speaks HTTP/2; what was read is put back.
pub(super) async fn sniff(io: &mut ClientIo, limit: Duration) -> Option<bool> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    let decide = async {
        loop {
            let mut room = [0; PREFACE.len()];
            let room = room.get_mut(read.len()..)?;
            let length = io.read(room).await.ok().filter(|length| *length > 0)?;
            read.extend_from_slice(room.get(..length)?);
            if read.as_ref() == PREFACE {
                return Some(true);
            }
            if !PREFACE.starts_with(&read) {
                return Some(false);
            }
        }
    };
    let decided = tokio::time::timeout(limit, decide).await.ok().flatten()?;
    io.put_back(read.freeze());
    Some(decided)
}
