//! The socket on which hyper's HTTP/1.1 connection works.
//!
//! This module detects four things that hyper does not report:
//!
//! - Targets with a `#`: hyper drops the `#` and all that follows. The bytes of heads are searched before
//!   hyper reads them ([`crate::http::hidden_fragment`]).
//! - Chunked requests that also have a Content-Length: hyper drops the length
//!   ([`crate::http::input_framing`]).
//! - hyper's own error responses to a request that it cannot read: they bypass the service, so they would
//!   be missing from the log and the metrics. Such a response is held back, and the connection sends its
//!   own response ([`super::malformed`]).
//! - A reset by the client while hyper waits for the service: hyper does not read during this wait. The
//!   next flush returns the reset as an error.
//!
//! This module could be removed if hyper rejected such targets, reported such lengths and resets, and
//! returned parse errors without a response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::StatusCode;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::respond;
use crate::listener::client_io::ClientIo;

/// The client's socket that is passed to hyper.
#[derive(Debug)]
pub(super) struct HyperIo {
    client: ClientIo,
    /// The status of hyper's own error response, which was held back. hyper writes at most one error
    /// response, because the connection ends with it.
    held: Option<StatusCode>,
    /// Whether hyper may still have bytes of a service response to write. hyper flushes the socket only when
    /// it has written all it has, so this ends with the first flush after the response body has ended.
    is_service_writing: bool,
}

/// Returns the status if `buf` is an error response made by hyper. A response of the service has the field
/// [`respond::REQUEST_ID`]; a response made by hyper does not have this field.
fn own_answer(buf: &[u8]) -> Option<StatusCode> {
    // hyper answers in the version of the latest request of the connection.
    let status = (buf.strip_prefix(b"HTTP/1.1 "))
        .or_else(|| buf.strip_prefix(b"HTTP/1.0 "))?
        .get(..3)?;
    let is_own = status.starts_with(b"4")
        && buf.ends_with(b"\r\n\r\n")
        && memmem::find(buf, respond::REQUEST_ID.as_str().as_bytes()).is_none();
    StatusCode::from_bytes(status).ok().filter(|_| is_own)
}

impl HyperIo {
    /// Wraps a client's socket for a new hyper connection, which first reads the beginning of a head.
    pub(super) fn new(client: ClientIo) -> Self {
        // Bytes that an earlier hyper connection has read and not parsed will be read and inspected again.
        client.activity().hidden_fragments.reset();
        Self {
            client,
            held: None,
            is_service_writing: false,
        }
    }

    /// Returns the client's socket, and the status of the response that was held back.
    pub(super) fn into_parts(self) -> (ClientIo, Option<StatusCode>) {
        (self.client, self.held)
    }

    /// If `buf` is hyper's own error response, stores its status and returns true. The response must then
    /// be held back.
    #[inline]
    fn holds_back(&mut self, buf: &[u8]) -> bool {
        // The last bytes of an object may look like an error response of hyper. They may be written after the
        // response body has ended, when no request is in flight any more. So `is_service_writing` stays
        // true until hyper flushes.
        self.is_service_writing |= self.client.activity().in_flight() > 0;
        if self.is_service_writing || self.held.is_some() {
            return false;
        }
        self.held = own_answer(buf);
        self.is_service_writing = self.held.is_none();
        self.held.is_some()
    }
}

impl AsyncRead for HyperIo {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.client).poll_read(cx, buf);
        let read = buf.filled().get(before..).unwrap_or_default();
        let activity = this.client.activity();
        activity.input_framing.follow(read);
        if !read.is_empty() && !activity.is_in_body() {
            activity.hidden_fragments.inspect(read);
        }
        polled
    }
}

impl AsyncWrite for HyperIo {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.holds_back(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.client).poll_write(cx, buf)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let [buf] = bufs
            && this.holds_back(buf)
        {
            return Poll::Ready(Ok(buf.len()));
        }
        // hyper writes its own response in one piece, so several pieces belong to a response of the service.
        this.is_service_writing |= bufs.len() > 1;
        Pin::new(&mut this.client).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let activity = this.client.activity();
        this.is_service_writing = activity.in_flight() > 0;
        // hyper does not read while it waits for the service, so it would not notice a reset by the
        // client. But hyper flushes whenever it is polled, at least once per tick, so the reset is
        // detected here. While a request body is being read, the reset is ignored, because bytes of the
        // body may still be readable.
        if activity.in_flight() > 0 && !activity.is_in_body() && this.client.is_reset() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut this.client).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.held.is_some() {
            // The socket is not shut down yet, because the connection still has to write the response that
            // replaces hyper's own.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.client).poll_shutdown(cx)
    }
}
