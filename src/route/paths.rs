//! Finds the longest of many prefixes that match a path. There is no I/O.
//!
//! A prefix matches whole segments: `/img` serves `/img` and `/img/a`, but not `/image`. `/img/` serves
//! `/img/a` and not `/img`. `/` serves everything.

use std::collections::HashMap;

/// Values, each of which belongs to a path prefix.
#[derive(Debug)]
pub(crate) struct Paths<T> {
    /// The values, keyed by prefix. The slash at the end of a prefix is removed, so `/img` and `/img/` share an
    /// entry.
    entries: HashMap<Box<[u8]>, Entry<T>>,
    /// The different lengths of the prefixes, longest first. If a segment of the path ends at one of these
    /// lengths, the part of the path up to that length is looked up. Therefore the cost depends only on the
    /// number of different lengths, not on the number of routes or segments.
    lengths: Vec<usize>,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    /// Whether the prefix ends with a slash. Such a prefix does not serve the path without the slash.
    has_slash: bool,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            lengths: Vec::new(),
        }
    }
}

impl<T> Paths<T> {
    /// Adds a value for `prefix`, which begins with a slash. A second value for the same prefix is
    /// ignored.
    pub(crate) fn insert(&mut self, prefix: &[u8], value: T) {
        let bare = prefix.strip_suffix(b"/").unwrap_or(prefix);
        if let Err(place) = self
            .lengths
            .binary_search_by(|length| bare.len().cmp(length))
        {
            self.lengths.insert(place, bare.len());
        }
        self.entries.entry(bare.into()).or_insert(Entry {
            value,
            has_slash: !bare.is_empty() && bare.len() < prefix.len(),
        });
    }

    /// Returns the value of the longest prefix that serves `path`.
    pub(crate) fn find(&self, path: &[u8]) -> Option<&T> {
        self.lengths.iter().find_map(|length| {
            let (bare, rest) = path.split_at_checked(*length)?;
            if !matches!(rest.first(), None | Some(b'/')) {
                return None;
            }
            let entry = self.entries.get(bare)?;
            (!rest.is_empty() || !entry.has_slash).then_some(&entry.value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a route with the path `prefix` serves `path`.
    fn serves(prefix: &str, path: &str) -> bool {
        let bare = prefix.strip_suffix('/').unwrap_or(prefix);
        match path.strip_prefix(bare) {
            None => false,
            Some(rest) => {
                rest.starts_with('/')
                    || (rest.is_empty() && (bare.len() == prefix.len() || bare.is_empty()))
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn the_longest_prefix_that_serves_is_found(
            prefixes in proptest::collection::vec("/[ab/]{0,5}", 0..8),
            path in "/[ab/]{0,8}|",
        ) {
            let mut paths = Paths::default();
            for prefix in &prefixes {
                paths.insert(prefix.as_bytes(), prefix.strip_suffix('/').unwrap_or(prefix));
            }
            let mut expected: Vec<&str> = prefixes
                .iter()
                .filter(|prefix| serves(prefix, &path))
                .map(|prefix| prefix.strip_suffix('/').unwrap_or(prefix))
                .collect();
            expected.sort_by_key(|bare| bare.len());
            // A config cannot have a route for `/a` and another for `/a/`, so lists with such a pair are
            // skipped.
            let is_double = prefixes.iter().any(|prefix| prefixes.contains(&format!("{prefix}/")));
            if !is_double {
                proptest::prop_assert_eq!(paths.find(path.as_bytes()).copied(), expected.pop());
            }
        }
    }
}
