//! `include`: the other files of a config.
//!
//! A pattern is a path in which `*` stands for any characters of one name, and `?` for one character. It is
//! relative to the directory of the main file. The files of a pattern are ordered by name. As in a shell, a
//! wildcard at the start of a name does not match a leading dot. An included file cannot include further
//! files.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::problem::{Problem, Severity};
use crate::config::reader::{Reader, Text};
use crate::config::source::{Source, directory_of, read_text};

/// The patterns of `include` in a main file, which name all other files of the config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Includes {
    base: PathBuf,
    patterns: Vec<String>,
}

impl Includes {
    /// Reads the patterns of the main file. Problems are ignored.
    pub(super) fn new(root: &Reader<'_>) -> Self {
        let patterns = root.texts("include").into_iter();
        Self {
            base: root.base().to_owned(),
            patterns: patterns.map(|pattern| pattern.value).collect(),
        }
    }

    /// Returns the files that the patterns match now. A path without wildcards is always returned, even when
    /// there is no such file.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.patterns.iter();
        files
            .flat_map(|pattern| expand(&self.base, pattern).unwrap_or_default())
            .collect()
    }
}

/// The reason why a pattern cannot be expanded.
#[derive(Debug)]
enum ExpandError {
    /// A directory in front of a wildcard does not exist.
    NoDirectory(PathBuf),
    /// The OS cannot list this directory.
    Unreadable(PathBuf, io::Error),
}

impl ExpandError {
    /// Returns the error as the predicate of a sentence about the pattern. The text contains the path only if
    /// `shows_path` is true: the path may contain an interpolated value, which no message may show.
    fn reason(&self, shows_path: bool) -> String {
        let (Self::NoDirectory(path) | Self::Unreadable(path, _)) = self;
        let directory = if shows_path {
            format!("the directory `{}`", path.display())
        } else {
            "its directory".to_owned()
        };
        match self {
            Self::NoDirectory(_) => format!("matches no file: {directory} does not exist"),
            Self::Unreadable(_, error) => {
                format!("matches no file: {directory} cannot be listed: {error}")
            }
        }
    }
}

/// Reads the files that `include` names. `main` is the path of the main file; `None` if the config was not
/// read from a file. A file that cannot be read is reported, and its text counts as empty.
pub(super) fn read(root: &Reader<'_>, main: Option<&Path>) -> Vec<Source> {
    let main = main.and_then(identity);
    let mut known = std::collections::HashSet::new();
    let mut sources = Vec::new();
    for text in root.texts("include") {
        if let Some((reason, hint)) = invalid(&text.value) {
            root.error_at("include", &text, reason, hint.map(str::to_owned));
            continue;
        }
        let files = match expand(root.base(), &text.value) {
            Ok(files) => files,
            Err(error) => {
                let reason = error.reason(text.is_literal());
                match error {
                    ExpandError::NoDirectory(_) => root.warn_at("include", &text, &reason),
                    ExpandError::Unreadable(..) => root.error_at("include", &text, reason, None),
                }
                continue;
            }
        };
        for path in files {
            if identity(&path).is_some_and(|found| Some(found) == main) {
                let hint =
                    "put the other files into a directory of their own, such as `routes.d/*.toml`";
                root.error_at(
                    "include",
                    &text,
                    "matches this file itself",
                    Some(hint.to_owned()),
                );
            } else if known.insert(path.clone()) {
                sources.push(read_file(root, &text, &path, sources.len() + 1));
            }
        }
    }
    sources
}

/// Reads the included file at `path`. `number` is its number among the files of the config. `pattern` is the
/// item of `include` that matches the file.
fn read_file(root: &Reader<'_>, pattern: &Text, path: &Path, number: usize) -> Source {
    let name = path.display().to_string();
    let text = read_text(path).unwrap_or_else(|error| {
        let mut hint = error.hint().map(str::to_owned);
        if path.is_dir() {
            hint = Some(format!(
                "write `{}/*.toml`",
                pattern.written.trim_end_matches('/')
            ));
        }
        // An included file that does not exist is a problem of the main file, which names it.
        if std::fs::symlink_metadata(path).is_err() {
            root.error_at("include", pattern, &error, hint);
        } else {
            root.session().problems.borrow_mut().push(Problem {
                file: number,
                span: None,
                path: String::new(),
                message: error.to_string(),
                hint,
                severity: Severity::Error,
            });
        }
        String::new()
    });
    Source::numbered(number, &name, &text, &directory_of(path))
}

/// Returns the reason why `pattern` is not supported, and a hint.
fn invalid(pattern: &str) -> Option<(&'static str, Option<&'static str>)> {
    if pattern.is_empty() {
        return Some(("is empty", None));
    }
    if pattern.ends_with('/') {
        return Some(("names a directory", Some("write `routes.d/*.toml`")));
    }
    (pattern.contains("**") || pattern.contains(['[', ']', '{', '}', '\\'])).then_some((
        "is not a pattern: only `*` and `?` are wildcards",
        Some("list several patterns: `include = [\"a.d/*.toml\", \"b.d/*.toml\"]`"),
    ))
}

/// Returns the device and inode numbers, by which the OS identifies the file at `path`.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

fn is_wild(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Returns the paths that match `pattern`, ordered by name.
fn expand(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, ExpandError> {
    let mut paths = vec![match pattern.starts_with('/') {
        true => PathBuf::from("/"),
        false => base.to_owned(),
    }];
    let mut is_first = true;
    for name in pattern.split('/').filter(|name| !name.is_empty()) {
        if !is_wild(name) {
            for path in &mut paths {
                path.push(name);
            }
            continue;
        }
        let mut found = Vec::new();
        for path in &paths {
            match list(path, name) {
                Ok(matching) => found.extend(matching),
                // A directory that an earlier wildcard matched may lack the rest of the path. Such a
                // directory is skipped.
                Err(ExpandError::NoDirectory(_)) if !is_first => {}
                Err(error) => return Err(error),
            }
        }
        (paths, is_first) = (found, false);
    }
    if is_wild(pattern) {
        paths.retain(|path| std::fs::symlink_metadata(path).is_ok());
    }
    Ok(paths)
}

/// Returns the paths in `directory` whose names match `pattern`, ordered by name.
fn list(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, ExpandError> {
    // The empty path stands for the working directory.
    let listed = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ExpandError::NoDirectory(directory.to_owned())
        }
        _ => ExpandError::Unreadable(directory.to_owned(), error),
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(listed).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".") && !pattern.starts_with('.');
        if !is_hidden && matches(pattern, &name.to_string_lossy()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// Whether `name` matches `pattern`. Takes time proportional to the product of both lengths at most.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // The pattern after the last `*`, and the part of the name after the characters that this `*` stands for
    // so far.
    let mut star = None;
    loop {
        let rest = name.clone();
        match (pattern.next(), name.next()) {
            (Some('*'), _) => {
                star = Some((pattern.clone(), rest.clone()));
                name = rest;
            }
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
            _ => {
                // The rest of the name does not match, so the last `*` takes one more character.
                let Some((after, left)) = &mut star else {
                    return false;
                };
                if left.next().is_none() {
                    return false;
                }
                (pattern, name) = (after.clone(), left.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_characters_of_one_name() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", true),
            ("*.toml", "a.toml~", false),
            ("*.toml", "a.toml.swp", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "a\u{e9}c", true),
            ("a?c", "ac", false),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbxc", false),
            ("a", "A", false),
            ("a*", "b", false),
            ("", "a", false),
            ("**x", "yyx", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_paths_of_a_pattern_are_ordered_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", "c"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            for file in ["2.toml", "10.toml", ".x.toml", "1.toml~"] {
                std::fs::write(dir.path().join(name).join(file), "").unwrap();
            }
        }
        std::fs::write(dir.path().join("c/only.toml"), "").unwrap();
        let found = |pattern: &str| -> Vec<String> {
            let found = expand(dir.path(), pattern).unwrap();
            let relative = found
                .iter()
                .map(|path| path.strip_prefix(dir.path()).unwrap());
            relative.map(|path| path.display().to_string()).collect()
        };
        assert_eq!(found("a/*.toml"), ["a/10.toml", "a/2.toml"]);
        assert_eq!(found("?/2.toml"), ["a/2.toml", "b/2.toml", "c/2.toml"]);
        assert_eq!(found("*/only.toml"), ["c/only.toml"]);
        assert_eq!(found("a/.*"), ["a/.x.toml"]);
        assert_eq!(found("none.toml"), ["none.toml"]);
        assert_eq!(found("a/none*"), [""; 0]);
        let missing = expand(dir.path(), "none/*.toml").unwrap_err();
        assert!(
            matches!(missing, ExpandError::NoDirectory(_)),
            "{missing:?}"
        );
    }
}
