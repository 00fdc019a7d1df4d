//! The files of unix sockets. The kernel does not remove them when the socket closes.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Makes `path` available for a new listening socket: removes a socket file that an ended process has left
/// there. A file of another kind is kept, and the bind then fails.
///
/// # Errors
///
/// `AddrInUse` if a process accepts connections on `path`; otherwise the error of the removal.
pub fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(path)
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Removes the file of a listening socket that this process closes. A failure is only logged, because the
/// next start removes the file.
pub fn remove_closed(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "cannot remove the socket file");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_file_without_a_listener_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        remove_stale(&path).unwrap();
        fs::write(&path, "not a socket").unwrap();
        remove_stale(&path).unwrap();
        assert!(path.exists(), "an ordinary file was removed");
        fs::remove_file(&path).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let error = remove_stale(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        remove_stale(&path).unwrap();
        assert!(!path.exists(), "the stale file is still there");
    }
}
