//! A string of the config with its line.

use serde::{Serialize, Serializer};

use crate::config::reader::{Reader, Text};

/// A string of the config with its line in the file, so that the explanation of a decision can name the line
/// that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The string.
    pub text: String,
    /// The line in the config file, from 1.
    pub line: usize,
}

impl Located {
    /// Adds the line number to `text`, which `reader` has returned.
    pub(crate) fn new(reader: &Reader<'_>, text: Text) -> Self {
        Self {
            line: reader.line(&text.span),
            text: text.value,
        }
    }
}

impl Serialize for Located {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
