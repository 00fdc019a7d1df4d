//! Interpolates strings: inserts the values of environment variables and the contents of files.
//!
//! Strings are interpolated after the document has been parsed, so no character of a secret can change the
//! structure of the document. An error never contains an inserted value.

use std::fmt;
use std::io;
use std::path::Path;

use crate::config::open;

/// A function that returns the value of an environment variable; `None` when it is not set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The maximum size of an inserted file, in bytes. Files with a token or key are much smaller.
const LONGEST_FILE: u64 = 64 << 10;

/// The reason why a string cannot be interpolated.
#[derive(Debug)]
pub(crate) enum InterpolationError {
    /// A `${` has no `}`.
    Open,
    /// The text between `${` and `}` is neither the name of a variable nor `file:/path`.
    Name(String),
    /// The variable is not set and has no default.
    Unset(String),
    /// The file cannot be read.
    File(String, io::Error),
}

impl fmt::Display for InterpolationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("`${` has no `}`"),
            Self::Name(name) => write!(f, "`${{{name}}}` names neither a variable nor a file"),
            Self::Unset(name) => write!(f, "environment variable `{name}` is not set"),
            Self::File(path, error) => write!(f, "cannot read `{path}`: {error}"),
        }
    }
}

impl InterpolationError {
    /// Returns a hint on how to correct the string.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Open | Self::Name(_) => {
                "write `${NAME}`, `${NAME:-default}` or `${file:/path}`".to_owned()
            }
            Self::Unset(name) => format!("set it, or give a default: `${{{name}:-default}}`"),
            Self::File(..) => "a relative path is relative to the config file".to_owned(),
        }
    }
}

/// Interpolates `text`. `${NAME}` stands for an environment variable. `${NAME:-default}` stands for `default`
/// if the variable is unset or empty. `${file:/path}` stands for the content of a file without the line
/// breaks at its end; `read` returns the content. `$${` stands for a literal `${`.
///
/// # Errors
///
/// The error of the first reference that cannot be interpolated: [`InterpolationError::Open`],
/// [`InterpolationError::Name`], [`InterpolationError::Unset`] or [`InterpolationError::File`].
pub(crate) fn interpolate(
    text: &str,
    env: Env<'_>,
    read: impl Fn(&str) -> io::Result<String>,
) -> Result<String, InterpolationError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = after;
            continue;
        }
        result.push_str(before);
        let (inside, after) = after.split_once('}').ok_or(InterpolationError::Open)?;
        rest = after;
        if let Some(path) = inside.strip_prefix("file:") {
            let content =
                read(path).map_err(|error| InterpolationError::File(path.to_owned(), error))?;
            result.push_str(content.trim_end_matches(['\r', '\n']));
            continue;
        }
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(InterpolationError::Name(inside.to_owned()));
        }
        match (env(name), default) {
            (Some(value), None) => result.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => result.push_str(&value),
            (_, Some(default)) => result.push_str(default),
            (None, None) => return Err(InterpolationError::Unset(name.to_owned())),
        }
    }
    result.push_str(rest);
    Ok(result)
}

fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}

/// Reads a file that a string inserts: a regular file of at most 64 KiB.
///
/// # Errors
///
/// The errors of [`open::read`], and [`io::ErrorKind::InvalidData`] if the file is not UTF-8.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    String::from_utf8(open::read(path, LONGEST_FILE)?).map_err(|_| {
        // The error of the standard library contains the content of the file, so it is replaced.
        io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absolute(path: &str) -> io::Result<String> {
        read(Path::new(path))
    }

    #[test]
    fn strings_are_filled_in_after_parsing() {
        let env = |name: &str| match name {
            "A" => Some("x\"y".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("a${A}b", "ax\"yb"),
            ("${A}${A}", "x\"yx\"y"),
            ("${B:-d}", "d"),
            ("${B:-}", ""),
            ("${A:-d}", "x\"y"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY}", ""),
            ("plain $A {A}", "plain $A {A}"),
            ("$${A}${A}$${", "${A}x\"y${"),
        ] {
            assert_eq!(interpolate(text, &env, absolute).unwrap(), expected);
        }
        for (text, expected) in [
            ("${B}", "environment variable `B` is not set"),
            ("${A", "`${` has no `}`"),
            ("${}", "`${}` names neither a variable nor a file"),
            ("${1A}", "`${1A}` names neither a variable nor a file"),
            ("${A-b}", "`${A-b}` names neither a variable nor a file"),
            (
                "${file:/nonexistent}",
                "cannot read `/nonexistent`: No such file or directory (os error 2)",
            ),
            (
                "${file:/dev/zero}",
                "cannot read `/dev/zero`: it is not a regular file",
            ),
        ] {
            let error = interpolate(text, &env, absolute).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn a_file_is_filled_in_without_its_last_line_end() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), "abc\r\n").unwrap();
        let inside = |path: &str| read(&directory.path().join(path));
        let filled = interpolate("<${file:token}>", &|_| None, inside).unwrap();
        assert_eq!(filled, "<abc>");
    }
}
