//! Reads a text as TOML, tolerates errors, and notes the values that are secrets.

use std::ops::Range;

use crate::config::mask::ends::{StringEnd, after_key, bracket_end, is_entry, string_end};
use crate::config::mask::names::{decoded, suggests_secret};

/// What is known about the values of a table, from the names in its key path.
#[derive(Clone, Copy, Debug, Default)]
struct Scope {
    /// Whether all values are secrets, because a name in the key path suggests a secret.
    is_secret: bool,
    /// Whether the table is a `set` or `add`, or is inside one. Its values are header fields, which can be
    /// secrets.
    has_fields: bool,
    /// Whether the table is a `[[certificate]]`, whose `key` is the path of a file.
    is_certificate: bool,
}

impl Scope {
    /// Returns the scope of the value of `key`, a key of a table that has the scope `self`.
    fn of(self, key: &str) -> Self {
        let key = decoded(key);
        let names = || {
            key.split('.')
                .map(|name| name.trim_matches([' ', '\t', '"', '\'']))
        };
        Self {
            is_secret: self.is_secret || suggests_secret(&key),
            has_fields: self.has_fields || names().any(|name| matches!(name, "set" | "add")),
            is_certificate: names().next_back() == Some("certificate"),
        }
    }
}

pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    found: Vec<Range<usize>>,
    /// The scope of the last table header.
    header: Scope,
    /// The scopes of the open inline tables and lists.
    open: Vec<Scope>,
    /// The scope of the value that follows, after a key and its `=` or `:`.
    value: Option<Scope>,
    /// Whether only white space precedes the position in its line.
    is_line_start: bool,
    /// The offset from which `line_end` searched last, and the end of the line that it found.
    line: (usize, usize),
    /// Whether a string of several lines without an end was found. The ends of further such strings are then
    /// not searched, because each search would read all of the remaining text.
    is_unended: bool,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            found: Vec::new(),
            header: Scope::default(),
            open: Vec::new(),
            value: None,
            is_line_start: true,
            line: (1, 0),
            is_unended: false,
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Returns the end of the line that contains `from`, before its line break. The last result is kept, because
    /// one line can have a million keys.
    fn line_end(&mut self, from: usize) -> usize {
        if !(self.line.0..=self.line.1).contains(&from) {
            let rest = self.text.as_bytes().get(from..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest).map_or(self.text.len(), |found| from + found);
            self.line = (from, end);
        }
        self.line.1
    }

    /// Returns the end of the string at the position.
    fn string_end(&mut self) -> StringEnd {
        let is_long = self.rest().starts_with("\"\"\"") || self.rest().starts_with("'''");
        if is_long && self.is_unended {
            return StringEnd::None;
        }
        let end = string_end(self.text, self.at);
        self.is_unended |= is_long && matches!(end, StringEnd::None);
        end
    }

    fn skip_spaces(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    pub(super) fn scan(mut self) -> Vec<Range<usize>> {
        loop {
            self.skip_spaces();
            let Some(byte) = self.byte() else {
                return self.found;
            };
            let is_line_start = std::mem::replace(&mut self.is_line_start, byte == b'\n');
            let scope = self.scope();
            match byte {
                b'#' => {
                    let end = self.line_end(self.at);
                    self.by_line(self.at..end);
                    self.at = end;
                }
                b'[' if is_line_start && self.is_header() => self.read_header(),
                b'[' | b'{' => {
                    let scope = self.value.take().unwrap_or(scope);
                    self.open.push(scope);
                    self.at += 1;
                }
                b']' | b'}' => {
                    self.open.pop();
                    self.at += 1;
                }
                b'\n' | b',' | b'=' | b':' => {
                    self.value = None;
                    self.at += 1;
                }
                _ => self.read_key(is_line_start, scope),
            }
        }
    }

    fn scope(&self) -> Scope {
        self.open.last().copied().unwrap_or(self.header)
    }

    /// Whether the line at the position is a table header. In an open list or inline table, a line counts as
    /// a header only if it has nothing but a bare key in brackets, such as `[route.origin]`.
    fn is_header(&mut self) -> bool {
        let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-. \t".contains(byte);
        self.open.is_empty() || {
            let end = self.line_end(self.at);
            let line = self.text.get(self.at..end).unwrap_or_default().trim_end();
            let inner = line.trim_start_matches('[').trim_end_matches(']');
            line.ends_with(']') && !inner.is_empty() && inner.as_bytes().iter().all(is_bare)
        }
    }

    fn read_header(&mut self) {
        let end = self.line_end(self.at);
        let line = self.text.get(self.at..end).unwrap_or_default();
        let name = line.trim_start_matches('[');
        let name = name.split(']').next().unwrap_or_default();
        self.open.clear();
        self.value = None;
        self.header = Scope::default().of(name);
        // The rest of the line after the header is read as usual.
        self.at += line.len() - line.trim_start_matches('[').len() + name.len();
        while self.byte() == Some(b']') {
            self.at += 1;
        }
    }

    /// Reads a word or a string. If `=` or `:` follows, the word is a key, and its value is masked if it is a
    /// secret. Otherwise the word is a value.
    fn read_key(&mut self, is_line_start: bool, scope: Scope) {
        let start = self.at;
        let Some(end) = self.key_end() else {
            return;
        };
        let key = self.text.get(start..end).unwrap_or_default();
        match self.byte() {
            Some(b'=' | b':') => {
                self.at += 1;
                let value = scope.of(key);
                let is_path = scope.is_certificate
                    && decoded(key).trim_matches(['"', '\'']) == "key"
                    && self.is_file_name();
                let holder = key.rsplit_once('.').map(|(holder, _)| scope.of(holder));
                let is_field = holder.unwrap_or(scope).has_fields;
                if (value.is_secret && !is_path) || is_field {
                    self.mask_value();
                } else {
                    self.value = Some(value);
                }
            }
            // A line without `=` and `:`, such as `token "x"`.
            Some(other) if is_line_start && !b",]}\n#".contains(&other) && suggests_secret(key) => {
                let end = self.line_end(self.at);
                self.mask_from(self.at, end);
            }
            _ => self.value = None,
        }
    }

    /// Moves behind a key, which is a list of words and strings with dots between them, and behind the white
    /// space after the key. Returns the end of the key. If a string has several lines, moves behind the
    /// string and returns `None`. If a string has no end, moves to the end of the line and returns `None`.
    fn key_end(&mut self) -> Option<usize> {
        loop {
            match self.byte() {
                Some(b'"' | b'\'') => match self.string_end() {
                    StringEnd::SameLine(end) => self.at = end,
                    StringEnd::Later(end) => {
                        self.skip_long_string(end);
                        return None;
                    }
                    StringEnd::None => {
                        // A quote of this line has no closing quote, so it is not certain what is a string.
                        let end = self.line_end(self.at);
                        let line = self
                            .text
                            .get(..self.at)
                            .and_then(|before| before.rfind('\n'));
                        let line = line.map_or(0, |found| found + 1);
                        self.by_line(line..end);
                        self.at = end;
                        return None;
                    }
                },
                _ => {
                    let rest = self.rest();
                    let ends = |one: char| one.is_ascii_whitespace() || "=:,{}[]\"'#".contains(one);
                    let length = rest.find(ends).unwrap_or(rest.len());
                    self.at += length;
                }
            }
            let end = self.at;
            self.skip_spaces();
            // White space around a dot does not end the key, as in `a . "b"`.
            let before = self.text.get(..end).unwrap_or_default();
            let goes_on = self.rest().starts_with('.')
                || before.ends_with('.') && matches!(self.byte(), Some(b'"' | b'\''));
            if !goes_on {
                return Some(end);
            }
        }
    }

    /// Moves behind a string of several lines that is not a secret. If a line of the string looks like a key
    /// with a secret, a quote may be missing, so the rest of the string is masked.
    fn skip_long_string(&mut self, end: usize) {
        let start = self.at;
        self.at = end;
        let known = self.found.len();
        self.by_line(start..end);
        if let Some(first) = self.found.get(known).map(|range| range.start) {
            self.mask_from(first, end.max(first));
        }
    }

    /// Whether the value at the position is the name of a file. A name is recognized by its dot, because a
    /// key in base64 has no dot.
    fn is_file_name(&self) -> bool {
        let start = self.at + self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        match string_end(self.text, start) {
            StringEnd::SameLine(end) => {
                let name = self.text.get(start..end).unwrap_or_default();
                name.contains('.') && !name.contains("-----")
            }
            // The value may be a path without quotes, which is not valid TOML.
            StringEnd::Later(_) | StringEnd::None => {
                let line = self.text.get(start..).unwrap_or_default();
                let line = line.split('\n').next().unwrap_or_default().trim_end();
                line.ends_with(".pem") && !line.contains(char::is_whitespace)
            }
        }
    }

    /// Masks the value at the position, and the text after it that may belong to the value.
    fn mask_value(&mut self) {
        let start = self.at;
        self.skip_spaces();
        if self.byte() == Some(b'\n') {
            self.skip_to_value();
        }
        let end = match self.byte() {
            Some(b'"' | b'\'') => match string_end(self.text, self.at) {
                StringEnd::SameLine(end) | StringEnd::Later(end) => Some(end),
                StringEnd::None if self.rest().starts_with("\"\"\"") => Some(self.text.len()),
                StringEnd::None if self.rest().starts_with("'''") => Some(self.text.len()),
                StringEnd::None => None,
            },
            Some(b'[' | b'{') => Some(bracket_end(self.text, self.at)),
            _ => None,
        };
        if let Some(end) = end
            && !self.open.is_empty()
            && self.is_next_entry(end)
        {
            self.found.push(start..end);
            self.at = end;
            return;
        }
        let line_end = self.line_end(end.unwrap_or(self.at));
        match end {
            // The end of the value is known, and at most a comment follows the value in its line.
            Some(end) if self.is_blank(end, line_end) => {
                self.found.push(start..line_end);
                self.at = line_end;
            }
            _ => self.mask_from(start, line_end),
        }
    }

    /// Moves from the end of a line to the next text, unless the line of this text is an entry: a table
    /// header, or a key with a value.
    fn skip_to_value(&mut self) {
        let rest = self.rest();
        let next = self.at + rest.len() - rest.trim_start().len();
        let end = self.line_end(next);
        if !is_entry(self.text.get(next..end).unwrap_or_default()) {
            self.at = next;
        }
    }

    /// Whether the text from `start` to `end` is only white space, or a comment.
    fn is_blank(&self, start: usize, end: usize) -> bool {
        let text = self.text.get(start..end).unwrap_or_default().trim_start();
        text.is_empty() || text.starts_with('#')
    }

    /// Whether the inline table or list ends at `from`, or a comma and another key follow there.
    fn is_next_entry(&mut self, from: usize) -> bool {
        let end = self.line_end(from);
        let line = self.text.get(from..end).unwrap_or_default().trim_start();
        match line.strip_prefix(',') {
            Some(after) => after.split_once('=').is_some_and(|(key, _)| {
                let is_bare = |one: char| one.is_ascii_alphanumeric() || "_-. \t".contains(one);
                !key.trim().is_empty() && key.chars().all(is_bare)
            }),
            None => line.starts_with(['}', ']']),
        }
    }

    /// Masks from `start` to the end of the line that contains `end`, and the lines after that line up to the
    /// next entry: a table header, or a key with a value.
    fn mask_from(&mut self, start: usize, end: usize) {
        let mut end = self.line_end(end);
        while end < self.text.len() {
            let next = self.line_end(end + 1);
            let line = self.text.get(end + 1..next).unwrap_or_default();
            if is_entry(line) {
                break;
            }
            end = next;
        }
        self.found.push(start..end);
        self.value = None;
        self.at = end;
    }

    /// Masks the rest of each line after a name that suggests a secret. The name stands before a `=` or `:`,
    /// or is the first word of the line. Quotes do not count.
    fn by_line(&mut self, range: Range<usize>) {
        let mut line_start = range.start;
        let text = self.text.get(range).unwrap_or_default();
        for line in text.split_inclusive('\n') {
            let mut start = 0;
            let value = line.match_indices(['=', ':']).find_map(|(sign, _)| {
                let key = line.get(start..sign).unwrap_or_default();
                start = sign + 1;
                suggests_secret(key).then_some(start)
            });
            if let Some(value) = value.or_else(|| after_key(line)) {
                self.found.push(line_start + value..line_start + line.len());
            }
            line_start += line.len();
        }
    }
}
