//! An import, with what it writes and what it says.

use std::path::{Path, PathBuf};

use ossgate::cli::import::{Source, import};
use ossgate::config::{self, Config};

/// The exit code of an import, the written config, and the notes.
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) text: String,
    pub(crate) notes: String,
}

impl Outcome {
    /// Loads the written config. Certificates are not read.
    pub(crate) fn config(&self) -> Config {
        let loaded = config::from_str("imported", &self.text, Path::new("/"), &|_| None);
        loaded
            .unwrap_or_else(|problems| panic!("{problems}\n{}", self.text))
            .config
    }
}

/// Runs the import of `source`.
pub(crate) fn outcome(source: &Source<'_>) -> Outcome {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = import(source, &mut out, &mut errors).unwrap();
    Outcome {
        code,
        text: String::from_utf8(out).unwrap(),
        notes: String::from_utf8(errors).unwrap(),
    }
}

/// Writes each text to a file of its own in `directory`, and returns the paths.
pub(crate) fn files(directory: &Path, texts: &[&str]) -> Vec<PathBuf> {
    texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let path = directory.join(format!("{number}.conf"));
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect()
}
