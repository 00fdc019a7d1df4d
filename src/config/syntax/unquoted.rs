//! Corrects lines with strings that lack their quotes, such as `address = 0.0.0.0:80`.

use crate::config::spec::{Kind, ROOT, Spec};

/// A line to which the missing quotes were added.
pub(super) struct Quoted {
    pub(super) line: String,
    /// Whether no quotes were added and the only change is the case of words such as `True`: TOML writes
    /// `true` and `false` in lower case.
    pub(super) is_only_spelled: bool,
}

/// Puts the strings of `text` into quotes. `text` is a key with its value, or an item of a list. Returns
/// `None` if no string lacks quotes, or if it is not clear where the strings begin and end.
pub(super) fn quote(text: &str) -> Option<Quoted> {
    let is_item = text.starts_with('{') || (!text.contains('=') && is_list(text));
    let (key, value) = match is_item {
        // An item of a list that began in a line above.
        true => ("", text),
        false => text.split_once('=')?,
    };
    let (key, value) = (key.trim(), value.trim());
    let mut quoted = Quoted {
        line: String::new(),
        is_only_spelled: true,
    };
    if key.is_empty() || value.starts_with(['[', '{']) {
        quoted.items(key, value)?;
    } else if !value.starts_with(['"', '\'']) {
        let value = value.split(" #").next().unwrap_or(value).trim_end();
        // In a multi-line inline table, a comma follows each value.
        let item = value.trim_end_matches(',');
        quoted.item(key, item)?;
        quoted.line.push_str(value.get(item.len()..)?);
    }
    if quoted.line == value || quoted.line.is_empty() {
        return None;
    }
    if !key.is_empty() {
        quoted.line = format!("{key} = {}", quoted.line);
    }
    Some(quoted)
}

/// Whether `text`, a line without `=`, has items of a list, rather than words of a sentence.
fn is_list(text: &str) -> bool {
    text.contains(',') || !text.contains([' ', '\t'])
}

impl Quoted {
    /// Appends `value`, a list or an inline table, with quotes around its strings. `key` is the key of the
    /// value.
    fn items(&mut self, key: &str, value: &str) -> Option<()> {
        let mut key = key.to_owned();
        let mut rest = value;
        while let Some(first) = rest.chars().next() {
            if matches!(first, '"' | '\'') {
                let end = rest.get(1..)?.find(first)? + 2;
                let (text, after) = rest.split_at_checked(end)?;
                self.line.push_str(text);
                rest = after;
            } else if matches!(first, '[' | ']' | '{' | '}' | ',' | '=' | ' ' | '\t') {
                self.line.push(first);
                rest = rest.get(1..)?;
            } else if first == ';' {
                self.line.push(',');
                rest = rest.get(1..)?;
            } else if first == '#' {
                self.line.push_str(rest);
                return Some(());
            } else {
                let is_end =
                    |sign| matches!(sign, ']' | '}' | ',' | ';' | '=' | ' ' | '\t' | '"' | '\'');
                let end = rest.find(is_end).unwrap_or(rest.len());
                let (item, after) = rest.split_at_checked(end)?;
                rest = after;
                if after.trim_start().starts_with('=') {
                    item.clone_into(&mut key);
                    self.line.push_str(item);
                } else {
                    self.item(&key, item)?;
                }
            }
        }
        Some(())
    }

    /// Appends `value`, the value of `key`. A string gets quotes.
    fn item(&mut self, key: &str, value: &str) -> Option<()> {
        let word = value.to_ascii_lowercase();
        let flag = match word.as_str() {
            "true" | "false" => Some(word.as_str()),
            "on" | "yes" if is_flag(&ROOT, key) => Some("true"),
            "off" | "no" if is_flag(&ROOT, key) => Some("false"),
            _ => None,
        };
        if let Some(flag) = flag {
            self.is_only_spelled &= word == flag;
            self.line.push_str(flag);
        } else if is_literal(value) {
            self.line.push_str(value);
        } else if value.is_empty() || value.contains(['"', '\'']) {
            return None;
        } else {
            let sign = if value.contains('\\') { '\'' } else { '"' };
            self.is_only_spelled = false;
            self.line.push(sign);
            self.line.push_str(value);
            self.line.push(sign);
        }
        Some(())
    }
}

/// Whether some table has a key `name` whose value is `true` or `false`.
fn is_flag(spec: &Spec, name: &str) -> bool {
    spec.keys.iter().any(|key| match key.kind {
        Kind::Flag => key.name == name,
        Kind::Table(inner) | Kind::Tables(inner) => is_flag(inner, name),
        _ => false,
    })
}

/// Whether `value` is a number, `true` or `false`, which are written without quotes.
pub(super) fn is_literal(value: &str) -> bool {
    let digits = value.trim_start_matches(['+', '-']);
    let is_number = digits
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_digit())
        && digits.replace('_', "").parse::<f64>().is_ok();
    is_number || matches!(value, "true" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strings_get_quotes() {
        for (text, expected) in [
            ("address = 0.0.0.0:80", "address = \"0.0.0.0:80\""),
            ("a=b c # d", "a = \"b c\""),
            ("a = 3s", "a = \"3s\""),
            ("a = C:\\b", "a = 'C:\\b'"),
            ("tls = True", "tls = true"),
            ("tls = on", "tls = true"),
            ("access = off", "access = \"off\""),
            ("a = [b, \"c\", 3]", "a = [\"b\", \"c\", 3]"),
            (
                "a = { b = c, d = { e = 1s }, f = 'x' } # g",
                "a = { b = \"c\", d = { e = \"1s\" }, f = 'x' } # g",
            ),
            ("a = [b.c, *]", "a = [\"b.c\", \"*\"]"),
            ("b.c, \"d\",", "\"b.c\", \"d\","),
            ("b = c,", "b = \"c\","),
            ("{ b = c, d = 1 },", "{ b = \"c\", d = 1 },"),
            ("b.c;", "\"b.c\","),
        ] {
            assert_eq!(
                quote(text).map(|quoted| quoted.line).as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for text in [
            "\"a\"", "a b", "a = 3", "a = \"b", "a = [\"b", "a = ", "a = b\"c", "a = []",
        ] {
            assert!(quote(text).is_none(), "{text}");
        }
    }
}
