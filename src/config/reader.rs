//! Reads typed values out of a parsed document and collects every problem on the way.
//!
//! A getter returns `None` when the key is absent or wrong; what is wrong has been noted by then, so
//! reading goes on and all problems of a file are reported together. Each key is read once, or its
//! problem would be noted twice.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::interpolate::interpolate;
use crate::config::problem::Problem;
use crate::config::session::Session;
use crate::config::spec::{Kind, Spec};
use crate::config::suggest::{hint_for, nearest, quoted};
use crate::config::value;

/// One table being read.
pub(crate) struct Reader<'s> {
    session: &'s Session<'s>,
    table: Option<&'s DeTable<'s>>,
    spec: &'static Spec,
    /// Key path of the table, empty for the whole file.
    path: String,
    /// The table's place.
    span: Range<usize>,
}

/// A string of the file.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// What it says, filled in.
    pub(crate) value: String,
    /// What stands in the file: the form for messages, as it shows nothing that was filled in.
    pub(crate) written: String,
    /// Its place.
    pub(crate) span: Range<usize>,
}

impl<'s> Reader<'s> {
    /// Reads `table`, whose keys must be those of `spec`.
    pub(crate) fn new(
        session: &'s Session<'s>,
        table: &'s DeTable<'s>,
        spec: &'static Spec,
        path: String,
        span: Range<usize>,
    ) -> Self {
        let reader = Self {
            session,
            table: Some(table),
            spec,
            path,
            span,
        };
        let known: Vec<&str> = spec.keys.iter().map(|key| key.name).collect();
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let message = format!("unknown key `{name}`");
                reader.note(key.span(), name, message, hint_for(name, &known), false);
            }
        }
        reader
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.session.now
    }

    /// The line of a place, from 1.
    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.session.text.get(..span.start).unwrap_or_default();
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// The table's own line, from 1.
    pub(crate) fn own_line(&self) -> usize {
        self.line(&self.span)
    }

    /// The directory relative paths are relative to.
    pub(crate) fn base(&self) -> &'s Path {
        self.session.base
    }

    fn key_path(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    fn note(
        &self,
        span: Range<usize>,
        key: &str,
        message: String,
        hint: Option<String>,
        is_warning: bool,
    ) {
        self.session.problems.borrow_mut().push(Problem {
            span: Some(span),
            path: self.key_path(key),
            message,
            hint,
            is_warning,
        });
    }

    /// Notes an error at `key`, or at the table when the key is absent or empty.
    pub(crate) fn error(&self, key: &str, message: impl Into<String>, hint: Option<&str>) {
        let span = self.span_of(key);
        self.note(span, key, message.into(), hint.map(str::to_owned), false);
    }

    /// Notes a warning there.
    pub(crate) fn warn(&self, key: &str, message: impl Into<String>, hint: Option<&str>) {
        let span = self.span_of(key);
        self.note(span, key, message.into(), hint.map(str::to_owned), true);
    }

    /// Notes that `text` of `key` cannot be: what it says, then `reason`.
    pub(crate) fn refuse(
        &self,
        key: &str,
        text: &Text,
        reason: impl fmt::Display,
        hint: Option<String>,
    ) {
        let message = format!("`{}` {reason}", text.written);
        self.note(text.span.clone(), key, message, hint, false);
    }

    /// Notes a doubt about `text` of `key`: what it says, then `reason`.
    pub(crate) fn doubt(&self, key: &str, text: &Text, reason: &str) {
        let message = format!("`{}` {reason}", text.written);
        self.note(text.span.clone(), key, message, None, true);
    }

    fn find(&self, key: &str) -> Option<&'s Spanned<DeValue<'s>>> {
        debug_assert!(key.is_empty() || self.spec.key(key).is_some(), "{key}");
        self.table?
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)
            .map(|(_, value)| value)
    }

    fn span_of(&self, key: &str) -> Range<usize> {
        self.find(key)
            .map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Whether the key is there, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'s>>, wanted: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("must be {wanted}, not {found}");
        self.note(value.span(), key, message, None, false);
    }

    /// A string, filled in.
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
        match interpolate(written, self.session.env, self.session.base) {
            Ok(filled) => Some(Text {
                value: filled,
                written: written.clone().into_owned(),
                span: value.span(),
            }),
            Err(error) => {
                self.note(
                    value.span(),
                    key,
                    error.to_string(),
                    Some(error.hint()),
                    false,
                );
                None
            }
        }
    }

    /// A list of strings; absent is empty. Strings that cannot be read are left out.
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

    /// The strings of `key`, each read by `parse`, with what was read.
    pub(crate) fn parsed<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<(T, Text)> {
        let read = |text: Text| match parse(&text.value) {
            Ok(value) => Some((value, text)),
            Err(reason) => {
                self.refuse(key, &text, reason, None);
                None
            }
        };
        self.texts(key).into_iter().filter_map(read).collect()
    }

    /// Whether `key` is a list of nothing.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        self.find(key).is_some_and(
            |value| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()),
        )
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.find(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong_type(key, value, "true or false");
        None
    }

    /// A whole number in `range`; `default` when absent or wrong.
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
                self.note(value.span(), key, message, None, false);
                default
            }
        }
    }

    /// A duration, at least `least`; `default` when absent or wrong.
    pub(crate) fn duration(&self, key: &str, default: Duration, least: Duration) -> Duration {
        let Some(text) = self.text_like(key, "a string such as \"30s\"") else {
            return default;
        };
        match value::parse_duration(&text.value) {
            Ok(duration) if duration >= least => return duration,
            Ok(_) => {
                let least = value::format_duration(least);
                self.refuse(key, &text, format_args!("must be at least {least}"), None);
            }
            Err(reason) => self.refuse(key, &text, reason, None),
        }
        default
    }

    /// A size in `range`; `default` when absent or wrong.
    pub(crate) fn size(&self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let Some(text) = self.text_like(key, "a string such as \"64KiB\"") else {
            return default;
        };
        match value::parse_size(&text.value) {
            Ok(size) if range.contains(&size) => return size,
            Ok(_) => {
                let [least, most] =
                    [range.start(), range.end()].map(|size| value::format_size(*size));
                self.refuse(
                    key,
                    &text,
                    format_args!("must be from {least} to {most}"),
                    None,
                );
            }
            Err(reason) => self.refuse(key, &text, reason, None),
        }
        default
    }

    /// One of a few words; `None` when absent or wrong.
    pub(crate) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let reason = format!("is none of {}", quoted(&names));
            self.refuse(key, &text, reason, nearest(&text.written, &names));
        }
        found.map(|(_, value)| *value)
    }

    /// A table; a reader of defaults when it is absent or wrong.
    pub(crate) fn table(&self, key: &str) -> Self {
        let spec = match self.spec.key(key).map(|known| known.kind) {
            Some(Kind::Table(spec)) => spec,
            _ => self.spec,
        };
        let value = self.find(key);
        let path = self.key_path(key);
        if let Some(value) = value {
            if let DeValue::Table(table) = value.get_ref() {
                return Self::new(self.session, table, spec, path, value.span());
            }
            self.wrong_type(key, value, "a table");
        }
        Self {
            session: self.session,
            table: None,
            spec,
            path,
            span: value.map_or_else(|| self.span.clone(), Spanned::span),
        }
    }

    /// A list of tables, each with its own reader.
    pub(crate) fn tables(&self, key: &str) -> Vec<Self> {
        let (Some(value), Some(Kind::Tables(spec))) =
            (self.find(key), self.spec.key(key).map(|known| known.kind))
        else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            // The header of a table has no places in it: `route[0].origin` is `route.origin`.
            let header: Vec<String> = (self.key_path(key).split('.'))
                .map(|part| part.split('[').next().unwrap_or(part).to_owned())
                .collect();
            let expected = format!("a list of tables, `[[{}]]`", header.join("."));
            self.wrong_type(key, value, &expected);
            return Vec::new();
        };
        let mut readers = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.key_path(key));
            match item.get_ref() {
                DeValue::Table(table) => {
                    readers.push(Self::new(self.session, table, spec, path, item.span()));
                }
                _ => self.wrong_type(key, item, "a table"),
            }
        }
        readers
    }
}
