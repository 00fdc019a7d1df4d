//! Compares a text with one pattern with `*` and `?`. The comparison keeps a set of states of the pattern.

/// A compiled pattern. A comparison keeps one bit for each state: bit `n` is set when the first `n`
/// characters of the pattern (not counting stars) have matched.
pub(super) struct States {
    /// The number of 64-bit words in a set of states.
    words: usize,
    /// The class of each byte, which is the number of its row in `masks`.
    class: [u8; 256],
    /// For each class, the states from which a byte of the class leads to the next state.
    masks: Vec<u64>,
    /// The states that stay set for every byte: the states before a star.
    stars: Vec<u64>,
    /// The states that stay set for a continuation byte of UTF-8: the states after a `?`.
    inside: Vec<u64>,
    /// The state in which the whole pattern has matched.
    last: usize,
    ends_in_star: bool,
}

impl States {
    pub(super) fn new(pattern: &[u8]) -> Self {
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
        // Class 0 contains every byte that is not in the pattern. Every other class contains one byte of the
        // pattern, or a letter of the pattern in both cases.
        let mut classes = 1_u8;
        for byte in pattern.iter().map(u8::to_ascii_lowercase) {
            if byte != b'*' && byte != b'?' && states.class_of(byte) == 0 {
                for twin in [byte, byte.to_ascii_uppercase()] {
                    if let Some(class) = states.class.get_mut(usize::from(twin)) {
                        *class = classes;
                    }
                }
                // There are 228 bytes besides the upper-case letters, `*` and `?`, so this never saturates.
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

    /// Whether the pattern matches at the start of `text`. The time is linear in the text. `may_end` is
    /// called with the end of the match, as in [`GlobList::find`](super::GlobList::find).
    pub(super) fn matches(&self, text: &[u8], may_end: impl Fn(usize) -> bool) -> bool {
        // Patterns of up to 511 characters need no allocation.
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
