//! The close of a client connection from our side.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A client that is still sending when its connection is closed is read from for this long, so that a
/// TCP reset does not destroy the answer. Also the time limit for writing the last bytes.
pub(super) const LINGER: Duration = Duration::from_secs(2);
/// The maximum number of bytes read while lingering.
const LINGER_BYTES: usize = 1024 * 1024;

/// When a drain begins, an idle connection stays open this long for one more request: closing it at
/// once would cut off a request that is on its way.
pub(super) const LAST_REQUEST: Duration = Duration::from_secs(3);

/// Whether the client may still be sending when its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The client has sent all it wants to send.
    AtOnce,
    /// The client may still be sending. Its bytes are read and dropped for a while: closing a socket
    /// with unread bytes sends a reset, which discards what the client has not read of the answer.
    Lingering,
}

/// Closes a connection, within [`LINGER`].
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
    // The connection ends, whether the time was enough or not.
    drop(tokio::time::timeout(LINGER, closing).await);
}
