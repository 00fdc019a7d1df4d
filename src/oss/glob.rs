//! Matching one text against a list of patterns with `*` and `?`, in one pass over the text.
//!
//! The longest literal piece of every pattern goes into one Aho-Corasick automaton; where a piece is
//! found, its pattern is looked at more closely. So the cost does not grow with the list, and a
//! pattern that is looked at is run as a set of states: linear in the text, whatever the pattern.

use std::fmt;
use std::ops::Range;

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind, StartKind};

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
        for (place, byte) in text.iter().enumerate() {
            state = keys.next_state(Anchored::No, state, *byte);
            if !keys.is_match(state) {
                continue;
            }
            for nth in 0..keys.match_len(state) {
                let key = keys.match_pattern(state, nth);
                let end = place + 1;
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

/// A pattern as a set of states, one bit each: bit `n` is set when the first `n` characters of the
/// pattern, stars not counted, have been matched.
struct States {
    words: usize,
    /// The row of `masks` for each byte.
    class: [u8; 256],
    /// For each class, the states that a byte of it leads out of.
    masks: Vec<u64>,
    /// States that any byte leaves as they are: those before a star.
    stars: Vec<u64>,
    /// States that a byte inside a character leaves as they are: those after a `?`.
    inside: Vec<u64>,
    last: usize,
    ends_in_star: bool,
}

impl States {
    fn new(pattern: &[u8]) -> Self {
        let characters = pattern.iter().filter(|byte| **byte != b'*').count();
        let words = characters / 64 + 1;
        let mut states = Self {
            words,
            class: [0; 256],
            masks: vec![0; words],
            stars: vec![0; words],
            inside: vec![0; words],
            last: characters,
            ends_in_star: pattern.last() == Some(&b'*'),
        };
        // Class 0 is every byte the pattern does not name; 1 to n are those it names, in lower case.
        let mut classes = 1_u8;
        for byte in pattern.iter().map(u8::to_ascii_lowercase) {
            if byte != b'*' && byte != b'?' && states.class_of(byte) == 0 {
                for twin in [byte, byte.to_ascii_uppercase()] {
                    if let Some(class) = states.class.get_mut(usize::from(twin)) {
                        *class = classes;
                    }
                }
                // A pattern names at most 228 bytes that differ without their case.
                classes = classes.saturating_add(1);
            }
        }
        states.masks = vec![0; words * usize::from(classes)];
        let mut place = 0;
        for byte in pattern.iter().map(u8::to_ascii_lowercase) {
            let (word, bit) = (place / 64, 1_u64 << (place % 64));
            if byte == b'*' {
                set(&mut states.stars, word, bit);
                continue;
            }
            if byte == b'?' {
                for class in 0..usize::from(classes) {
                    set(&mut states.masks, class * words + word, bit);
                }
                let after = place + 1;
                set(&mut states.inside, after / 64, 1 << (after % 64));
            } else {
                let class = usize::from(states.class_of(byte));
                set(&mut states.masks, class * words + word, bit);
            }
            place += 1;
        }
        states
    }

    fn class_of(&self, byte: u8) -> u8 {
        self.class.get(usize::from(byte)).copied().unwrap_or(0)
    }

    fn matches(&self, text: &[u8], may_end: impl Fn(usize) -> bool) -> bool {
        // On the stack for all but absurd patterns.
        let mut few = [0_u64; 8];
        let mut many;
        let now: &mut [u64] = if let Some(few) = few.get_mut(..self.words) {
            few
        } else {
            many = vec![0; self.words];
            &mut many
        };
        set(now, 0, 1);
        let (last_word, last_bit) = (self.last / 64, 1_u64 << (self.last % 64));
        for end in 0..=text.len() {
            let is_there = now.get(last_word).is_some_and(|word| word & last_bit != 0);
            if is_there && (self.ends_in_star || may_end(end)) {
                return true;
            }
            let Some(byte) = text.get(end).copied() else {
                break;
            };
            let is_inside = byte & 0xc0 == 0x80;
            let row = usize::from(self.class_of(byte)) * self.words;
            let mut carry = 0;
            let mut is_dead = true;
            for (word, state) in now.iter_mut().enumerate() {
                let at = |list: &[u64], place: usize| list.get(place).copied().unwrap_or(0);
                let moved = *state & at(&self.masks, row + word);
                let mut stays = *state & at(&self.stars, word);
                if is_inside {
                    stays |= *state & at(&self.inside, word);
                }
                *state = (moved << 1) | carry | stays;
                carry = moved >> 63;
                is_dead &= *state == 0;
            }
            if is_dead {
                return false;
            }
        }
        false
    }
}

fn set(list: &mut [u64], word: usize, bit: u64) {
    if let Some(word) = list.get_mut(word) {
        *word |= bit;
    }
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
