//! Reads the files of a config, with a limit on their size and without waiting.
//!
//! The running process reads these files at a reload. A device, or a pipe whose other end nobody opens, could
//! make the reload wait forever. A huge file would use all memory.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The maximum size of a config file, of an included file and of a PEM file.
pub(crate) const LARGEST: u64 = 16 << 20;

/// `O_NONBLOCK`: with this flag, opening and reading never wait. The standard library has no name for the
/// flag.
const NON_BLOCKING: i32 = if cfg!(any(target_os = "linux", target_os = "android")) {
    0o4000
} else {
    0x4
};

/// Reads the regular file at `path`, whose size is at most `most` bytes.
///
/// # Errors
///
/// The OS error; [`io::ErrorKind::InvalidInput`] if the path names no regular file; and
/// [`io::ErrorKind::FileTooLarge`] if the file has more than `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Opening some devices has an effect, so a device is not even opened. The path can name another file a
    // moment later, so the open file is checked as well.
    check(&std::fs::metadata(path)?, most)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(NON_BLOCKING)
        .open(path)?;
    check(&file.metadata()?, most)?;
    read_at_most(file, most)
}

fn check(found: &Metadata, most: u64) -> io::Result<()> {
    if !found.is_file() {
        return Err(not_a_file());
    }
    if found.len() > most {
        return Err(too_large(most));
    }
    Ok(())
}

/// Reads `file`, and fails if it has more than `most` bytes. The size that the OS reports is not enough for
/// this check: it is 0 for the files of `/proc`, and a file can grow.
fn read_at_most(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut content);
    let read = read.map_err(|error| match error.kind() {
        // A regular file never makes a reader wait. The OS reports `/proc/kmsg` as a regular file, but
        // reading it can wait.
        io::ErrorKind::WouldBlock => not_a_file(),
        _ => error,
    })?;
    if u64::try_from(read).is_ok_and(|read| read > most) {
        return Err(too_large(most));
    }
    Ok(content)
}

fn not_a_file() -> io::Error {
    let reason = "it is not a regular file";
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

fn too_large(most: u64) -> io::Error {
    let (size, unit) = match most >> 20 {
        0 => (most >> 10, "KiB"),
        size => (size, "MiB"),
    };
    let reason = format!("it is larger than {size} {unit}");
    io::Error::new(io::ErrorKind::FileTooLarge, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_within_the_limit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("full"), vec![b'x'; 2048]).unwrap();
        std::fs::write(path("more"), vec![b'x'; 2049]).unwrap();
        // The file has no blocks on disk, but reading it would fill the memory.
        let sparse = File::create(path("sparse")).unwrap();
        sparse.set_len(20 << 30).unwrap();
        assert_eq!(read(&path("full"), 2048).unwrap(), vec![b'x'; 2048]);
        let error = |path: &Path, most| read(path, most).unwrap_err().to_string();
        assert_eq!(error(&path("more"), 2048), "it is larger than 2 KiB");
        assert_eq!(error(&path("sparse"), LARGEST), "it is larger than 16 MiB");
        for other in ["/dev/zero", "/dev/null", "/proc"] {
            assert_eq!(error(Path::new(other), 9), "it is not a regular file");
        }
        assert!(error(&path("none"), 9).contains("No such file"));
        // The OS reports the size 0 for this file.
        let content = read(Path::new("/proc/self/status"), LARGEST).unwrap();
        assert!(content.starts_with(b"Name:"));
        let error = error(Path::new("/proc/self/status"), 9);
        assert_eq!(error, "it is larger than 0 KiB");
    }

    #[test]
    fn a_file_that_has_nothing_to_read_yet_does_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = read(&pipe, 9).unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
        // Both ends of the pipe are open and nothing is written, so a read would wait, as with `/proc/kmsg`.
        let mut both = OpenOptions::new();
        both.read(true).write(true).custom_flags(NON_BLOCKING);
        let error = read_at_most(both.open(&pipe).unwrap(), 9).unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
    }
}
