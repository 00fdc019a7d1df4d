//! The typed getters of a [`Reader`]: strings, lists, numbers, durations and sizes.
//!
//! If a key is absent or its value is wrong, a getter returns `None` or its default. A wrong value is
//! reported and reading continues, so that all problems of a file are reported together. A key should be read
//! only once, because a second read reports its problem again.

use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeValue};

use crate::config::interpolate;
use crate::config::problem::Severity;
use crate::config::reader::{Reader, Text};
use crate::config::suggest::{self, nearest, quoted};
use crate::config::value;

impl<'s> Reader<'s> {
    /// Returns the interpolated string of `key`; `None` when it is absent or wrong.
    pub(crate) fn text(&self, key: &str) -> Option<Text> {
        self.text_like(key, "a string")
    }

    fn text_like(&self, key: &str, wanted: &str) -> Option<Text> {
        self.read_text(key, self.find(key)?, wanted)
    }

    fn read_text(&self, key: &str, value: &Spanned<DeValue<'s>>, wanted: &str) -> Option<Text> {
        let DeValue::String(written) = value.get_ref() else {
            self.wrong_type(key, value, wanted);
            return None;
        };
        let is_known = Cell::new(true);
        let read = |path: &str| {
            let path = self.base().join(path);
            if !self.session().skips(&path) {
                return interpolate::read(&path);
            }
            is_known.set(false);
            Ok(stand_in(&path))
        };
        match interpolate::interpolate(written, self.session().env, read) {
            Ok(filled) => Some(Text {
                is_known: is_known.get(),
                value: filled,
                written: written.clone().into_owned(),
                span: value.span(),
            }),
            Err(error) => {
                let (message, hint) = (error.to_string(), error.hint());
                self.report(Severity::Error, value.span(), key, message, Some(hint));
                None
            }
        }
    }

    /// Returns the strings of the list `key`; an empty list when it is absent. Wrong items are left out.
    pub(crate) fn texts(&self, key: &str) -> Vec<Text> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, "a list of strings");
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.read_text(key, item, "a list of strings"))
            .collect()
    }

    /// Returns the names and strings of the table `key`, which may have keys of any name. Returns an empty list
    /// when the table is absent. Entries with a wrong value are left out.
    pub(crate) fn entries(&self, key: &str) -> Vec<(Text, Text)> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(key, value, "a table");
            return Vec::new();
        };
        let read = |(name, value): (&Spanned<DeString<'s>>, &Spanned<DeValue<'s>>)| {
            let text = name.get_ref().as_ref();
            let value = self.read_text(&format!("{key}.{text}"), value, "a string")?;
            let name = Text {
                value: text.to_owned(),
                written: text.to_owned(),
                is_known: true,
                span: name.span(),
            };
            Some((name, value))
        };
        table.iter().filter_map(read).collect()
    }

    /// Parses each item of the list `key` and returns the values, each with the string that it was parsed
    /// from. If `parse` returns an error for an item, the error is reported and the item is left out.
    pub(crate) fn parsed<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<(T, Text)> {
        self.parsed_or(key, parse, |_| None)
    }

    /// Does the same as [`parsed`](Self::parsed); `hint` returns a hint for a wrong item.
    pub(crate) fn parsed_or<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        hint: impl Fn(&str) -> Option<String>,
    ) -> Vec<(T, Text)> {
        let read = |text: Text| match parse(&text.value) {
            Ok(value) => Some((value, text)),
            Err(reason) => {
                let hint = text.is_literal().then(|| hint(&text.written)).flatten();
                self.error_at(key, &text, reason, hint);
                None
            }
        };
        self.texts(key).into_iter().filter_map(read).collect()
    }

    /// Returns the boolean of `key`; `None` when it is absent or wrong.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.find(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong_type(key, value, "true or false");
        None
    }

    /// Returns the whole number of `key`, which must be in `range`; `default` when it is absent or wrong.
    pub(crate) fn count(&self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let Some(value) = self.find(key) else {
            return default;
        };
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, value, "a whole number");
            return default;
        };
        let parsed = usize::from_str_radix(number.as_str(), number.radix());
        match parsed.ok().filter(|count| range.contains(count)) {
            Some(count) => count,
            None => {
                let message = format!("must be from {} to {}", range.start(), range.end());
                self.report(Severity::Error, value.span(), key, message, None);
                default
            }
        }
    }

    /// Returns the duration of `key`, which must be at least `least`; `default` when it is absent or wrong.
    pub(crate) fn duration(&self, key: &str, default: Duration, least: Duration) -> Duration {
        let Some(text) = self.text_like(key, "a string such as \"30s\"") else {
            return default;
        };
        match value::parse_duration(&text.value) {
            Ok(duration) if duration >= least => return duration,
            Ok(_) => {
                let least = value::format_duration(least);
                self.error_at(key, &text, format_args!("must be at least {least}"), None);
            }
            Err(reason) => self.error_at(key, &text, reason, suggest::duration(&text.written)),
        }
        default
    }

    /// Returns the size of `key` in bytes, which must be in `range`; `default` when it is absent or wrong.
    pub(crate) fn size(&self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let Some(text) = self.text_like(key, "a string such as \"64KiB\"") else {
            return default;
        };
        match value::parse_size(&text.value) {
            Ok(size) if range.contains(&size) => return size,
            Ok(_) => {
                let [least, most] =
                    [range.start(), range.end()].map(|size| value::format_size(*size));
                self.error_at(
                    key,
                    &text,
                    format_args!("must be from {least} to {most}"),
                    None,
                );
            }
            Err(reason) => self.error_at(key, &text, reason, suggest::size(&text.written)),
        }
        default
    }

    /// Returns the value that `words` has for the string of `key`; `None` when the key is absent or its value
    /// is wrong.
    pub(crate) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let reason = format!("is none of {}", quoted(&names));
            self.error_at(key, &text, reason, nearest(&text.written, &names));
        }
        found.map(|(_, value)| *value)
    }
}

/// Returns a text that stands for the content of the file at `path`, which is not looked at. It is a valid
/// token, bucket name and host, and it differs between files.
fn stand_in(path: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("not-read-{:016x}", hasher.finish())
}
