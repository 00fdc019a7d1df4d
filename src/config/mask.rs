//! Finds the secrets in the text of a config file, so that no message shows them.
//!
//! A value is taken for a secret if its key or its table suggests one, or if it is the value of a header field.
//! The text may be invalid TOML, because messages show the lines with errors. Where the end of a value is not
//! certain, more is masked rather than less.

use std::borrow::Cow;
use std::ops::Range;

use crate::config::mask::scan::Scanner;

mod ends;
mod scan;
#[cfg(test)]
mod tests;

/// Returns the byte ranges of the secrets in `text`, in their order. Takes time proportional to the length of
/// `text`.
pub(crate) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Scanner::new(text).scan();
    found.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => merged.push(range),
        }
    }
    merged
}

/// Whether the name of a key suggests that its value is a secret. The name may be a key path, and it may have
/// escapes such as `\u006b`.
pub(crate) fn suggests_secret(key: &str) -> bool {
    const PARTS: [&str; 7] = [
        "tok",
        "secret",
        "passw",
        "credential",
        "authorization",
        "cookie",
        "signature",
    ];
    let lower = decoded(key).to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part))
        || lower.contains("access_key")
        || lower
            .split(|character: char| !character.is_alphanumeric())
            .any(|word| {
                matches!(word, "sk" | "auth") || word.ends_with("key") || word.ends_with("keys")
            })
}

/// Returns `key` with the characters for which its escapes stand.
fn decoded(key: &str) -> Cow<'_, str> {
    if !key.contains('\\') {
        return Cow::Borrowed(key);
    }
    let mut result = String::with_capacity(key.len());
    let mut rest = key;
    while let Some((before, after)) = rest.split_once('\\') {
        result.push_str(before);
        let digits = match after.as_bytes().first() {
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => 0,
        };
        let code = after.get(1..=digits).filter(|code| !code.is_empty());
        let character = code
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .and_then(char::from_u32);
        rest = match character {
            Some(character) => {
                result.push(character);
                after.get(digits + 1..).unwrap_or_default()
            }
            None => after,
        };
    }
    result.push_str(rest);
    Cow::Owned(result)
}
