//! One client connection, from the accepted socket to its close.
//!
//! TLS first, then HTTP/1.1 or HTTP/2 by ALPN or, on plain text, by the HTTP/2 preface. An HTTP/1.1
//! connection on which nothing happens is parked: hyper's state and buffers are dropped and only the
//! socket (and rustls's state) is kept until bytes arrive, so that ten thousand idle clients cost
//! little. The large states are boxed for the same reason: a parked task must not carry them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep};
use tower::Service;

use crate::http::Received;
use crate::http::activity::Activity;
use crate::http::framing::Malformed;
use crate::listener::chatter::Chatter;
use crate::listener::cork::Corked;
use crate::listener::deadline::{Deadlines, TICK, Verdict};
use crate::listener::greeting::{greet, sniff};
use crate::listener::io::ClientIo;
use crate::listener::refusal;
use crate::listener::service::ConnectionService;
use crate::listener::streams::{STREAM_WINDOW, StreamSpawner, Streams};
use crate::listener::{MakeService, Shared};
use crate::net::TRANSFER_BUFFER;
use crate::net::socket::Socket;
use crate::shutdown::{Phase, Shutdown, Wish};

/// Streams a client may have open at once.
const STREAMS: u32 = 128;
/// The connection's flow-control window bounds what a client's uploads may have in memory together.
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// Most bytes of an answer that wait in one stream for a slow client.
const SEND_BUFFER: usize = 128 * 1024;
/// A connection closed under a client that is still sending is read on for this long, so that the
/// answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// A GOAWAY frame with that code (RFC 9113 sections 6.8 and 7), which hyper cannot be asked for. It
/// names no last stream: all are cut.
const ENHANCE_YOUR_CALM: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x0b,
];

/// An idle connection gets this long for one more request when a drain begins: closing it at once
/// would cut down the request that is on its way.
const LAST_REQUEST: Duration = Duration::from_secs(3);

/// Serves one accepted socket to its end. Dropping the future cuts the connection.
pub async fn serve<M, B>(
    socket: Socket,
    peer: Option<std::net::SocketAddr>,
    is_refused: bool,
    shared: Arc<Shared>,
    make: M,
    shutdown: Shutdown,
) where
    M: MakeService<B>,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let activity = Arc::new(Activity::new(shutdown.wish()));
    // Boxed: a handshake is short and its state large.
    let Some((mut io, mut info, mut is_http2)) =
        Box::pin(greet(socket, peer, &shared, &activity)).await
    else {
        return;
    };
    if !shared.is_tls() && shared.has_http2 {
        match Box::pin(sniff(&mut io, shared.header_timeout(is_refused))).await {
            Some(is) => is_http2 = is,
            None => return,
        }
    }
    info.is_refused = is_refused;
    let service = make.make(Arc::new(info));
    let outcome = if is_http2 {
        Box::pin(serve_http2(
            io, service, activity, &shared, is_refused, shutdown,
        ))
        .await
    } else {
        serve_http1(io, service, activity, &shared, is_refused, shutdown).await
    };
    if let Err(why) = outcome {
        tracing::debug!(?peer, %why, "client connection ended early");
    }
}

enum End {
    Done(Result<(), hyper::Error>),
    Quiet,
    Late(&'static str),
}

async fn serve_http1<S, B>(
    mut io: ClientIo,
    service: S,
    activity: Arc<Activity>,
    shared: &Shared,
    is_refused: bool,
    mut shutdown: Shutdown,
) -> Result<(), String>
where
    S: Service<Received, Response = http::Response<B>, Error = Infallible> + Send + Unpin,
    S::Future: Unpin,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let mut builder = http1::Builder::new();
    builder
        .half_close(false)
        .max_headers(shared.limits.headers)
        .max_buf_size(TRANSFER_BUFFER.max(2 * shared.limits.header_bytes))
        .max_header_size(shared.limits.header_bytes)
        // The deadlines of `Deadlines` cover what this timer would, without a timer per request.
        .header_read_timeout(None);
    let mut service = ConnectionService::http1(service, Arc::clone(&activity));
    let mut deadlines = shared.deadlines(is_refused);
    io.watch_http1();
    loop {
        // Boxed: dropped while parked.
        let mut connection = Box::new(builder.serve_connection(TokioIo::new(io), service));
        let end = {
            let mut tick = Box::pin(tokio::time::sleep(TICK));
            let mut notice = shutdown.notice();
            poll_fn(|cx| {
                // Woken by it, the connection is polled first: what has come is no longer idle.
                notice.poll(cx);
                // With its shutdown, which first writes what is left of an answer.
                if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                    return Poll::Ready(End::Done(result));
                }
                if activity.is_useless() {
                    return Poll::Ready(End::Quiet);
                }
                poll_tick(tick.as_mut(), &mut deadlines, &activity, cx)
            })
            .await
        };
        let parts = connection.into_parts();
        io = parts.io.into_inner();
        match end {
            End::Done(Ok(())) => {
                close(&mut io, activity.has_unread_body()).await;
                return Ok(());
            }
            End::Done(Err(error)) => {
                if let Some(status) = io.take_refusal() {
                    refuse(&mut io, parts.service, refusal::reason(status)).await;
                } else if error.is_parse() {
                    close(&mut io, true).await;
                } else if error.is_user() {
                    // The answer's body broke. Where the end of the connection is the end of the
                    // body (HTTP/1.0), an orderly one would make it look complete.
                    io.reset_on_close();
                }
                return Err(error.to_string());
            }
            End::Late(what) => {
                let is_head = |byte: &u8| !matches!(byte, b'\r' | b'\n');
                if activity.is_write_blocked() {
                    // hyper has bytes of an answer left, which are lost.
                    io.reset_on_close();
                } else if activity.has_partial_head() && parts.read_buf.iter().any(is_head) {
                    refuse(&mut io, parts.service, Malformed::LateHead).await;
                }
                return Err(format!("{what} timeout"));
            }
            End::Quiet => {}
        }
        service = parts.service;
        io.put_back(parts.read_buf);
        // A client that is to leave has had its time for one more request.
        let is_readable = !shutdown.is_leaving() && {
            let limit = deadlines.parked_limit(Instant::now());
            let leaves = async {
                if shutdown.farewell().await == Wish::Leave {
                    tokio::time::sleep(LAST_REQUEST).await;
                }
            };
            tokio::select! {
                readable = io.readable() => readable.is_ok(),
                () = tokio::time::sleep(limit) => false,
                () = leaves => false,
            }
        };
        if !is_readable {
            if !io.has_come() {
                close(&mut io, false).await;
                return Ok(());
            }
            // A request that has come is served, even where nobody waits for one any more. The event
            // loop has to learn of it first: until then hyper reads nothing and all looks idle.
            if io.readable().await.is_err() {
                return Ok(());
            }
        }
        deadlines.unpark(Instant::now());
    }
}

/// Answers what will not be read any further, and lets the client get to read that.
async fn refuse<S, B>(io: &mut ClientIo, service: ConnectionService<S>, why: Malformed)
where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let answering = refusal::answer(io, service.into_inner(), why);
    if tokio::time::timeout(LINGER, answering).await.is_ok() {
        close(io, true).await;
    }
}

fn poll_tick(
    mut tick: Pin<&mut Sleep>,
    deadlines: &mut Deadlines,
    activity: &Activity,
    cx: &mut std::task::Context<'_>,
) -> Poll<End> {
    while tick.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        match deadlines.check(activity, now) {
            Verdict::GoOn => {}
            Verdict::Quiet => return Poll::Ready(End::Quiet),
            Verdict::Late(what) => return Poll::Ready(End::Late(what)),
        }
        tick.as_mut().reset(now + TICK);
    }
    Poll::Pending
}

/// Ends a connection from our side. `lingers`: the client may still be sending, and closing under it
/// would turn the answer it has not read yet into a reset.
async fn close(io: &mut (impl AsyncRead + AsyncWrite + Unpin), lingers: bool) {
    let closing = async {
        if io.shutdown().await.is_err() || !lingers {
            return;
        }
        let mut scratch = vec![0; 16 * 1024];
        let mut total = 0;
        while total < LINGER_BYTES {
            match io.read(&mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(length) => total += length,
            }
        }
    };
    // Late or not, the connection is over.
    drop(tokio::time::timeout(LINGER, closing).await);
}

async fn serve_http2<S, B>(
    io: ClientIo,
    service: S,
    activity: Arc<Activity>,
    shared: &Shared,
    is_refused: bool,
    shutdown: Shutdown,
) -> Result<(), String>
where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    S::Future: Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let header_bytes = u32::try_from(shared.limits.header_bytes).unwrap_or(u32::MAX);
    let streams = Arc::new(Streams::default());
    // What stalls is a stream, and bytes on the connection do not show it.
    activity.set_multiplexed();
    let service = ConnectionService::http2(service, Arc::clone(&activity), Arc::clone(&streams));
    let stall_ticks = u32::try_from(shared.timeouts.stall.as_secs()).unwrap_or(u32::MAX);
    let mut chatter = Chatter::default();
    let mut io = Corked::new(io);
    let mut connection = std::pin::pin!(
        http2::Builder::new(StreamSpawner)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(header_bytes)
            .serve_connection(TokioIo::new(io.clone()), service)
    );
    let mut notice = shutdown.notice();
    let mut tick = Box::pin(tokio::time::sleep(TICK));
    let mut deadlines = shared.deadlines(is_refused);
    let mut quiet_since = Instant::now();
    let (mut moved, mut progress) = (quiet_since, 0);
    let mut closing_since: Option<Instant> = None;
    let mut is_draining = false;
    let mut is_abused = false;
    // Ended by h2, which has said so in a GOAWAY.
    let mut is_told = false;
    let ended = poll_fn(|cx| {
        if notice.poll(cx) {
            is_draining = shutdown.phase() >= Phase::Draining;
        }
        loop {
            let polled = connection.as_mut().poll(cx);
            let flushed = io.poll_uncork(cx);
            if let Poll::Ready(result) = polled {
                is_told = true;
                return Poll::Ready(result.map_err(|error| error.to_string()));
            }
            if let Poll::Ready(Err(error)) = flushed {
                return Poll::Ready(Err(error.to_string()));
            }
            // Not on the tick: until it is told, the client goes on to open streams here. One that has
            // just come gets one request through.
            let must_go = is_draining || activity.is_in_vain();
            if must_go && closing_since.is_none() && activity.requests() > 0 {
                closing_since = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
                // Polled again, which sends it.
                continue;
            }
            if streams.is_churned() {
                is_abused = true;
                return Poll::Ready(Err("streams opened only to be given up".to_owned()));
            }
            if chatter.is_too_much(&activity) {
                is_abused = true;
                return Poll::Ready(Err("too much that is part of no request".to_owned()));
            }
            ready!(tick.as_mut().poll(cx));
            let now = Instant::now();
            // Polled again in the next round, which leaves the waker with it.
            tick.as_mut().reset(now + TICK);
            if let Verdict::Late(what) = deadlines.check(&activity, now) {
                return Poll::Ready(Err(format!("{what} timeout")));
            }
            chatter.tick();
            let late = streams.tick(stall_ticks);
            if late > 0 {
                tracing::debug!(late, "streams reset: their client takes and sends nothing");
            }
            if activity.in_flight() > 0 {
                quiet_since = now;
            }
            if activity.in_flight() > 0 || progress != activity.progress() {
                moved = now;
            }
            progress = activity.progress();
            match closing_since {
                None if activity.is_leaving()
                    || now.saturating_duration_since(quiet_since) >= shared.timeouts.idle =>
                {
                    closing_since = Some(now);
                    connection.as_mut().graceful_shutdown();
                }
                // The peer has not answered the GOAWAY. It may be taking the tail of an answer, which h2
                // holds when the request is no longer in flight.
                Some(since)
                    if activity.in_flight() == 0
                        && now.saturating_duration_since(since.max(moved))
                            >= shared.timeouts.stall =>
                {
                    return Poll::Ready(Ok(()));
                }
                None | Some(_) => {}
            }
        }
    })
    .await;
    if is_abused {
        drop(tokio::time::timeout(LINGER, io.write_all(&ENHANCE_YOUR_CALM)).await);
    }
    if ended.is_ok() || is_abused || is_told {
        // The client goes on to send, and a reset would take from it what it has been sent.
        close(&mut io, true).await;
    }
    ended
}
