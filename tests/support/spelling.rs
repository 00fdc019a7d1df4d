//! Random spellings of one and the same request. The seed is fixed, so each run draws the same ones.

/// A generator of random numbers (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Returns true once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Changes the case of some letters.
    pub(crate) fn case(&mut self, text: &str) -> String {
        text.chars()
            .map(|one| match self.below(2) {
                0 => one.to_ascii_uppercase(),
                _ => one.to_ascii_lowercase(),
            })
            .collect()
    }

    /// Returns `%XX` with digits of either case.
    fn escape(&mut self, byte: u8) -> String {
        format!("%{}", self.case(&format!("{byte:02x}")))
    }
}

/// Returns the spelling of each byte of `path`, which is decoded. The first slash is plain. `escapes` is how
/// many bytes of the others there are for each one that is an escape without need; 0 means none.
pub(crate) fn spell_path(path: &[u8], escapes: usize, random: &mut Random) -> Vec<String> {
    let mut spelled = Vec::new();
    for (at, byte) in path.iter().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(byte);
        let is_last_percent = *byte == b'%' && at + 1 == path.len();
        let is_chosen = at > 0 && escapes > 0 && random.once_in(escapes);
        spelled.push(if (is_plain || is_last_percent) && !is_chosen {
            char::from(*byte).to_string()
        } else {
            random.escape(*byte)
        });
    }
    spelled
}

/// Returns `query` with some bytes of its names and values as escapes.
pub(crate) fn spell_query(query: &str, random: &mut Random) -> String {
    let mut spelled = String::new();
    for byte in query.bytes() {
        if byte.is_ascii_alphanumeric() && random.once_in(3) {
            spelled.push_str(&random.escape(byte));
        } else {
            spelled.push(char::from(byte));
        }
    }
    spelled
}

/// Returns a spelling of the authority with the host `host`: letters of either case, a dot at the end, a port.
pub(crate) fn spell_host(host: &str, random: &mut Random) -> String {
    let mut spelled = random.case(host);
    if random.once_in(3) {
        spelled.push('.');
    }
    if random.once_in(3) {
        spelled.push_str(random.pick(&[":80", ":443", ":8080"]));
    }
    spelled
}

/// Returns header fields that decide nothing, some of them repeated, empty, or with spaces around the value.
pub(crate) fn odd_fields(random: &mut Random) -> Vec<(String, String)> {
    const FIELDS: [(&str, &str); 8] = [
        ("x-oss-meta-a", "1"),
        ("x-oss-meta-a", "2"),
        ("x-empty", ""),
        ("accept", "*/*"),
        ("accept", "text/html;q=0.1"),
        ("x_under", "a,b , c"),
        ("x-path", "/img/../%2e"),
        ("x-host", "other.example"),
    ];
    let count = random.below(4);
    (0..count)
        .map(|_| random.pick(&FIELDS))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
