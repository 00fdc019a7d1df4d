//! Matching one text against a list of patterns with `*` and `?`, in one pass over the text.
//!
//! The longest literal piece of every pattern goes into one Aho-Corasick automaton; where a piece is
//! found, its pattern is looked at more closely. So the cost does not grow with the list, and a
//! pattern that is looked at is run as a set of states: linear in the text, whatever the pattern.

mod states;

use std::fmt;
use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind, StartKind};

use self::states::States;

/// Bytes of keys up to which a list gets the table that is fastest and largest: at most 256 bytes of
/// table for each byte of a key, so 1 MiB.
const SMALL: usize = 4096;

/// A list of patterns, compiled.
///
/// A pattern is anchored at the start of the text; `*` is any run of bytes, `?` is one character, and
/// the text may go on after the pattern. ASCII case does not count.
pub struct GlobList {
    patterns: Vec<Pattern>,
    /// Finds the keys of `keyed`.
    automaton: Option<Keys>,
    /// The pattern of each key of the automaton.
    keyed: Vec<usize>,
    /// Patterns with no literal piece.
    unkeyed: Vec<usize>,
    /// A pattern that matches everything.
    everything: Option<usize>,
}

impl fmt::Debug for GlobList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobList")
            .field("patterns", &self.patterns.len())
            .finish_non_exhaustive()
    }
}

/// Finds keys.
enum Keys {
    Few(DFA),
    Many(NFA),
}

enum Pattern {
    /// No wildcard: its key at the start is the match.
    Literal,
    /// `PREFIX*KEY`: the key behind the prefix is the match.
    Tail(Box<[u8]>),
    /// Anything else.
    States(Box<States>),
}

/// Why a list of patterns cannot be compiled: it is larger than memory allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl GlobList {
    /// Compiles `patterns`.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn new(patterns: &[&str]) -> Result<Self, TooLarge> {
        let (mut keys, mut list) = (
            Vec::new(),
            Self {
                patterns: Vec::with_capacity(patterns.len()),
                automaton: None,
                keyed: Vec::new(),
                unkeyed: Vec::new(),
                everything: None,
            },
        );
        for (index, text) in patterns.iter().enumerate() {
            let pieces = || text.split(['*', '?']).filter(|piece| !piece.is_empty());
            let key = pieces().max_by_key(|piece| piece.len());
            let is_everything = text.bytes().all(|byte| byte == b'*');
            match key {
                Some(key) => {
                    keys.push(key);
                    list.keyed.push(index);
                }
                None if is_everything => list.everything = list.everything.or(Some(index)),
                None => list.unkeyed.push(index),
            }
            list.patterns.push(match (text.split_once('*'), key) {
                (None, Some(key)) if key.len() == text.len() => Pattern::Literal,
                (Some((prefix, tail)), Some(key)) if tail == key && !prefix.contains('?') => {
                    Pattern::Tail(prefix.as_bytes().into())
                }
                _ => Pattern::States(Box::new(States::new(text.as_bytes()))),
            });
        }
        if !keys.is_empty() {
            let size: usize = keys.iter().map(|key: &&str| key.len()).sum();
            let automaton = if size <= SMALL {
                DFA::builder()
                    .ascii_case_insensitive(true)
                    .match_kind(MatchKind::Standard)
                    .start_kind(StartKind::Unanchored)
                    .prefilter(false)
                    .build(keys)
                    .map(Keys::Few)
            } else {
                NFA::builder()
                    .ascii_case_insensitive(true)
                    .match_kind(MatchKind::Standard)
                    .prefilter(false)
                    // Of 10,000 keys with nothing in common: 15 MiB.
                    .dense_depth(6)
                    .build(keys)
                    .map(Keys::Many)
            };
            let automaton = automaton.map_err(|_| TooLarge)?;
            list.automaton = Some(automaton);
        }
        Ok(list)
    }

    /// Whether there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The index of a pattern that matches `text`. `may_end` says whether a pattern that ends at this
    /// place of the text counts; it is not asked about patterns that end in `*`.
    pub fn find(&self, text: &[u8], may_end: impl Fn(usize, usize) -> bool) -> Option<usize> {
        if self.everything.is_some() {
            return self.everything;
        }
        let found = match &self.automaton {
            Some(Keys::Few(keys)) => self.scan(keys, text, &may_end),
            Some(Keys::Many(keys)) => self.scan(keys, text, &may_end),
            None => None,
        };
        if found.is_some() {
            return found;
        }
        self.unkeyed
            .iter()
            .copied()
            .find(|index| match self.patterns.get(*index) {
                Some(Pattern::States(pattern)) => pattern.matches(text, |end| may_end(*index, end)),
                Some(Pattern::Literal | Pattern::Tail(_)) | None => false,
            })
    }

    /// The first pattern with a key that matches. The crate's own search costs twice as much per byte.
    fn scan(
        &self,
        keys: &impl Automaton,
        text: &[u8],
        may_end: impl Fn(usize, usize) -> bool,
    ) -> Option<usize> {
        // A pattern whose key occurs often is run once. Allocates only when a closer look failed.
        let mut failed: Vec<usize> = Vec::new();
        let mut state = keys.start_state(Anchored::No).ok()?;
        let mut end = 0;
        while let Some((next, at)) = next_match(keys, text.get(end..)?, state) {
            state = at;
            end += next;
            for nth in 0..keys.match_len(state) {
                let key = keys.match_pattern(state, nth);
                let found = (end - keys.pattern_len(key))..end;
                let index = self.keyed.get(key.as_usize()).copied()?;
                if self.is_match(index, text, found, &mut failed, &may_end) {
                    return Some(index);
                }
            }
        }
        None
    }

    /// Whether the pattern whose key was found at `found` matches.
    fn is_match(
        &self,
        index: usize,
        text: &[u8],
        found: Range<usize>,
        failed: &mut Vec<usize>,
        may_end: impl Fn(usize, usize) -> bool,
    ) -> bool {
        match self.patterns.get(index) {
            Some(Pattern::Literal) => found.start == 0 && may_end(index, found.end),
            Some(Pattern::Tail(prefix)) => {
                found.start >= prefix.len()
                    && text
                        .get(..prefix.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
                    && may_end(index, found.end)
            }
            Some(Pattern::States(_)) if failed.contains(&index) => false,
            Some(Pattern::States(pattern)) => {
                let is_match = pattern.matches(text, |end| may_end(index, end));
                if !is_match {
                    failed.push(index);
                }
                is_match
            }
            None => false,
        }
    }
}

/// Where in `text`, and in which state, the next key ends. On its own, so that the loop stays within
/// the processor's registers.
#[inline(never)]
fn next_match(keys: &impl Automaton, text: &[u8], from: StateID) -> Option<(usize, StateID)> {
    let mut state = from;
    for (place, byte) in text.iter().enumerate() {
        state = keys.next_state(Anchored::No, state, *byte);
        // One comparison: of the special states hardly any but those of a match are ever met.
        if keys.is_special(state) && keys.is_match(state) {
            return Some((place + 1, state));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let list = GlobList::new(&[pattern]).unwrap();
        list.find(text.as_bytes(), |_, _| true).is_some()
    }

    /// The same by trying everything; the texts are short.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => true,
            Some((b'*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((b'?', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((byte, rest)) => {
                text.first()
                    .is_some_and(|first| first.eq_ignore_ascii_case(byte))
                    && naive(rest, &text[1..])
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_trying_everything(pattern in "[abA*?]{0,9}", text in "[abAB]{0,12}") {
            proptest::prop_assert_eq!(
                matches(&pattern, &text),
                naive(pattern.as_bytes(), text.as_bytes())
            );
        }

        #[test]
        fn a_list_matches_when_one_of_it_does(
            patterns in proptest::collection::vec("[ab*?]{1,6}", 1..6),
            text in "[ab]{0,10}",
        ) {
            let all: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let found = GlobList::new(&all).unwrap().find(text.as_bytes(), |_, _| true);
            let expected = all.iter().any(|one| naive(one.as_bytes(), text.as_bytes()));
            proptest::prop_assert_eq!(found.is_some(), expected);
            if let Some(index) = found {
                proptest::prop_assert!(naive(all[index].as_bytes(), text.as_bytes()));
            }
        }
    }

    #[test]
    fn a_question_mark_is_one_character_of_any_length() {
        assert!(matches("http://目?.cn", "http://目录.cn/a"));
        assert!(matches("http://a?c", "http://abc"));
        assert!(!matches("http://a?c", "http://ac"));
        assert!(!matches("http://a?c", "http://abbc"));
    }

    #[test]
    fn long_patterns_cross_the_words() {
        let long = "ab?".repeat(70);
        assert!(matches(
            &format!("*{long}"),
            &format!("zz{}", "abx".repeat(70))
        ));
        assert!(!matches(
            &format!("*{long}c"),
            &format!("zz{}", "abx".repeat(70))
        ));
    }
}
