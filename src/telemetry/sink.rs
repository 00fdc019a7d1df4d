//! A log's destination: standard output, standard error, or a file that can be reopened.
//!
//! A file is opened for appending and written in whole lines, so that a rotation (rename, then
//! reopen) loses nothing and two processes can share it during an upgrade.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Where lines go.
#[derive(Debug)]
enum Target {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
}

/// A destination shared by all who write to it.
#[derive(Clone, Debug)]
pub struct SharedSink(Arc<Mutex<Target>>);

impl SharedSink {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self(Arc::new(Mutex::new(Target::Stdout)))
    }

    /// Standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self(Arc::new(Mutex::new(Target::Stderr)))
    }

    /// The file at `path`, created when missing.
    ///
    /// # Errors
    ///
    /// When it cannot be opened for appending.
    pub fn file(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        Ok(Self(Arc::new(Mutex::new(Target::File { path, file }))))
    }

    /// Opens the file anew, after a rotation; nothing for the standard streams.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened; the old one stays in use then.
    pub fn reopen(&self) -> io::Result<()> {
        let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Target::File { path, file } = &mut *target {
            *file = open(path)?;
        }
        Ok(())
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for SharedSink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_all(buf)?;
        Ok(buf.len())
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *target {
            Target::Stdout => io::stdout().lock().write_all(buf),
            Target::Stderr => io::stderr().lock().write_all(buf),
            Target::File { file, .. } => file.write_all(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *target {
            Target::Stdout => io::stdout().lock().flush(),
            Target::Stderr => io::stderr().lock().flush(),
            Target::File { file, .. } => file.flush(),
        }
    }
}
