//! One HTTP/2 connection, from its preface to its close.
//!
//! hyper and h2 implement the protocol. This module enforces limits that hyper and h2 lack: on bytes that
//! belong to no request ([`super::frame_budget`]), on cancelled and stalled streams
//! ([`crate::listener::streams`]), and on the time for which a connection is idle ([`super::goaway`]).

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tower::Service;

use crate::http::Received;
use crate::http::activity::Activity;
use crate::listener::client_io::ClientIo;
use crate::listener::closing::{Close, LINGER, close};
use crate::listener::deadline::TICK;
use crate::listener::error::ConnectionError;
use crate::listener::http2::cork::Corked;
use crate::listener::http2::frame_budget::FrameBudget;
use crate::listener::http2::goaway::{Goaway, Step};
use crate::listener::places::Admission;
use crate::listener::service::ConnectionService;
use crate::listener::settings::ListenerSettings;
use crate::listener::streams::{STREAM_WINDOW, StreamSpawner, Streams};
use crate::shutdown::{Phase, Shutdown};

/// The maximum number of concurrent streams of a connection.
const STREAMS: u32 = 128;
/// The connection's flow-control window, in bytes. It bounds the memory that all uploads of one
/// connection need together.
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// The maximum number of response bytes buffered in one stream for a slow client.
const SEND_BUFFER: usize = 128 * 1024;

/// A GOAWAY frame with the code ENHANCE_YOUR_CALM (RFC 9113 sections 6.8 and 7). hyper cannot send this
/// frame. The last stream id in the frame is the highest possible one, and all streams end with the
/// connection.
const ENHANCE_YOUR_CALM: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x0b,
];

/// The maximum number of checks whether the streams of a connection have ended, and the pause between two
/// checks. The end of the connection wakes each stream, so the first or the second check succeeds.
const STREAMS_END_CHECKS: u32 = 200;
const STREAMS_END_PAUSE: Duration = Duration::from_millis(5);

/// How long a drain waits for a client that has no stream in flight and sends nothing. A client that still
/// works would acknowledge the PING that follows a GOAWAY. A client that still reads the end of a response
/// sends WINDOW_UPDATE frames.
const DRAIN_SILENCE: Duration = Duration::from_secs(3);

/// Serves one HTTP/2 connection to its end. Dropping the future closes the connection at once.
///
/// # Errors
///
/// Any [`ConnectionError`].
pub(in crate::listener) async fn serve<S, B>(
    io: ClientIo,
    service: ConnectionService<S>,
    settings: &ListenerSettings,
    admission: Admission,
    shutdown: Shutdown,
) -> Result<(), ConnectionError>
where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    S::Future: Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let activity = Arc::clone(service.activity());
    let header_bytes = u32::try_from(settings.limits.header_bytes).unwrap_or(u32::MAX);
    let timeouts = &settings.timeouts;
    let streams = Arc::new(Streams::default());
    // On HTTP/2 a stall is detected per stream, because bytes may move on the connection while one of its
    // streams is stalled.
    activity.set_multiplexed();
    let service = service.with_streams(Arc::clone(&streams));
    let stall_ticks = u32::try_from(timeouts.stall.as_secs()).unwrap_or(u32::MAX);
    let mut frame_budget = FrameBudget::default();
    let mut io = Corked::new(io);
    let mut phase_changes = shutdown.notice();
    let mut tick = Box::pin(tokio::time::sleep(TICK));
    let mut deadlines = settings.deadlines(admission);
    let mut goaway = Goaway::new(Instant::now());
    let (mut is_draining, mut is_silent) = (false, false);
    // hyper's connection is dropped at the end of this block. The drop wakes the tasks of the streams.
    let ended = {
        let mut connection = std::pin::pin!(
            http2::Builder::new(StreamSpawner)
                .max_concurrent_streams(STREAMS)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_send_buf_size(SEND_BUFFER)
                .max_header_list_size(header_bytes)
                .serve_connection(TokioIo::new(io.clone()), service)
        );
        poll_fn(|cx| {
            if phase_changes.poll(cx) {
                is_draining = shutdown.phase() >= Phase::Draining;
            }
            loop {
                let polled = connection.as_mut().poll(cx);
                let flushed = io.poll_uncork(cx);
                if let Poll::Ready(result) = polled {
                    return Poll::Ready(result.map_err(ConnectionError::Http));
                }
                if let Poll::Ready(Err(error)) = flushed {
                    return Poll::Ready(Err(ConnectionError::Socket(error)));
                }
                // Whether the client must reconnect is checked on each poll and not only on each tick,
                // because the client opens more streams until it receives the GOAWAY. A new connection
                // serves one request before its GOAWAY.
                let must_go = is_draining || activity.is_in_vain();
                if must_go && !goaway.is_sent() && activity.requests() > 0 {
                    goaway.note_sent(Instant::now());
                    connection.as_mut().graceful_shutdown();
                    // The next poll sends the GOAWAY.
                    continue;
                }
                if streams.has_too_many_cancelled() {
                    return Poll::Ready(Err(ConnectionError::CancelledStreams));
                }
                if frame_budget.is_exceeded(&activity) {
                    return Poll::Ready(Err(ConnectionError::FrameBudget));
                }
                ready!(tick.as_mut().poll(cx));
                let now = Instant::now();
                // The next round of the loop polls the timer, which registers the waker.
                tick.as_mut().reset(now + TICK);
                if let Err(timeout) = deadlines.check(&activity, now) {
                    return Poll::Ready(Err(timeout.into()));
                }
                frame_budget.tick();
                let stalled = streams.tick(stall_ticks);
                if stalled > 0 {
                    tracing::debug!(stalled, "streams reset: the client neither reads nor sends");
                }
                let silence = if is_draining {
                    DRAIN_SILENCE.min(timeouts.stall)
                } else {
                    timeouts.stall
                };
                match goaway.tick(&activity, now, timeouts.idle, silence) {
                    Step::None => {}
                    Step::SendGoaway => {
                        goaway.note_sent(now);
                        connection.as_mut().graceful_shutdown();
                    }
                    Step::Close => {
                        is_silent = is_draining;
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        })
        .await
    };
    // The client may still be sending. If the socket were closed at once, a reset would then discard the
    // last frames that the proxy sent.
    match &ended {
        // If there was no request, there is no response to lose. A silent client sends no bytes that would
        // cause a reset.
        Ok(()) if activity.requests() == 0 || is_silent => close(&mut io, Close::AtOnce).await,
        Ok(()) | Err(ConnectionError::Http(_)) => close(&mut io, Close::Lingering).await,
        Err(ConnectionError::CancelledStreams | ConnectionError::FrameBudget) => {
            drop(tokio::time::timeout(LINGER, io.write_all(&ENHANCE_YOUR_CALM)).await);
            close(&mut io, Close::Lingering).await;
        }
        Err(ConnectionError::Socket(_) | ConnectionError::Timeout(_)) => {}
    }
    streams_end(&activity).await;
    ended
}

/// Waits until the tasks of the streams have noticed the end of their connection.
///
/// When such a task ends, an exchange whose upload has been read to its end becomes a task of the worker's
/// [`TaskTracker`](tokio_util::task::TaskTracker). A drain waits for all tasks of that tracker, and this
/// connection is one of them. So the connection must not end before the exchange has been added.
async fn streams_end(activity: &Activity) {
    for _ in 0..STREAMS_END_CHECKS {
        if activity.in_flight() == 0 {
            return;
        }
        tokio::time::sleep(STREAMS_END_PAUSE).await;
    }
}
