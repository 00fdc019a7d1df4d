//! One file of the config: its name, its text, and its directory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::lines::Lines;

/// The text of a config file and its name for messages. A clone shares the text.
#[derive(Clone)]
pub struct Source {
    /// The name for messages: the path as given on the command line, or the path of an included file.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
    /// The directory to which the paths in the file are relative.
    pub(crate) base: Arc<Path>,
    /// The number of the file among the files of its config. The main file has number 0.
    pub(crate) number: usize,
    lines: Arc<Lines>,
}

/// Leaves out the text, which may contain secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Creates the main file of a config from its name and its text. Paths in the text are relative to `base`.
    #[must_use]
    pub fn new(name: &str, text: &str, base: &Path) -> Self {
        Self::numbered(0, name, text, base)
    }

    /// Creates file number `number` of a config.
    pub(crate) fn numbered(number: usize, name: &str, text: &str, base: &Path) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            base: base.into(),
            number,
            lines: Arc::new(Lines::new(text)),
        }
    }

    /// Returns the positions of the lines of the text.
    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Returns line and column of a byte offset, both from 1.
    #[must_use]
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.line(offset);
        let before = self.text.get(self.lines.start(line)..offset);
        // Editors do not count a byte order mark as a character.
        let count = |before: &str| before.trim_start_matches('\u{feff}').chars().count();
        (line, before.map_or(0, count) + 1)
    }
}

/// Returns the directory of the file at `path`. For a bare file name this is the empty path, which stands for
/// the working directory.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

/// The reason why a config file cannot be read as text.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The OS cannot read the file.
    Io(std::io::Error),
    /// The path names a directory, a pipe or a device.
    NotAFile,
    /// The text is UTF-16.
    Utf16,
    /// The line, counted from 1, has a byte that is not UTF-8.
    NotUtf8(usize),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the file: {error}"),
            Self::NotAFile => f.write_str("cannot read the file: it is not a regular file"),
            Self::Utf16 => f.write_str("the file is UTF-16 text, and TOML is UTF-8"),
            Self::NotUtf8(line) => write!(f, "line {line} has a byte that is not UTF-8"),
        }
    }
}

impl ReadError {
    /// Returns a hint about the correction; `None` if the message is enough.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io(_) | Self::NotAFile => None,
            Self::Utf16 | Self::NotUtf8(_) => {
                Some("save the file as UTF-8; some editors on Windows write GBK or UTF-16")
            }
        }
    }
}

/// Reads the text of the config file at `path`.
///
/// # Errors
///
/// [`ReadError::Io`], [`ReadError::Utf16`] and [`ReadError::NotUtf8`].
pub(crate) fn read_text(path: &Path) -> Result<String, ReadError> {
    let bytes = std::fs::read(path).map_err(ReadError::Io)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(ReadError::Utf16);
    }
    String::from_utf8(bytes).map_err(|error| {
        let (valid, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        ReadError::NotUtf8(memchr::memchr_iter(b'\n', valid).count() + 1)
    })
}

/// Does the same as [`read_text`], but only for a regular file. Opening a pipe could wait without end.
///
/// # Errors
///
/// [`ReadError::NotAFile`], and the errors of [`read_text`].
pub(crate) fn read_regular(path: &Path) -> Result<String, ReadError> {
    let found = std::fs::metadata(path).map_err(ReadError::Io)?;
    if !found.is_file() {
        return Err(ReadError::NotAFile);
    }
    read_text(path)
}
