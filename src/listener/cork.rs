//! One write for what an HTTP/2 connection has to say at a time.
//!
//! h2 flushes after each DATA frame, so that answers which are ready together leave one by one, each
//! with its system call. Here a flush is put off until the connection has been polled: its owner
//! calls [`Cork::poll_flush`] then. What is held back is bounded by rustls's own buffer of encrypted
//! bytes; when that is full, the socket is written at once. Plain text is not held back.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listener::io::ClientIo;

/// The owner's half.
#[derive(Debug)]
pub struct Cork(Shared);

/// The half that hyper reads and writes.
#[derive(Debug)]
pub struct Corked(Shared);

/// Locked by the connection's task only, so never contended.
type Shared = Arc<Mutex<ClientIo>>;

fn locked(io: &Shared) -> MutexGuard<'_, ClientIo> {
    io.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Splits a client's socket into the two halves.
#[must_use]
pub fn cork(io: ClientIo) -> (Cork, Corked) {
    let shared = Arc::new(Mutex::new(io));
    (Cork(Arc::clone(&shared)), Corked(shared))
}

impl Cork {
    /// Writes what was held back.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.0)).poll_flush(cx)
    }
}

impl AsyncRead for Corked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.0)).poll_read(cx, buf)
    }
}

impl AsyncWrite for Corked {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        locked(&self.0).poll_take(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        locked(&self.0).poll_take(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.0)).poll_shutdown(cx)
    }
}
