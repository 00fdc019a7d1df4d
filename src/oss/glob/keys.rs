//! Finds the literals of a list of patterns in a text. The text is read only once, whatever the number of
//! literals.
//!
//! The `aho-corasick` crate builds the automaton. The DFA of the crate needs four bytes for each transition
//! and has separate transitions for upper and lower case: about 20 KiB for three patterns. This is too much
//! for thousands of routes that each have a list. So the states are copied into a [`KeyTable`], which needs a
//! tenth of the memory and is as fast. If the crate had a DFA that merges upper and lower case, the table
//! could be removed.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::{contiguous, noncontiguous};
use aho_corasick::{Anchored, BuildError, MatchKind};

/// The maximum total length of the literals, in bytes, for which a table is built. With this limit a table
/// needs at most 4 MiB (1 KiB for each byte of a literal), and usually much less.
const SMALL: usize = 4096;

/// Finds the literals of a list of patterns in a text.
pub(super) enum Keys {
    /// A table whose states fit into 16 bits.
    Few(KeyTable<u16>),
    /// A table whose states need more than 16 bits.
    More(KeyTable<u32>),
    /// An NFA for literals whose total length is above [`SMALL`]. It needs the least memory and is the
    /// slowest form.
    Many(contiguous::NFA),
}

impl Keys {
    /// Builds the automaton for the literals `keys`. ASCII case is ignored.
    pub(super) fn new(keys: &[&str]) -> Result<Self, BuildError> {
        let size: usize = keys.iter().map(|key| key.len()).sum();
        if size > SMALL {
            let many = contiguous::NFA::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .prefilter(false)
                // With this depth, 10,000 literals without a common part need 15 MiB.
                .dense_depth(6)
                .build(keys)?;
            return Ok(Self::Many(many));
        }
        let few = noncontiguous::NFA::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(keys)?;
        let states = States::new(&few, keys);
        Ok(match KeyTable::new(&states) {
            Some(table) => Self::Few(table),
            // A `u32` is large enough for the states of literals of at most [`SMALL`] bytes.
            None => KeyTable::new(&states).map_or_else(|| Self::Few(KeyTable::empty()), Self::More),
        })
    }

    /// Calls `is_match` for each literal found in `text`, with the index of the literal and the position
    /// where it ends in the text. The calls are ordered by this position and stop when one returns true.
    /// Returns the index of that literal.
    pub(super) fn find(
        &self,
        text: &[u8],
        mut is_match: impl FnMut(usize, usize) -> bool,
    ) -> Option<usize> {
        match self {
            Self::Few(table) => table.find(text, is_match),
            Self::More(table) => table.find(text, is_match),
            Self::Many(keys) => {
                // The search loop is written here, because the loop of the crate needs twice the time per
                // byte.
                let mut state = keys.start_state(Anchored::No).ok()?;
                for (place, byte) in text.iter().enumerate() {
                    state = keys.next_state(Anchored::No, state, *byte);
                    // `is_special` is one cheap comparison and false for most bytes, so `is_match` is called
                    // rarely. Nearly all special states that occur are match states.
                    if !(keys.is_special(state) && keys.is_match(state)) {
                        continue;
                    }
                    for nth in 0..keys.match_len(state) {
                        let key = keys.match_pattern(state, nth).as_usize();
                        if is_match(key, place + 1) {
                            return Some(key);
                        }
                    }
                }
                None
            }
        }
    }
}

/// The states of an automaton, numbered from 0 (the start state) in breadth-first order.
struct States {
    /// The class of each byte. Bytes that the literals do not distinguish have the same class.
    classes: [u8; 256],
    /// The number of classes.
    width: usize,
    /// The next state for each state and class, state by state.
    next: Vec<usize>,
    /// The literals that end in each state.
    ends: Vec<Vec<u32>>,
}

impl States {
    fn new(keys: &noncontiguous::NFA, texts: &[&str]) -> Self {
        let mut is_used = [false; 256];
        for byte in texts.iter().flat_map(|text| text.bytes()) {
            is_used[usize::from(byte.to_ascii_lowercase())] = true;
        }
        // Class 0 contains every byte that is in no literal. One of them is 0xFF, because it does not occur
        // in UTF-8. `samples` has one byte of each class.
        let (mut classes, mut samples) = ([0_u8; 256], vec![u8::MAX]);
        for byte in (0..=u8::MAX).filter(|byte| is_used[usize::from(*byte)]) {
            // Besides class 0, there are at most 230 classes: one for each byte that is not an upper-case
            // letter.
            classes[usize::from(byte)] = u8::try_from(samples.len()).unwrap_or_default();
            samples.push(byte);
        }
        for upper in b'A'..=b'Z' {
            classes[usize::from(upper)] = classes[usize::from(upper.to_ascii_lowercase())];
        }
        let mut states = Self {
            classes,
            width: samples.len(),
            next: Vec::new(),
            ends: Vec::new(),
        };
        let Ok(start) = keys.start_state(Anchored::No) else {
            return states;
        };
        // `order` has the states of `keys` that have been reached, and `numbers` has the number of each of
        // them.
        let (mut order, mut numbers) = (Vec::new(), Vec::new());
        let mut number = |state: StateID, order: &mut Vec<StateID>| {
            let index = state.as_usize();
            if numbers.len() <= index {
                numbers.resize(index + 1, None);
            }
            numbers.get_mut(index).map_or(0, |known| {
                *known.get_or_insert_with(|| {
                    order.push(state);
                    order.len() - 1
                })
            })
        };
        number(start, &mut order);
        let mut at = 0;
        while let Some(state) = order.get(at).copied() {
            at += 1;
            for byte in &samples {
                let next = keys.next_state(Anchored::No, state, *byte);
                states.next.push(number(next, &mut order));
            }
            let count = if keys.is_match(state) {
                keys.match_len(state)
            } else {
                0
            };
            let ends = (0..count).map(|nth| keys.match_pattern(state, nth).as_u32());
            states.ends.push(ends.collect());
        }
        states
    }
}

/// A DFA. A state is the index of the first entry of its row in `next`.
pub(super) struct KeyTable<N> {
    classes: [u8; 256],
    /// The next state for each state and class, row by row.
    next: Box<[N]>,
    start: N,
    /// The first state in which a literal ends. No literal ends in an earlier state, and at least one
    /// ends in every later state.
    first_end: N,
    width: usize,
    /// For each state from `first_end` on, the literals that end in it. Index 0 is the state `first_end`.
    ends: Box<[Box<[u32]>]>,
}

impl<N: Copy + PartialOrd + Default + TryFrom<usize> + Into<u32>> KeyTable<N> {
    /// Returns a table that finds nothing.
    fn empty() -> Self {
        Self {
            classes: [0; 256],
            next: Box::default(),
            start: N::default(),
            first_end: N::default(),
            width: 1,
            ends: Box::default(),
        }
    }

    /// Returns the table for `states`; `None` when its indexes do not fit into `N`.
    fn new(states: &States) -> Option<Self> {
        let (plain, ending): (Vec<usize>, Vec<usize>) = (0..states.ends.len())
            .partition(|state| states.ends.get(*state).is_none_or(Vec::is_empty));
        let first_end = N::try_from(plain.len() * states.width).ok()?;
        // `order` has the state of each row. `rows` has the first index of the row of each state.
        let order: Vec<usize> = plain.into_iter().chain(ending.iter().copied()).collect();
        let mut rows = vec![0; order.len()];
        for (row, state) in order.iter().enumerate() {
            *rows.get_mut(*state)? = row * states.width;
        }
        let mut next = Vec::with_capacity(states.next.len());
        for state in order {
            let row = state * states.width;
            for target in states.next.get(row..row + states.width)? {
                next.push(N::try_from(*rows.get(*target)?).ok()?);
            }
        }
        let ends = ending.iter().filter_map(|state| states.ends.get(*state));
        Some(Self {
            classes: states.classes,
            next: next.into(),
            start: N::try_from(*rows.first()?).ok()?,
            first_end,
            width: states.width,
            ends: ends.map(|ends| ends.as_slice().into()).collect(),
        })
    }

    fn find(&self, text: &[u8], mut is_match: impl FnMut(usize, usize) -> bool) -> Option<usize> {
        let (mut state, mut end) = (self.start, 0);
        while let Some((next, at)) = self.next_end(text.get(end..)?, state) {
            state = at;
            end += next;
            for key in self.ends(state) {
                let key = usize::try_from(*key).ok()?;
                if is_match(key, end) {
                    return Some(key);
                }
            }
        }
        None
    }

    /// Returns the position where the next literal ends in `text`, and the state there. The function is not
    /// inlined, so that the loop keeps its variables in registers.
    #[inline(never)]
    fn next_end(&self, text: &[u8], from: N) -> Option<(usize, N)> {
        let mut state = from;
        for (place, byte) in text.iter().enumerate() {
            let class = self.classes[usize::from(*byte)];
            state = *self.next.get(index(state) + usize::from(class))?;
            if state >= self.first_end {
                return Some((place + 1, state));
            }
        }
        None
    }

    fn ends(&self, state: N) -> &[u32] {
        let row = index(state).saturating_sub(index(self.first_end)) / self.width;
        self.ends.get(row).map_or(&[], |ends| ends)
    }
}

fn index(state: impl Into<u32>) -> usize {
    usize::try_from(state.into()).unwrap_or(usize::MAX)
}
