//! Reads the files of an import, and finds the files that an `include` of an nginx file names.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

/// The maximum size of an imported file, in bytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// The maximum number of included files.
const MAX_FILES: usize = 10_000;

/// The files of one import.
#[derive(Debug)]
pub(super) struct Includes {
    /// The files that the operator names. They are imported once, even if another file includes them.
    named: HashSet<PathBuf>,
    /// The number of files that may still be included.
    left: usize,
}

impl Includes {
    pub(super) fn new(named: &[PathBuf]) -> Self {
        let canonical = named.iter().filter_map(|path| path.canonicalize().ok());
        Self {
            named: canonical.collect(),
            left: MAX_FILES,
        }
    }

    /// Returns the name and the text of each file that `pattern` names. `root` is the file that the operator
    /// names; `pattern` stands in `root` or in a file that `root` includes. nginx looks in the directory of its
    /// main file, which may be the directory of `root` or the one above, so both are tried. `None` means that a
    /// file or its directory cannot be read, or that too many files are included.
    pub(super) fn read(&mut self, root: &str, pattern: &str) -> Option<Vec<(String, String)>> {
        let directory = Path::new(root).parent().unwrap_or(Path::new(""));
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let above = directory.join("..");
        let found = [directory, &above]
            .into_iter()
            .find_map(|base| find(base, pattern).filter(|found| !found.is_empty()))
            .or_else(|| find(directory, pattern));
        let mut files = Vec::new();
        for path in found? {
            if path
                .canonicalize()
                .is_ok_and(|path| self.named.contains(&path))
            {
                continue;
            }
            self.left = self.left.checked_sub(1)?;
            files.push((path.display().to_string(), read(&path).ok()?));
        }
        Some(files)
    }
}

/// Returns the text of a file.
///
/// # Errors
///
/// The [`io::Error`] when the file cannot be read, is not UTF-8 or is too large.
pub(super) fn read(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_SIZE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "is larger than 1 MiB",
        ));
    }
    std::fs::read_to_string(path)
}

/// Returns the files below `base` that match `pattern`, sorted by name. `None` means that the file does not
/// exist, or that the directory of a pattern with `*` or `?` cannot be read.
fn find(base: &Path, pattern: &str) -> Option<Vec<PathBuf>> {
    let is_glob = |text: &str| text.contains(['*', '?']);
    let pattern = Path::new(pattern);
    if !pattern.to_str().is_some_and(is_glob) {
        let path = base.join(pattern);
        return path.is_file().then(|| vec![path]);
    }
    let mut directories = vec![base.to_owned()];
    for component in pattern.components() {
        let name = component.as_os_str().to_str()?;
        let mut next = Vec::new();
        for directory in &directories {
            if is_glob(name) {
                next.extend(matching(directory, name).ok()?);
            } else {
                next.push(directory.join(name));
            }
        }
        directories = next;
    }
    Some(
        directories
            .into_iter()
            .filter(|path| path.is_file())
            .collect(),
    )
}

fn matching(directory: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some(text) = name.to_str() else {
            continue;
        };
        if matches(text.as_bytes(), pattern.as_bytes())
            && text.starts_with('.') == pattern.starts_with('.')
        {
            found.push(directory.join(&name));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether `name` matches `pattern`, in which `*` stands for any text and `?` for one byte.
fn matches(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut in_pattern) = (0, 0);
    // The state of the last `*` so far: the position after the `*` in `pattern`, and the position in `name` at which
    // the text that the `*` matches ends.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                star = Some((in_pattern + 1, at));
                in_pattern += 1;
            }
            Some(wanted) if *wanted == b'?' || Some(wanted) == name.get(at) => {
                in_pattern += 1;
                at += 1;
            }
            _ => match star {
                None => return false,
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    in_pattern = after;
                    at = from + 1;
                }
            },
        }
    }
    pattern
        .get(in_pattern..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_text() {
        for (name, pattern, expected) in [
            ("a.conf", "*.conf", true),
            ("a.conf.bak", "*.conf", false),
            ("abab", "*ab", true),
            ("a", "?", true),
            ("ab", "?", false),
            ("", "*", true),
            ("site-a.conf", "site-*.co*", true),
        ] {
            assert_eq!(
                matches(name.as_bytes(), pattern.as_bytes()),
                expected,
                "{name} {pattern}"
            );
        }
    }
}
