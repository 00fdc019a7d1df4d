//! Splits Rust source into tokens. Comments, strings, characters and lifetimes are skipped.
//!
//! A token is a name, `::`, or a single punctuation character. A number counts as a name, which does not
//! affect the rules.

/// One token and its line, from 1.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// Returns the tokens of `source` in order.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at).unwrap_or(at);
        if end == at {
            let end = token_end(&chars, at);
            if !chars[at].is_whitespace() {
                let text = chars[at..end].iter().collect();
                found.push(Token { text, line });
            }
            line += usize::from(chars[at] == '\n');
            at = end;
        } else {
            line += chars[at..end].iter().filter(|char| **char == '\n').count();
            at = end;
        }
    }
    found
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn token_end(chars: &[char], at: usize) -> usize {
    if is_name(chars[at]) {
        return (at..chars.len())
            .find(|place| !is_name(chars[*place]))
            .unwrap_or(chars.len());
    }
    at + if chars[at..].starts_with(&[':', ':']) {
        2
    } else {
        1
    }
}

/// Returns the end of the comment, string, character or lifetime that starts at `at`, or `None` if none does.
fn skipped(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let length = match rest {
        ['/', '/', ..] => rest.iter().position(|char| *char == '\n'),
        ['/', '*', ..] => Some(block_comment(rest)),
        ['"', ..] => Some(string(rest)),
        ['\'', '\\', ..] => rest[3..]
            .iter()
            .position(|char| *char == '\'')
            .map(|end| end + 4),
        ['\'', _, '\'', ..] => Some(3),
        ['\'', ..] => rest[1..]
            .iter()
            .position(|char| !is_name(*char))
            .map(|end| end + 1),
        ['b' | 'c', '"', ..] => Some(1 + string(&rest[1..])),
        ['b' | 'c', 'r', ..] => raw_string(&rest[1..]).map(|length| length + 1),
        ['r', ..] => raw_string(rest),
        _ => return None,
    };
    // An `r`, `b` or `c` inside a name does not start a string.
    if is_name(chars[at]) && (length.is_none() || at > 0 && is_name(chars[at - 1])) {
        return None;
    }
    Some(length.map_or(chars.len(), |length| at + length))
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|char| **char == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let inside = &rest[hashes + 2..];
    let length = inside.windows(end.len()).position(|window| window == end);
    Some(length.map_or(rest.len(), |length| hashes + 2 + length + end.len()))
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

#[test]
fn comments_strings_and_lifetimes_are_left_out() {
    let source = r##"a /* b /* c */ d */ "e\"f" 'g' '\'' &'h i r"j" br#"k"k"# bar::b // crate::l
    'm: loop"##;
    let found = tokens(source);
    let texts: Vec<&str> = found.iter().map(|token| &*token.text).collect();
    assert_eq!(texts, ["a", "&", "i", "bar", "::", "b", ":", "loop"]);
    assert_eq!(found[5].line, 1);
    assert_eq!(found[7].line, 2);
}
