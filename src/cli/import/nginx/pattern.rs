//! The few forms of regular expressions that can be expressed as hosts, paths and bucket patterns.
//!
//! For every other form, the functions return `None`, so that nothing is guessed.

/// A group of a regular expression.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group<'p> {
    /// The name of the group. `None` if it has none or does not capture.
    pub(super) name: Option<&'p str>,
    /// Whether the group captures.
    pub(super) captures: bool,
    /// The expression inside the group.
    pub(super) inside: &'p str,
    /// The expression after the group.
    pub(super) after: &'p str,
}

/// One alternative of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// This text only.
    Text(String),
    /// Any text that begins with the first string, ends with the second, and has at least one character between
    /// them.
    Any(String, String),
}

/// Splits `pattern`, which begins with `(`, into its first group and the rest.
pub(super) fn group(pattern: &str) -> Option<Group<'_>> {
    let inside = pattern.strip_prefix('(')?;
    let (name, captures, inside) = match inside.strip_prefix('?') {
        None => (None, true, inside),
        Some(mark) => {
            if let Some(inside) = mark.strip_prefix(':') {
                (None, false, inside)
            } else {
                let mark = mark.strip_prefix('P').unwrap_or(mark);
                let (name, inside) = mark.strip_prefix('<')?.split_once('>')?;
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                let is_name = !name.is_empty() && name.bytes().all(is_name);
                (is_name.then_some(name)?.into(), true, inside)
            }
        }
    };
    // A group inside the group is not one of the known forms.
    let (inside, after) = inside.split_once(')')?;
    (!inside.contains('(')).then_some(Group {
        name,
        captures,
        inside,
        after,
    })
}

/// Returns `pattern` as a plain text, if it has no operator other than the dot. A dot without a backslash is read
/// as a dot: the expression matches more texts, but only this one is imported.
pub(super) fn literal(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next().filter(|next| !next.is_alphanumeric())?),
            '.' | '-' | '_' | '/' | '~' | '%' | '@' | ':' | '=' | ',' | ' ' => text.push(character),
            _ if character.is_alphanumeric() => text.push(character),
            _ => return None,
        }
    }
    Some(text)
}

/// Returns the alternatives of `inside`, the expression in a group. `None` means that one of them is of an
/// unknown form.
pub(super) fn alternatives(inside: &str) -> Option<Vec<Piece>> {
    inside.split('|').map(piece).collect()
}

fn piece(text: &str) -> Option<Piece> {
    /// Expressions that match every name of a bucket.
    const ANY: [&str; 16] = [
        ".+",
        ".*",
        "[^.]+",
        "[^.]*",
        "[^./]+",
        "[^/.]+",
        "[^/]+",
        "[^/]*",
        "[^\\.]+",
        "[a-z0-9-]+",
        "[a-z0-9\\-]+",
        "[0-9a-z-]+",
        "[-a-z0-9]+",
        "[a-zA-Z0-9-]+",
        "[a-z0-9_-]+",
        "[\\w-]+",
    ];
    if let Some(text) = literal(text) {
        return (!text.is_empty()).then_some(Piece::Text(text));
    }
    let lazy = text.strip_suffix('?').unwrap_or(text);
    ANY.iter().find_map(|any| {
        let (before, after) = lazy.split_once(any)?;
        Some(Piece::Any(literal(before)?, literal(after)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_their_alternatives_are_found() {
        for (pattern, name, pieces, after) in [
            (
                "(a|b-c)/x",
                None,
                vec![Piece::Text("a".into()), Piece::Text("b-c".into())],
                "/x",
            ),
            (
                "(?<b>.+)\\.o",
                Some("b"),
                vec![Piece::Any(String::new(), String::new())],
                "\\.o",
            ),
            (
                "(?P<b>team-[a-z0-9-]+)",
                Some("b"),
                vec![Piece::Any("team-".into(), String::new())],
                "",
            ),
            (
                "(?:[^/]+?)/",
                None,
                vec![Piece::Any(String::new(), String::new())],
                "/",
            ),
        ] {
            let group = group(pattern).unwrap();
            assert_eq!((group.name, group.after), (name, after), "{pattern}");
            assert_eq!(alternatives(group.inside), Some(pieces), "{pattern}");
        }
        for pattern in ["a", "(a", "(?i)a", "(?<>a)"] {
            assert_eq!(group(pattern), None, "{pattern}");
        }
        for inside in ["team-\\d+", "a{2}", "[0-9]+", "a|", "a+b"] {
            assert_eq!(alternatives(inside), None, "{inside}");
        }
        assert_eq!(literal("a\\.b.c"), Some("a.b.c".to_owned()));
        assert_eq!(literal("a\\d"), None);
    }
}
