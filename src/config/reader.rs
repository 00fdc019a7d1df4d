//! Reads the tables of the parsed files and collects all problems.
//!
//! A [`Reader`] stands for one table: its keys, its file, its position in the file, and the key path with
//! which messages begin. The methods that read typed values are in `getters.rs`.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::interpolate::Env;
use crate::config::problem::{Problem, Severity};
use crate::config::session::Session;
use crate::config::source::Source;
use crate::config::spec::{Kind, Spec};
use crate::config::{habits, rewrite};

/// One table of a file. The reader of the whole main file also has the lists of tables of the included files:
/// `tables`, `has` and `is_empty_list` treat them as one list.
pub(crate) struct Reader<'s> {
    session: &'s Session<'s>,
    /// The file that contains the table.
    source: &'s Source,
    /// The readers of the included files. Only the reader of the whole main file has them.
    included: Vec<Self>,
    table: Option<&'s DeTable<'s>>,
    spec: &'static Spec,
    /// The key path of the table; empty for the whole file.
    path: String,
    /// The byte range of the table in the file.
    span: Range<usize>,
}

/// A string of the file.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// The string after interpolation of environment variables and files.
    pub(crate) value: String,
    /// The string as written in the file. Messages show this form, because `value` may contain a secret.
    pub(crate) written: String,
    /// The byte range of the string in the file.
    pub(crate) span: Range<usize>,
    /// Whether `value` is the real value. It is not if the string inserts a file that is not looked at.
    pub(crate) is_known: bool,
}

impl Text {
    /// Whether the string is written without interpolation, so that a hint may show a part of its value.
    pub(crate) fn is_literal(&self) -> bool {
        self.value == self.written
    }

    /// Returns the string as written, for a message. Control characters are escaped.
    fn shown(&self) -> String {
        let escaped = |character: char| match character.is_control() {
            true => character.escape_default().to_string(),
            false => character.to_string(),
        };
        self.written.chars().map(escaped).collect()
    }
}

impl<'s> Reader<'s> {
    /// Creates the reader of `table` and reports every key that is not in `spec`.
    pub(crate) fn new(
        session: &'s Session<'s>,
        source: &'s Source,
        table: &'s DeTable<'s>,
        spec: &'static Spec,
        path: String,
        span: Range<usize>,
    ) -> Self {
        let reader = Self {
            session,
            source,
            included: Vec::new(),
            table: Some(table),
            spec,
            path,
            span,
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if spec.key(name).is_none() {
                let (message, hint) = habits::unknown_key(spec, name, value.get_ref());
                reader.report(Severity::Error, key.span(), name, message, hint);
            }
        }
        reader
    }

    /// Creates the reader of a whole file.
    pub(crate) fn of_file(
        session: &'s Session<'s>,
        source: &'s Source,
        table: &'s DeTable<'s>,
        spec: &'static Spec,
    ) -> Self {
        Self::new(session, source, table, spec, String::new(), 0..0)
    }

    /// Adds the readers of the included files to the reader of the main file.
    pub(crate) fn with_included(mut self, included: Vec<Self>) -> Self {
        self.included = included;
        self
    }

    /// Returns the current time, in seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.session.now
    }

    /// Returns the function that returns the values of environment variables.
    pub(crate) fn env(&self) -> Env<'s> {
        self.session.env
    }

    /// Returns the line in which `span` begins, from 1.
    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        self.source.lines().line(span.start)
    }

    /// Returns the line of `key`, from 1; the line of the table if the key is absent.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        self.line(&self.span_of(key))
    }

    /// Returns the line in which the table begins, from 1.
    pub(crate) fn own_line(&self) -> usize {
        self.line(&self.span)
    }

    /// Returns the name of the file that contains the table.
    pub(crate) fn file_name(&self) -> &Arc<str> {
        &self.source.name
    }

    /// Whether the file at the path `text` must not be looked at.
    pub(crate) fn skips(&self, text: &Text) -> bool {
        self.session.skips(&self.base().join(&text.value))
    }

    /// Returns the directory to which relative paths are relative.
    pub(crate) fn base(&self) -> &'s Path {
        &self.source.base
    }

    /// Returns the key path and the place of the table, for a message about the table of `asking`. The place
    /// is a line if both are in the same file, else a file and a line.
    pub(crate) fn for_message_of(&self, asking: &Self) -> String {
        let (path, line) = (&self.path, self.own_line());
        if self.source.number == asking.source.number {
            format!("`{path}` (line {line})")
        } else {
            format!("`{path}` ({}:{line})", self.source.name)
        }
    }

    pub(super) fn key_path(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    /// Returns the state that all readers of this config share.
    pub(super) fn session(&self) -> &'s Session<'s> {
        self.session
    }

    /// Reports a problem of `key` at `span`.
    pub(super) fn report(
        &self,
        severity: Severity,
        span: Range<usize>,
        key: &str,
        message: String,
        hint: Option<String>,
    ) {
        self.session.problems.borrow_mut().push(Problem {
            file: self.source.number,
            span: Some(span),
            path: self.key_path(key),
            message,
            hint,
            severity,
        });
    }

    /// Reports an error at `key`. If `key` is empty or absent, reports it at the position of the table.
    pub(crate) fn error(&self, key: &str, message: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        let holder = self.holder(key);
        holder.report(
            Severity::Error,
            holder.span_of(key),
            key,
            message.into(),
            hint,
        );
    }

    /// Reports a warning at the position at which [`error`](Self::error) would report an error.
    pub(crate) fn warn(&self, key: &str, message: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        let holder = self.holder(key);
        holder.report(
            Severity::Warning,
            holder.span_of(key),
            key,
            message.into(),
            hint,
        );
    }

    /// Reports an error at `text`, a string of `key`. The message consists of the string and `reason`.
    pub(crate) fn error_at(
        &self,
        key: &str,
        text: &Text,
        reason: impl fmt::Display,
        hint: Option<String>,
    ) {
        let message = if text.is_known {
            format!("`{}` {reason}", text.shown())
        } else {
            format!(
                "`{}` cannot be checked: the file was not looked at",
                text.shown()
            )
        };
        self.report(Severity::Error, text.span.clone(), key, message, hint);
    }

    /// Reports a warning at `text`, a string of `key`. The message consists of the string and `reason`.
    pub(crate) fn warn_at(&self, key: &str, text: &Text, reason: &str) {
        let message = format!("`{}` {reason}", text.shown());
        self.report(Severity::Warning, text.span.clone(), key, message, None);
    }

    /// Returns the value of `key`.
    pub(super) fn find(&self, key: &str) -> Option<&'s Spanned<DeValue<'s>>> {
        // The spec of a whole file may lack `key`: included files have fewer keys than the main file.
        debug_assert!(
            key.is_empty() || self.path.is_empty() || self.spec.key(key).is_some(),
            "{key}"
        );
        self.table?
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)
            .map(|(_, value)| value)
    }

    /// Returns the reader of the first file that has `key`; `self` if no file has it.
    fn holder(&self, key: &str) -> &Self {
        if self.find(key).is_some() {
            return self;
        }
        let mut included = self.included.iter();
        included.find(|one| one.has(key)).unwrap_or(self)
    }

    fn span_of(&self, key: &str) -> Range<usize> {
        self.find(key)
            .map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Whether the table has `key`, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some() || self.included.iter().any(|one| one.has(key))
    }

    /// Whether `key` is an empty list.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        let is_empty = |reader: &Self| {
            let list = reader.find(key).map(Spanned::get_ref);
            list.map(|value| matches!(value, DeValue::Array(items) if items.is_empty()))
        };
        // Included files without the key make no difference.
        let all = std::iter::once(self).chain(&self.included);
        let mut found = all.filter_map(is_empty).peekable();
        found.peek().is_some() && found.all(|is_empty| is_empty)
    }

    /// Reports that `value` does not have the type `wanted`.
    pub(super) fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'s>>, wanted: &str) {
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
        let known = self.spec.key(key);
        let hint = known.and_then(|known| rewrite::hint(known, &self.key_path(key), value));
        self.report(Severity::Error, value.span(), key, message, hint);
    }

    /// Returns the reader of the table `key`. If `key` is absent or its value is not a table, the reader has
    /// no keys, so every getter returns its default.
    pub(crate) fn table(&self, key: &str) -> Self {
        let spec = match self.spec.key(key).map(|known| known.kind) {
            Some(Kind::Table(spec)) => spec,
            _ => self.spec,
        };
        if let Some(value) = self.find(key) {
            if let DeValue::Table(table) = value.get_ref() {
                let path = self.key_path(key);
                return Self::new(self.session, self.source, table, spec, path, value.span());
            }
            self.wrong_type(key, value, "a table");
        }
        self.table_again(key)
    }

    /// Returns the reader of the table `key`, for further problems of a table that was read before. Does not
    /// report unknown keys again.
    pub(crate) fn table_again(&self, key: &str) -> Self {
        let value = self.find(key);
        let table = match value.map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => Some(table),
            Some(_) | None => None,
        };
        Self {
            session: self.session,
            source: self.source,
            included: Vec::new(),
            table,
            spec: match self.spec.key(key).map(|known| known.kind) {
                Some(Kind::Table(spec)) => spec,
                _ => self.spec,
            },
            path: self.key_path(key),
            span: value.map_or_else(|| self.span.clone(), Spanned::span),
        }
    }

    /// Whether the table is in the file. It is not if the key is absent or has a value of another type.
    pub(crate) fn exists(&self) -> bool {
        self.table.is_some()
    }

    /// Returns one reader for each table of the list `key`; an empty list when `key` is absent. The tables of
    /// the included files follow those of the main file.
    pub(crate) fn tables(&self, key: &str) -> Vec<Self> {
        let mut readers = self.own_tables(key);
        for file in &self.included {
            readers.extend(file.own_tables(key));
        }
        readers
    }

    fn own_tables(&self, key: &str) -> Vec<Self> {
        let (Some(value), Some(Kind::Tables(spec))) =
            (self.find(key), self.spec.key(key).map(|known| known.kind))
        else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let header = rewrite::header(&self.key_path(key));
            let expected = format!("a list of tables, `[[{header}]]`");
            self.wrong_type(key, value, &expected);
            return Vec::new();
        };
        let mut readers = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.key_path(key));
            match item.get_ref() {
                DeValue::Table(table) => {
                    readers.push(Self::new(
                        self.session,
                        self.source,
                        table,
                        spec,
                        path,
                        item.span(),
                    ));
                }
                _ => self.wrong_type(key, item, "a table"),
            }
        }
        readers
    }
}
