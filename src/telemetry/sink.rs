//! The output of a log: standard output, standard error, or a file that can be reopened.
//!
//! A file is opened for appending and written in whole lines. Therefore a rotation (rename, then reopen)
//! loses no lines, and two processes can share the file during an upgrade.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A log output. Clones write to the same output; reopening the file affects all clones.
#[derive(Clone, Debug)]
pub struct SharedSink(Output);

#[derive(Clone, Debug)]
enum Output {
    Stdout,
    Stderr,
    File(Arc<LogFile>),
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    /// Locked only to read or replace the reference, never during a write. Therefore a disk that hangs does
    /// not block [`SharedSink::reopen`].
    file: Mutex<Arc<File>>,
}

impl LogFile {
    fn current(&self) -> Arc<File> {
        Arc::clone(&self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SharedSink {
    /// Creates a sink for standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self(Output::Stdout)
    }

    /// Creates a sink for standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self(Output::Stderr)
    }

    /// Opens the file at `path`, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// The OS error if the file cannot be opened for appending.
    pub fn file(path: PathBuf) -> io::Result<Self> {
        let file = Mutex::new(open(&path)?);
        Ok(Self(Output::File(Arc::new(LogFile { path, file }))))
    }

    /// Reopens the file after a rotation. Does nothing for the standard streams. Does not wait for a write
    /// in progress.
    ///
    /// # Errors
    ///
    /// The OS error if the file cannot be opened. In this case the old file stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        if let Output::File(log) = &self.0 {
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
            Output::Stdout => io::stdout().lock().write_all(buf),
            Output::Stderr => io::stderr().lock().write_all(buf),
            Output::File(log) => (&*log.current()).write_all(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.0 {
            Output::Stdout => io::stdout().lock().flush(),
            Output::Stderr => io::stderr().lock().flush(),
            Output::File(log) => (&*log.current()).flush(),
        }
    }
}
