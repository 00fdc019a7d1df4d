//! Finds the ends of keys, strings and lists in a TOML text, and the lines that are entries. An entry is a
//! table header, or a key with a value.

use crate::config::mask::names::suggests_secret;

/// Returns the offset after the key of a line without `=` and `:`, such as `token abc`. Returns `None` if the
/// key does not suggest a secret.
pub(super) fn after_key(line: &str) -> Option<usize> {
    let text = line.trim_start_matches(['#', ' ', '\t']);
    let end = text.find([' ', '\t', '"', '\''])?;
    let key = text.get(..end)?;
    suggests_secret(key).then_some(line.len() - text.len() + end)
}

/// Whether `line` is an entry: a table header, or a key with `=` and the beginning of a TOML value. A line of
/// base64 that ends in `=` is not an entry.
pub(super) fn is_entry(line: &str) -> bool {
    let line = line.trim();
    let is_name = |name: &str| {
        let is_part = |one: char| one.is_alphanumeric() || "_-.\"' \t".contains(one);
        !name.trim().is_empty() && name.chars().all(is_part)
    };
    if let Some(header) = line.strip_prefix('[') {
        let name = header.trim_start_matches('[');
        return name
            .split_once(']')
            .is_some_and(|(name, _)| is_name(name) && !name.trim_start().starts_with(['"', '\'']));
    }
    line.split_once('=').is_some_and(|(key, value)| {
        let value = value.trim_start();
        let is_begin = |one: char| one.is_ascii_digit() || "\"'[{+-".contains(one);
        is_name(key)
            && (value.starts_with(is_begin)
                || value.starts_with("true")
                || value.starts_with("false"))
    })
}

/// The end of a string.
pub(super) enum StringEnd {
    /// The string ends in the line in which it begins, before this offset.
    SameLine(usize),
    /// The string has several lines and ends before this offset.
    Later(usize),
    /// The string has no end.
    None,
}

/// Returns the end of the string that begins at `start`.
pub(super) fn string_end(text: &str, start: usize) -> StringEnd {
    let bytes = text.as_bytes().get(start..).unwrap_or_default();
    let Some(quote @ (b'"' | b'\'')) = bytes.first().copied() else {
        return StringEnd::None;
    };
    let is_long = bytes.starts_with(&[quote; 3]);
    let mut at = if is_long { 3 } else { 1 };
    let mut has_lines = false;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'\\' if quote == b'"' && bytes.get(at + 1) != Some(&b'\n') => at += 1,
            b'\n' if !is_long => return StringEnd::None,
            b'\n' => has_lines = true,
            _ if byte != quote => {}
            _ if !is_long => return StringEnd::SameLine(start + at + 1),
            _ if bytes.get(at..).unwrap_or_default().starts_with(&[quote; 3]) => {
                // Up to two quotes directly before the three closing quotes belong to the string.
                let own = (3..5).take_while(|more| bytes.get(at + more) == Some(&quote));
                let end = start + at + 3 + own.count();
                return match has_lines {
                    true => StringEnd::Later(end),
                    false => StringEnd::SameLine(end),
                };
            }
            _ => {}
        }
        at += 1;
    }
    StringEnd::None
}

/// Returns the end of the list or the inline table that begins at `start`. If the list or the table is not
/// closed, returns the end of `text`.
pub(super) fn bracket_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            b'#' => {
                let rest = bytes.get(at..).unwrap_or_default();
                at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            }
            b'"' | b'\'' => {
                at = match string_end(text, at - 1) {
                    StringEnd::SameLine(end) | StringEnd::Later(end) => end,
                    StringEnd::None => return text.len(),
                };
            }
            _ => {}
        }
    }
    text.len()
}
