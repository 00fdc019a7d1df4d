//! One file of the config: its name, its text, and its directory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::lines::Lines;
use crate::config::open::{self, LARGEST};

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
        Places::default().place(self, offset)
    }
}

/// Finds the lines and columns of many offsets. A column is counted from the previous offset if that offset
/// is in the same line. If each column were counted from the start of the line, the time for a long line with
/// many problems would be quadratic.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The file, line, offset and column that were found last.
    last: Option<(usize, usize, usize, usize)>,
}

impl Places {
    /// Returns line and column of `offset` in `source`, both from 1.
    pub(crate) fn place(&mut self, source: &Source, offset: usize) -> (usize, usize) {
        let line = source.lines.line(offset);
        let near = self.last.filter(|(file, last_line, last, _)| {
            (*file, *last_line) == (source.number, line) && *last <= offset
        });
        let start = source.lines.start(line);
        let (from, known) = near.map_or((start, 1), |(_, _, last, column)| (last, column));
        let before = source.text.get(from..offset).unwrap_or_default();
        // Editors do not count a byte order mark as a character.
        let before = before.trim_start_matches('\u{feff}');
        let column = known + before.chars().count();
        self.last = Some((source.number, line, offset, column));
        (line, column)
    }
}

/// Returns the directory of the file at `path`. For a bare file name, the result is the empty path, which
/// stands for the working directory.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

/// The reason why a config file cannot be read as text.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The OS cannot read the file, the path names a directory, a pipe or a device, or the file is too large.
    Io(std::io::Error),
    /// The text is UTF-16.
    Utf16,
    /// The line with this number, counted from 1, has a byte that is not UTF-8.
    NotUtf8(usize),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the file: {error}"),
            Self::Utf16 => f.write_str("the file is UTF-16 text, and TOML is UTF-8"),
            Self::NotUtf8(line) => write!(f, "line {line} has a byte that is not UTF-8"),
        }
    }
}

impl ReadError {
    /// Returns a hint that says how to correct the file; `None` if the message is enough.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io(_) => None,
            Self::Utf16 | Self::NotUtf8(_) => {
                Some("save the file as UTF-8; some editors on Windows write GBK or UTF-16")
            }
        }
    }
}

/// Reads the text of the config file at `path`: a regular file of at most 16 MiB.
///
/// # Errors
///
/// [`ReadError::Io`], [`ReadError::Utf16`] and [`ReadError::NotUtf8`].
pub(crate) fn read_text(path: &Path) -> Result<String, ReadError> {
    let bytes = open::read(path, LARGEST).map_err(ReadError::Io)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(ReadError::Utf16);
    }
    String::from_utf8(bytes).map_err(|error| {
        let (valid, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        ReadError::NotUtf8(memchr::memchr_iter(b'\n', valid).count() + 1)
    })
}
