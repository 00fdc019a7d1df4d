//! Compares percent-encoded paths in the same way as OSS.
//!
//! OSS decodes the percent escapes of a path exactly once and changes nothing else. So `/img/a.jpg`,
//! `/%69mg/a.jpg` and `/img%2Fa.jpg` are three spellings of one path, and every decision on a path compares
//! the decoded bytes. The request to OSS has the spelling of the client, because a signature may cover it. So
//! the functions here compare decoded bytes, but return parts of the spelling.
//!
//! `%25` stands for a percent sign that is not decoded again. A malformed escape stands for itself, and
//! so do `+`, dot segments and empty segments.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// Returns `spelled`, percent-decoded. The bytes are borrowed when `spelled` has no valid escape.
#[must_use]
pub fn decode(spelled: &str) -> Cow<'_, [u8]> {
    let spelled = spelled.as_bytes();
    let Some(first_escape) = memchr(b'%', spelled) else {
        return Cow::Borrowed(spelled);
    };
    let mut decoded = Vec::with_capacity(spelled.len());
    let mut rest = spelled;
    let mut next = Some(first_escape);
    while let Some((plain, escape)) = next.and_then(|at| rest.split_at_checked(at)) {
        decoded.extend_from_slice(plain);
        let Some((byte, after)) = first(escape) else {
            break;
        };
        decoded.push(byte);
        rest = after;
        next = memchr(b'%', rest);
    }
    if decoded.len() + rest.len() == spelled.len() {
        // The text has percent signs, but all escapes are malformed.
        return Cow::Borrowed(spelled);
    }
    decoded.extend_from_slice(rest);
    Cow::Owned(decoded)
}

/// Returns the first byte of the percent-encoded `spelled`, decoded, and the encoded text after it.
fn first(spelled: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, rest @ ..] = spelled
        && let Some(byte) = hex_byte(*high, *low)
    {
        return Some((byte, rest));
    }
    spelled.split_first().map(|(byte, rest)| (*byte, rest))
}

/// Returns the last byte of the percent-encoded `spelled`, decoded, and the encoded text before it.
///
/// A percent sign is not a hex digit, so two escapes never overlap. Therefore the escapes found from the end
/// are the same as those found from the start.
fn last(spelled: &[u8]) -> Option<(u8, &[u8])> {
    if let [rest @ .., b'%', high, low] = spelled
        && let Some(byte) = hex_byte(*high, *low)
    {
        return Some((byte, rest));
    }
    spelled.split_last().map(|(byte, rest)| (*byte, rest))
}

/// Returns the byte that two hex digits stand for; `None` when one of them is not a hex digit.
fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Whether the bytes that `spelled` stands for end in `suffix`. Nothing is allocated.
#[must_use]
pub fn ends_with(spelled: &str, suffix: &[u8]) -> bool {
    let mut rest = spelled.as_bytes();
    suffix.iter().rev().all(|wanted| {
        last(rest).is_some_and(|(found, before)| {
            rest = before;
            found == *wanted
        })
    })
}

/// Returns the rest of `spelled`, still encoded, after the part that decodes to the bytes `prefix`. Returns
/// `None` when `spelled` does not begin with such a part, or when the rest would begin inside a UTF-8
/// character.
#[must_use]
pub fn strip_prefix<'s>(spelled: &'s str, prefix: &[u8]) -> Option<&'s str> {
    // In the usual case nothing has to be decoded.
    if spelled.as_bytes().starts_with(prefix) && !prefix.contains(&b'%') {
        return spelled.get(prefix.len()..);
    }
    let mut rest = spelled.as_bytes();
    for wanted in prefix {
        let (found, after) = first(rest)?;
        if found != *wanted {
            return None;
        }
        rest = after;
    }
    spelled.get(spelled.len() - rest.len()..)
}

/// Splits `spelled` at its first slash, written as `/` or `%2F`. Neither part contains the slash. The
/// second part is `None` when there is no slash.
#[must_use]
pub fn split_segment(spelled: &str) -> (&str, Option<&str>) {
    let bytes = spelled.as_bytes();
    let mut from = 0;
    while let Some(found) = bytes.get(from..).and_then(|rest| memchr2(b'/', b'%', rest)) {
        let at = from + found;
        // The byte at `at` is ASCII, so both positions are character boundaries.
        if let (Some(segment), Some(rest)) = (spelled.get(..at), spelled.get(at..))
            && let Some(after) = strip_prefix(rest, b"/")
        {
            return (segment, Some(after));
        }
        from = at + 1;
    }
    (spelled, None)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_cut_in_the_spelling_of_the_client() {
        for (spelled, prefix, rest) in [
            ("/img/a", "/img", Some("/a")),
            ("/%69mg%2Fa", "/img", Some("%2Fa")),
            ("/%69mg%2fa", "/img/", Some("a")),
            ("/IMG/a", "/img", None),
            ("/im", "/img", None),
            ("/a%2Fb", "/a%2Fb", None),
            ("/a%252Fb/c", "/a%2Fb", Some("/c")),
            ("/100%/a", "/100%", Some("/a")),
            ("/100%25/a", "/100%", Some("/a")),
            ("/%%34", "/%4", Some("")),
            ("/%4", "/%4", Some("")),
            ("/a+b", "/a b", None),
        ] {
            assert_eq!(
                strip_prefix(spelled, prefix.as_bytes()),
                rest,
                "{spelled} after {prefix}"
            );
        }
        // The prefix is only the first of the two bytes of a character.
        assert_eq!(strip_prefix("\u{e9}", b"\xc3"), None);
    }

    #[test]
    fn a_suffix_is_found_in_any_spelling() {
        for (spelled, suffix, expected) in [
            ("/a.html", ".html", true),
            ("/a.%68tml", ".html", true),
            ("/a%2Ehtm%6C", ".html", true),
            ("/a%2ehtm%6c", ".html", true),
            ("/a.HTML", ".html", false),
            ("/a.htm", ".html", false),
            ("/a.%2568tml", ".html", false),
            ("/docs%2F", "/", true),
            ("/docs%2", "/", false),
            ("/a%2e", "2e", false),
            ("/a%252e", "2e", true),
            ("/a%", "%", true),
            ("/a%25", "%", true),
            ("html", ".html", false),
            ("", "/", false),
            ("", "", true),
        ] {
            let found = ends_with(spelled, suffix.as_bytes());
            assert_eq!(found, expected, "{spelled} ends in {suffix}");
        }
    }

    #[test]
    fn a_segment_ends_at_a_slash_in_any_spelling() {
        for (spelled, segment, rest) in [
            ("b/k/l", "b", Some("k/l")),
            ("b%2Fk", "b", Some("k")),
            ("b%2fk", "b", Some("k")),
            ("%62/k", "%62", Some("k")),
            ("b", "b", None),
            ("b/", "b", Some("")),
            ("b%252Fk", "b%252Fk", None),
            ("%2", "%2", None),
            ("%%2Fk", "%", Some("k")),
            ("", "", None),
        ] {
            assert_eq!(split_segment(spelled), (segment, rest), "{spelled}");
        }
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_spelling_are_those_of_its_key(spelled in "([%/a2fF5\u{e9}]|%2[Ff5]|%[8cC]3){0,20}") {
            let key = decode(&spelled);
            prop_assert_eq!(&*key, &*percent_decode_str(&spelled).collect::<Vec<u8>>());
            prop_assert_eq!(matches!(key, Cow::Borrowed(_)), key.len() == spelled.len());
            let (segment, rest) = split_segment(&spelled);
            let mut parts = key.splitn(2, |byte| *byte == b'/');
            prop_assert_eq!(Some(&*decode(segment)), parts.next());
            let rest = rest.map(decode);
            prop_assert_eq!(rest.as_deref(), parts.next());
            for count in 0..=key.len() {
                let (front, back) = key.split_at(count);
                prop_assert!(ends_with(&spelled, back));
                let longer = [b"x", back].concat();
                prop_assert_eq!(ends_with(&spelled, &longer), key.ends_with(&longer));
                if let Some(rest) = strip_prefix(&spelled, front) {
                    prop_assert_eq!(&*decode(rest), back);
                }
            }
            prop_assert_eq!(strip_prefix(&spelled, &key), Some(""));
        }
    }
}
