//! The problems of a text that is not TOML.
//!
//! The messages of the parser say what it expected. For mistakes that people often make, the line is shown as
//! it should be written. If the parser finds several errors in the line of such a mistake, only the mistake
//! is reported. Values of secrets are never shown.

mod duplicates;
mod unquoted;

use std::ops::Range;

use crate::config::problem::{Problem, Severity, suggests_secret};
use crate::config::source::Source;
use crate::config::spec::{Kind, ROOT, Spec};
use crate::config::syntax::duplicates::Duplicates;

/// A common mistake that is recognized in a line.
struct Mistake {
    message: String,
    hint: String,
    /// Whether the mistake is the only problem reported for the file, because the file is in another
    /// language.
    is_whole_file: bool,
}

impl Mistake {
    fn new(message: &str, hint: String) -> Self {
        Self {
            message: message.to_owned(),
            hint,
            is_whole_file: false,
        }
    }

    fn other_language(message: &str, hint: &str) -> Self {
        Self {
            is_whole_file: true,
            ..Self::new(message, hint.to_owned())
        }
    }
}

/// Returns the problems for the errors that the parser found in `source`.
pub(crate) fn problems(source: &Source, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut duplicates = None;
    // The last line with a recognized mistake.
    let mut done = 0;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let number = source.lines().line(span.start);
        if number == done {
            continue;
        }
        let mut problem = Problem {
            file: source.number,
            span: Some(span.clone()),
            path: String::new(),
            message: error.message().trim().replace('\n', ", "),
            hint: None,
            severity: Severity::Error,
        };
        let is_extension = error.message().starts_with("cannot extend value of type");
        if is_extension || error.message() == "duplicate key" {
            let known = duplicates.get_or_insert_with(|| Duplicates::new(&source.text));
            let key = source.text.get(span).unwrap_or_default();
            let described = match is_extension {
                true => known.extension(number, key),
                false => known.describe(number, key),
            };
            // If a key that is written twice has no description, the table that contains the key is reported
            // instead.
            let is_reported = match is_extension {
                true => !known.is_new(number),
                false => described.is_none(),
            };
            if let Some((message, hint)) = described {
                (problem.message, problem.hint) = (message, Some(hint));
            }
            if !is_reported {
                problems.push(problem);
            }
            continue;
        }
        let line = line(source, number);
        let Some(mistake) = recognize(line, error.message()) else {
            problems.push(problem);
            continue;
        };
        done = number;
        problem.span = Some(range(source, number));
        (problem.message, problem.hint) = (mistake.message, Some(mistake.hint));
        if mistake.is_whole_file {
            return vec![problem];
        }
        problems.push(problem);
    }
    problems
}

/// Returns the text of a line, without its line break and without a byte order mark.
fn line(source: &Source, number: usize) -> &str {
    let range = source.lines().start(number)..source.lines().start(number + 1);
    let line = source.text.get(range).unwrap_or_default();
    line.trim_end_matches(['\r', '\n'])
        .trim_start_matches('\u{feff}')
}

/// Returns the range of the text of a line, without white space before and after it. Carets mark this range.
fn range(source: &Source, number: usize) -> Range<usize> {
    let start = source.lines().start(number);
    let whole = source.text.get(start..source.lines().start(number + 1));
    let whole = whole.unwrap_or_default();
    let text = whole.trim_start_matches([' ', '\t', '\u{feff}']);
    let start = start + whole.len() - text.len();
    start..start + text.trim_end().len()
}

/// Returns the mistake in `line`, for which the parser reports `message`. Returns `None` if the mistake is
/// not known.
fn recognize(line: &str, message: &str) -> Option<Mistake> {
    let text = line.trim();
    other_language(text)
        .or_else(|| comment(text))
        .or_else(|| typographic(text))
        .or_else(|| header(text, message))
        .or_else(|| escape(text, message))
        .or_else(|| open_string(text, message))
        .or_else(|| no_equals_sign(text))
        .or_else(|| bare_word(text, message))
        .or_else(|| unquoted(text))
        .or_else(|| ending(text))
        .or_else(|| no_comma(message))
        .or_else(|| no_value(message))
}

const TOML: &str = "`ossgate init --bucket B --region R` prints a config in TOML";

fn other_language(text: &str) -> Option<Mistake> {
    // Some lines of a multi-line TOML list look like another language, but must not be taken for one: `{ network =
    // public },`, `a.example.com;`, `0.0.0.0:80`.
    if text.contains('=') {
        return None;
    }
    if text == "{" || (text.starts_with('{') && text.contains("\":")) {
        return Some(Mistake::other_language(
            "this is JSON, and a config is TOML",
            TOML,
        ));
    }
    let is_word = text.starts_with(|sign: char| sign.is_ascii_alphabetic());
    if is_word && (text.ends_with('{') || (text.ends_with(';') && text.contains(' '))) {
        let hint = "`ossgate import nginx FILE` writes a config from a file of nginx";
        let message = "this is the syntax of nginx or Caddy, and a config is TOML";
        return Some(Mistake::other_language(message, hint));
    }
    let (key, rest) = text.trim_start_matches("- ").split_once(':')?;
    let is_key = !key.is_empty() && key.bytes().all(is_key_byte);
    (is_key && (rest.is_empty() || rest.starts_with(' ')))
        .then(|| Mistake::other_language("this is YAML, and a config is TOML", TOML))
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn comment(text: &str) -> Option<Mistake> {
    let rest = ["//", ";", "--", "/*"]
        .iter()
        .find_map(|start| text.strip_prefix(start))?;
    let fixed = format!("# {}", rest.trim());
    Some(Mistake::new(
        "a comment begins with `#`",
        shown(text, &fixed),
    ))
}

/// Recognizes characters such as typographic quotes, which word processors and Chinese input methods write in
/// place of the characters of TOML.
fn typographic(text: &str) -> Option<Mistake> {
    let plain = |character| match character {
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ff02}' => Some('"'),
        '\u{2018}' | '\u{2019}' | '\u{ff07}' => Some('\''),
        '\u{ff1d}' => Some('='),
        '\u{ff0c}' | '\u{3001}' => Some(','),
        '\u{ff3b}' | '\u{3010}' => Some('['),
        '\u{ff3d}' | '\u{3011}' => Some(']'),
        '\u{ff5b}' => Some('{'),
        '\u{ff5d}' => Some('}'),
        '\u{ff03}' => Some('#'),
        '\u{3000}' | '\u{a0}' => Some(' '),
        _ => None,
    };
    let (text, _) = text.split_once(" #").unwrap_or((text, ""));
    let wrong = text.chars().find(|character| plain(*character).is_some())?;
    let right = plain(wrong)?;
    let message = format!("`{wrong}` (U+{:04X}) is not `{right}`", u32::from(wrong));
    let fixed: String = text
        .chars()
        .map(|character| plain(character).unwrap_or(character))
        .collect();
    Some(Mistake::new(&message, shown(text, &fixed)))
}

/// Recognizes a table header without its closing brackets.
fn header(text: &str, message: &str) -> Option<Mistake> {
    if !message.starts_with("unclosed") || !text.starts_with('[') {
        return None;
    }
    let name = text.trim_matches(|sign| matches!(sign, '[' | ']' | ' '));
    let hint = if text.starts_with("[[") {
        format!("write `[[{name}]]`")
    } else {
        format!("write `[{name}]`")
    };
    Some(Mistake::new("the header of the table is not closed", hint))
}

/// Recognizes a Windows path in double quotes, in which each `\` begins an escape.
fn escape(text: &str, message: &str) -> Option<Mistake> {
    let is_escape = message.contains("escaped value") || message.contains("unicode");
    let fixed = text.replace('"', "'");
    (is_escape && text.contains('\\') && !text.contains('\'')).then(|| {
        let message = "`\\` begins an escape in a string with double quotes";
        Mistake::new(message, shown(text, &fixed))
    })
}

fn open_string(text: &str, message: &str) -> Option<Mistake> {
    let sign = match message {
        message if message.starts_with("invalid basic string") => '"',
        message if message.starts_with("invalid literal string") => '\'',
        _ => return None,
    };
    // In a list or an inline table, it is not known where the missing quote belongs.
    let is_plain = !text.contains(['[', '{', '#']) && text.matches(sign).count() == 1;
    is_plain.then(|| {
        let message = format!("the string has no closing `{sign}`");
        Mistake::new(&message, shown(text, &format!("{text}{sign}")))
    })
}

/// Recognizes a `;` or `,` after a value at the end of a line.
fn ending(text: &str) -> Option<Mistake> {
    let fixed = text.trim_end_matches([';', ',']);
    let is_value = text.contains('=') && fixed.ends_with(['"', '\'', ']', '}']);
    let sign = text
        .chars()
        .next_back()
        .filter(|_| is_value && fixed != text)?;
    let message = format!("a line does not end with `{sign}`");
    Some(Mistake::new(&message, shown(text, fixed.trim_end())))
}

/// Recognizes a key and a value without `=` between them.
fn no_equals_sign(text: &str) -> Option<Mistake> {
    let end = text.bytes().position(|byte| !is_key_byte(byte))?;
    let (key, rest) = text.split_at_checked(end)?;
    let value = rest.trim_start().trim_start_matches([':', '>']);
    let value = value
        .strip_prefix("=>")
        .or_else(|| value.strip_prefix("=="))
        .or_else(|| value.strip_prefix('=').filter(|_| rest.contains(":=")))
        .unwrap_or(value)
        .trim_start();
    let rest = rest.trim_start();
    let is_right = rest.starts_with('=') && !rest.starts_with("==") && !rest.starts_with("=>");
    if is_right || key.is_empty() || value.is_empty() {
        return None;
    }
    let fixed = format!("{key} = {value}");
    let fixed = if value.starts_with(['"', '\'', '[', '{']) || unquoted::is_literal(value) {
        fixed
    } else {
        // A line of words may be anything, so the first word must be a key of ossgate.
        unquoted::quote(&fixed)
            .filter(|_| is_known(&ROOT, key))?
            .line
    };
    let message = "a `=` must stand between the key and its value";
    Some(Mistake::new(message, shown(text, &fixed)))
}

/// Whether some table has a key of this name.
fn is_known(spec: &Spec, name: &str) -> bool {
    spec.keys.iter().any(|key| match key.kind {
        Kind::Table(inner) | Kind::Tables(inner) => key.name == name || is_known(inner, name),
        _ => key.name == name,
    })
}

fn unquoted(text: &str) -> Option<Mistake> {
    let fixed = unquoted::quote(text)?;
    let (key, _) = text.split_once('=').unwrap_or_default();
    let message = if fixed.is_only_spelled {
        "`true` and `false` are in lower case"
    } else {
        "a string must be in quotes"
    };
    let hint = if suggests_secret(key) && !is_key_file(text) {
        "put the value in quotes".to_owned()
    } else {
        shown(text, &fixed.line)
    };
    Some(Mistake::new(message, hint))
}

fn no_comma(message: &str) -> Option<Mistake> {
    message.starts_with("missing comma").then(|| {
        let hint = "put a `,` after the value before this one";
        Mistake::new("a `,` is missing before this", hint.to_owned())
    })
}

/// Recognizes a word alone in a line, for which the parser reports a key with no value. In a multi-line list,
/// such a word is a string without quotes, and the parser reports something else.
fn bare_word(text: &str, message: &str) -> Option<Mistake> {
    if text.is_empty() || !text.bytes().all(is_key_byte) {
        return None;
    }
    let Some(mistake) = no_value(message).filter(|_| is_known(&ROOT, text)) else {
        return no_value(message);
    };
    let hint = format!("write `{text} = VALUE`");
    Some(Mistake { hint, ..mistake })
}

fn no_value(message: &str) -> Option<Mistake> {
    message.starts_with("key with no value").then(|| {
        let hint = format!("write `KEY = VALUE`; {TOML}");
        Mistake::new("this line is not a key with a value", hint)
    })
}

/// Whether a line is the `key` of a certificate, whose value is the path of a file.
fn is_key_file(text: &str) -> bool {
    text.split_once('=').is_some_and(|(key, value)| {
        key.trim() == "key" && value.trim().trim_end_matches('"').ends_with(".pem")
    })
}

/// Returns a hint that shows `fixed`, the line `text` as it should be. The value of a secret is not shown.
fn shown(text: &str, fixed: &str) -> String {
    if suggests_secret(text) && !is_key_file(text) {
        "correct the line; its value is not shown here".to_owned()
    } else {
        format!("write `{fixed}`")
    }
}
