//! Matches a text against a list of patterns with `*` and `?`.
//!
//! The literal of a pattern is its longest piece without wildcards. The literals of all patterns form one
//! Aho-Corasick automaton. A pattern is compared in full only where its literal is found, so the cost does
//! not grow with the length of the list. A full comparison follows the pattern as a set of states, so its
//! cost is linear in the length of the text for every pattern.

mod keys;
mod states;

use std::fmt;
use std::ops::Range;

use self::keys::Keys;
use self::states::States;

/// A compiled list of patterns.
///
/// A pattern must match at the start of the text, and the text may continue after the match. `*` stands
/// for any sequence of bytes, `?` for one character. ASCII case is ignored.
pub struct GlobList {
    patterns: Vec<Pattern>,
    /// The automaton of the literals; `None` when no pattern has a literal. Boxed, because most lists are
    /// empty.
    automaton: Option<Box<Keys>>,
    /// The length of each literal in the automaton, and the index of its pattern.
    keyed: Vec<(usize, usize)>,
    /// The indexes of the patterns that consist only of wildcards and contain a `?`.
    unkeyed: Vec<usize>,
    /// The index of a pattern that matches everything.
    everything: Option<usize>,
}

impl fmt::Debug for GlobList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobList")
            .field("patterns", &self.patterns.len())
            .finish_non_exhaustive()
    }
}

enum Pattern {
    /// A pattern without wildcards. It matches if the text begins with it.
    Literal,
    /// A pattern `PREFIX*LITERAL` with this prefix. It matches if the text begins with the prefix and has
    /// the literal somewhere after it.
    Tail(Box<[u8]>),
    /// Any other pattern.
    States(Box<States>),
}

/// The error for a list of patterns that is too large for the automaton.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl GlobList {
    /// Compiles `patterns`.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] when the automaton cannot be built for so many literals.
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
                    list.keyed.push((key.len(), index));
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
            list.automaton = Some(Box::new(Keys::new(&keys).map_err(|_| TooLarge)?));
        }
        Ok(list)
    }

    /// Whether the list has no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns the index of a pattern that matches `text`. `may_end` is called with the index of a pattern
    /// and the position in the text where the pattern ends. It returns whether the pattern may end there. It
    /// is not called for patterns that end in `*`.
    pub fn find(&self, text: &[u8], may_end: impl Fn(usize, usize) -> bool) -> Option<usize> {
        if self.everything.is_some() {
            return self.everything;
        }
        // The patterns whose full comparison failed. They are not compared again when their literal
        // occurs again. The list allocates only after the first failure.
        let mut failed: Vec<usize> = Vec::new();
        let found = self.automaton.as_ref().and_then(|keys| {
            let key = keys.find(text, |key, end| {
                self.keyed.get(key).is_some_and(|(length, index)| {
                    self.is_match(*index, text, end - length..end, &mut failed, &may_end)
                })
            })?;
            Some(self.keyed.get(key)?.1)
        });
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

    /// Whether pattern number `index` matches `text`. The literal of the pattern is at `found` in `text`.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let list = GlobList::new(&[pattern]).unwrap();
        list.find(text.as_bytes(), |_, _| true).is_some()
    }

    /// Matches by testing every possibility, which is fast enough for short texts.
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
        fn a_list_matches_when_one_of_its_patterns_does(
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
    fn long_patterns_need_several_words_of_states() {
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
