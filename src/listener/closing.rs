//! Closes client connections from the proxy's side.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The maximum time for a close: for writing the last bytes, and for reading and dropping bytes of the
/// client ([`Close::Lingering`]).
pub(super) const LINGER: Duration = Duration::from_secs(2);
/// The maximum number of bytes read while lingering.
const LINGER_BYTES: usize = 1024 * 1024;

/// How long an idle connection stays open for one more request after a drain begins. If the connection
/// were closed at once, a request that is already being sent would be aborted.
pub(super) const LAST_REQUEST: Duration = Duration::from_secs(3);

/// Whether the client may still be sending when its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The client sends nothing more. The connection is closed at once.
    AtOnce,
    /// The client may still be sending. Its bytes are read and dropped for a while: closing a socket with
    /// unread bytes sends a reset, and the client would lose the unread part of the response.
    Lingering,
}

/// Closes a connection within [`LINGER`].
pub(super) async fn close(io: &mut (impl AsyncRead + AsyncWrite + Unpin), how: Close) {
    let closing = async {
        if io.shutdown().await.is_err() || how == Close::AtOnce {
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
    // The connection is closed even if the time limit has passed.
    drop(tokio::time::timeout(LINGER, closing).await);
}
