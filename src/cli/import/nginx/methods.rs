//! Sets of methods, and the regular expressions with which nginx files choose methods.

/// The methods that a route can name.
const METHODS: [&str; 6] = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"];

/// A set of methods, with one bit for each of [`METHODS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Methods(u8);

impl Methods {
    /// All methods.
    pub(super) const ALL: Self = Self(0b11_1111);

    /// Returns the methods for which `is_in` is true.
    pub(super) fn that(mut is_in: impl FnMut(&str) -> bool) -> Self {
        let mut bits = 0;
        for (place, name) in METHODS.iter().enumerate() {
            bits |= u8::from(is_in(name)) << place;
        }
        Self(bits)
    }

    /// Returns the methods of `limit_except`. nginx includes HEAD in GET.
    pub(super) fn of_limit_except(words: &[String]) -> Self {
        let has = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        Self::that(|name| has(name) || (name == "HEAD" && has("GET")))
    }

    /// Returns the methods that match the regular expression `pattern`. `None` means that it is not just a list
    /// of method names. The list may have anchors, and one group around it.
    pub(super) fn matching(pattern: &str, ignores_case: bool) -> Option<Self> {
        let anchored = |text: &str| {
            let begins = text.starts_with('^');
            let ends = text.ends_with('$');
            let text = text.strip_prefix('^').unwrap_or(text);
            (
                begins,
                text.strip_suffix('$').unwrap_or(text).to_owned(),
                ends,
            )
        };
        let (begins, inside, ends) = anchored(pattern);
        let group = inside
            .strip_prefix("(?:")
            .or_else(|| inside.strip_prefix('('))
            .and_then(|group| group.strip_suffix(')'));
        let words: Vec<(bool, String, bool)> = match group {
            Some(group) => group
                .split('|')
                .map(|word| (begins, word.to_owned(), ends))
                .collect(),
            None => pattern.split('|').map(anchored).collect(),
        };
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| {
                    byte.is_ascii_uppercase() || (ignores_case && byte.is_ascii_lowercase())
                })
        };
        if !words.iter().all(|(_, word, _)| is_word(word)) {
            return None;
        }
        Some(Self::that(|name| {
            words.iter().any(|(begins, word, ends)| {
                let word = word.to_ascii_uppercase();
                match (begins, ends) {
                    (true, true) => name == word,
                    (true, false) => name.starts_with(&word),
                    (false, true) => name.ends_with(&word),
                    (false, false) => name.contains(&word),
                }
            })
        }))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the names of the methods.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        METHODS
            .iter()
            .enumerate()
            .filter(move |(place, _)| self.0 & (1 << place) != 0)
            .map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_methods_is_found_in_its_spellings() {
        for (pattern, ignores_case, names) in [
            ("^(GET|HEAD)$", false, Some("GET HEAD")),
            ("^(?:GET|HEAD)$", false, Some("GET HEAD")),
            ("^GET$|^HEAD$", false, Some("GET HEAD")),
            ("GET|HEAD", false, Some("GET HEAD")),
            ("^(get|Head)$", true, Some("GET HEAD")),
            ("^(get|head)$", false, None),
            ("^P", false, Some("PUT POST")),
            ("PUT", false, Some("PUT")),
            ("^(PATCH)$", false, Some("")),
            ("^(GET|)$", false, None),
            ("^(GET|HEAD", false, None),
            (".", false, None),
            ("", false, None),
        ] {
            let found = Methods::matching(pattern, ignores_case);
            let found = found.map(|found| found.names().collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), names, "{pattern}");
        }
    }
}
