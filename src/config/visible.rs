//! Escapes the characters that would change how a terminal or a log shows a text.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal acts on `character` instead of showing it: control characters such as ESC, newline and
/// U+009B, separators of lines, and marks that reverse the direction of the text.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// Returns `text` with an escape such as `\u{1b}` in place of each hidden character.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        push_visible(&mut shown, character);
    }
    Cow::Owned(shown)
}

/// Appends `character` to `shown`, or its escape if it is hidden.
pub(crate) fn push_visible(shown: &mut String, character: char) {
    if is_hidden(character) {
        shown.extend(character.escape_default());
    } else {
        shown.push(character);
    }
}

/// Returns `text`, which is JSON, with an escape such as `\u202e` in place of each hidden character. The
/// escaped JSON has the same value.
pub(crate) fn visible_json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            // The code of every hidden character has at most four hexadecimal digits. Writing to a string
            // cannot fail.
            let _written = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        for (text, expected) in [
            ("a b \u{e9}\u{4e2d}`\\", "a b \u{e9}\u{4e2d}`\\"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\nb\r\t", "a\\nb\\r\\t"),
            (
                "\u{7f}\u{80}\u{9b}\u{9f}\u{a0}",
                "\\u{7f}\\u{80}\\u{9b}\\u{9f}\u{a0}",
            ),
            ("\u{2028}\u{2029}\u{202e}x", "\\u{2028}\\u{2029}\\u{202e}x"),
        ] {
            assert_eq!(visible(text), expected);
            let json = serde_json::json!([text]).to_string();
            let shown = visible_json(&json);
            assert!(!shown.contains(is_hidden), "{shown}");
            let back: [String; 1] = serde_json::from_str(&shown).unwrap();
            assert_eq!(back, [text]);
        }
    }
}
