//! A log's destination: standard output, standard error, or a file that can be reopened.
//!
//! A file is opened for appending and written in whole lines, so that a rotation (rename, then
//! reopen) loses nothing and two processes can share it during an upgrade.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A destination shared by all who write to it.
#[derive(Clone, Debug)]
pub struct SharedSink(Target);

/// Where lines go.
#[derive(Clone, Debug)]
enum Target {
    Stdout,
    Stderr,
    File(Arc<LogFile>),
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    /// Locked to take or change it, never to write: a disk that hangs must not hang who reopens.
    file: Mutex<Arc<File>>,
}

impl LogFile {
    fn current(&self) -> Arc<File> {
        Arc::clone(&self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SharedSink {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self(Target::Stdout)
    }

    /// Standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self(Target::Stderr)
    }

    /// The file at `path`, created when missing.
    ///
    /// # Errors
    ///
    /// When it cannot be opened for appending.
    pub fn file(path: PathBuf) -> io::Result<Self> {
        let file = Mutex::new(open(&path)?);
        Ok(Self(Target::File(Arc::new(LogFile { path, file }))))
    }

    /// Opens the file anew, after a rotation; nothing for the standard streams. Does not wait for who
    /// is writing.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened; the old one stays in use then.
    pub fn reopen(&self) -> io::Result<()> {
        if let Target::File(log) = &self.0 {
            let file = open(&log.path)?;
            *log.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        }
        Ok(())
    }
}

fn open(path: &PathBuf) -> io::Result<Arc<File>> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(Arc::new(file))
}

impl Write for SharedSink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_all(buf)?;
        Ok(buf.len())
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        match &self.0 {
            Target::Stdout => io::stdout().lock().write_all(buf),
            Target::Stderr => io::stderr().lock().write_all(buf),
            Target::File(log) => (&*log.current()).write_all(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.0 {
            Target::Stdout => io::stdout().lock().flush(),
            Target::Stderr => io::stderr().lock().flush(),
            Target::File(log) => (&*log.current()).flush(),
        }
    }
}
