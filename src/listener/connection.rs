//! One client connection, from the accepted socket to its close.
//!
//! The handshake ([`super::handshake`]) comes first. Then the connection is served by HTTP/1.1
//! ([`super::http1`]) or HTTP/2 ([`super::http2`]).

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;

use crate::http::activity::Activity;
use crate::listener::closing::LAST_REQUEST;
use crate::listener::handshake::{self, Established, Protocol};
use crate::listener::make_service::MakeService;
use crate::listener::places::Admission;
use crate::listener::service::ConnectionService;
use crate::listener::settings::ListenerSettings;
use crate::listener::{http1, http2};
use crate::net::socket::Socket;
use crate::shutdown::{Phase, Shutdown};

/// Serves one accepted socket to its end. Dropping the future closes the connection at once.
pub(super) async fn serve<M, B>(
    socket: Socket,
    peer: Option<SocketAddr>,
    admission: Admission,
    settings: Arc<ListenerSettings>,
    make: M,
    shutdown: Shutdown,
) where
    M: MakeService<B>,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let activity = Arc::new(Activity::new(shutdown.leave_reader()));
    // Boxed, because a handshake is short and its state is large.
    let handshake = Box::pin(handshake::establish(
        socket, peer, &settings, admission, &activity,
    ));
    let mut draining = shutdown.clone();
    let established = tokio::select! {
        established = handshake => established,
        // When a drain begins, an unfinished handshake may continue for `LAST_REQUEST`, so that the client
        // can still send its first request.
        () = async {
            draining.reached(Phase::Draining).await;
            tokio::time::sleep(LAST_REQUEST).await;
        } => None,
    };
    let Some(Established {
        io,
        info,
        protocol,
        server_name,
    }) = established
    else {
        return;
    };
    let service = make.make(Arc::new(info));
    let service = ConnectionService::new(service, activity, server_name);
    let outcome = match protocol {
        Protocol::Http1 => {
            http1::connection::serve(io, service, &settings, admission, shutdown).await
        }
        // Boxed, because this future is larger than the state of a parked HTTP/1.1 connection.
        Protocol::Http2 => {
            let serving = http2::connection::serve(io, service, &settings, admission, shutdown);
            Box::pin(serving).await
        }
        Protocol::Refused(why) => {
            let mut io = io;
            Box::pin(http1::connection::answer_and_close(&mut io, service, why)).await;
            return;
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(?peer, %error, "client connection ended early");
    }
}
