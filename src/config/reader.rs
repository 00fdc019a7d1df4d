//! Reads the tables of a parsed document and collects all problems.
//!
//! A [`Reader`] stands for one table: its keys, its position in the file, and the key path with which
//! messages begin. The methods that read typed values are in `getters.rs`.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::interpolate::Env;
use crate::config::problem::{Problem, Severity};
use crate::config::session::Session;
use crate::config::spec::{Kind, Spec};
use crate::config::suggest::hint_for;

/// One table of the file.
pub(crate) struct Reader<'s> {
    session: &'s Session<'s>,
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
}

impl<'s> Reader<'s> {
    /// Creates the reader of `table` and reports every key that is not in `spec`.
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
                let hint = hint_for(name, &known);
                reader.report(Severity::Error, key.span(), name, message, hint);
            }
        }
        reader
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
        self.session.lines.line(span.start)
    }

    /// Returns the line in which the table begins, from 1.
    pub(crate) fn own_line(&self) -> usize {
        self.line(&self.span)
    }

    /// Returns the directory to which relative paths are relative.
    pub(crate) fn base(&self) -> &'s Path {
        self.session.base
    }

    pub(super) fn key_path(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    /// Returns the state that all readers of this file share.
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
            span: Some(span),
            path: self.key_path(key),
            message,
            hint,
            severity,
        });
    }

    /// Reports an error at `key`. If `key` is empty or absent, reports it at the position of the table.
    pub(crate) fn error(&self, key: &str, message: impl Into<String>, hint: Option<&str>) {
        let span = self.span_of(key);
        let hint = hint.map(str::to_owned);
        self.report(Severity::Error, span, key, message.into(), hint);
    }

    /// Reports a warning at the position at which [`error`](Self::error) would report an error.
    pub(crate) fn warn(&self, key: &str, message: impl Into<String>, hint: Option<&str>) {
        let span = self.span_of(key);
        let hint = hint.map(str::to_owned);
        self.report(Severity::Warning, span, key, message.into(), hint);
    }

    /// Reports an error at `text`, a string of `key`. The message consists of the string and `reason`.
    pub(crate) fn error_at(
        &self,
        key: &str,
        text: &Text,
        reason: impl fmt::Display,
        hint: Option<String>,
    ) {
        let message = format!("`{}` {reason}", text.written);
        self.report(Severity::Error, text.span.clone(), key, message, hint);
    }

    /// Reports a warning at `text`, a string of `key`. The message consists of the string and `reason`.
    pub(crate) fn warn_at(&self, key: &str, text: &Text, reason: &str) {
        let message = format!("`{}` {reason}", text.written);
        self.report(Severity::Warning, text.span.clone(), key, message, None);
    }

    /// Returns the value of `key`.
    pub(super) fn find(&self, key: &str) -> Option<&'s Spanned<DeValue<'s>>> {
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

    /// Whether the table has `key`, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
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
        self.report(Severity::Error, value.span(), key, message, None);
    }

    /// Returns the reader of the table `key`. If `key` is absent or its value is not a table, the reader has
    /// no keys, so every getter returns its default.
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

    /// Returns one reader for each table of the list `key`; an empty list when `key` is absent.
    pub(crate) fn tables(&self, key: &str) -> Vec<Self> {
        let (Some(value), Some(Kind::Tables(spec))) =
            (self.find(key), self.spec.key(key).map(|known| known.kind))
        else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            // A table header has no indices: the key path `route[0].origin` is written `[route.origin]`.
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
