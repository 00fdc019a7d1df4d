//! Reads typed values out of a parsed document and collects every problem on the way.
//!
//! A getter returns `None` when the key is absent or wrong; what is wrong has been noted by then, so
//! reading goes on and all problems of a file are reported together. Strings are interpolated here,
//! after parsing, so a quote in a secret cannot break the document.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::interpolate::{hint_for, interpolate, quoted};
use crate::config::problem::Problem;
use crate::config::spec::{Kind, Spec};
use crate::config::value;

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What all readers of one file share.
pub(crate) struct Session<'a> {
    env: Env<'a>,
    /// The directory relative paths are relative to.
    pub(crate) base: &'a Path,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Session<'a> {
    /// A session without problems.
    pub(crate) fn new(env: Env<'a>, base: &'a Path) -> Self {
        Self {
            env,
            base,
            problems: RefCell::default(),
        }
    }

    /// Notes a problem.
    pub(crate) fn note(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// The problems so far.
    #[must_use]
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// One table being read.
pub(crate) struct Reader<'s> {
    session: &'s Session<'s>,
    table: Option<&'s DeTable<'s>>,
    /// Key path of the table, empty for the whole file.
    pub(crate) path: String,
    /// The table's place.
    pub(crate) span: Range<usize>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// Its place in the file.
    pub(crate) span: Range<usize>,
}

impl<'s> Reader<'s> {
    /// Reads `table`, whose keys must be those of `spec`.
    pub(crate) fn new(
        session: &'s Session<'s>,
        table: &'s DeTable<'s>,
        path: String,
        span: Range<usize>,
        spec: &Spec,
    ) -> Self {
        let reader = Self {
            session,
            table: Some(table),
            path,
            span,
        };
        let known: Vec<&str> = spec.keys.iter().map(|key| key.name).collect();
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                reader.error_at(
                    key.span(),
                    name,
                    format!("unknown key `{name}`"),
                    hint_for(name, &known),
                );
            }
        }
        reader
    }

    /// A reader of an absent table: every key has its default.
    fn absent(&self, path: String) -> Self {
        Self {
            session: self.session,
            table: None,
            path,
            span: self.span.clone(),
        }
    }

    /// The path of `key`.
    #[must_use]
    pub(crate) fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else if key.is_empty() {
            self.path.clone()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes an error at `key`, or at the table when the key is absent.
    pub(crate) fn error(&self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let span = self
            .find(key)
            .map_or_else(|| self.span.clone(), Spanned::span);
        self.error_at(span, key, message, hint);
    }

    /// Notes an error at a place.
    pub(crate) fn error_at(
        &self,
        span: Range<usize>,
        key: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.session.note(Problem {
            span: Some(span),
            path: self.key_path(key),
            message: message.into(),
            hint,
            is_warning: false,
        });
    }

    /// Notes a warning at `key`.
    pub(crate) fn warn(&self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let span = self
            .find(key)
            .map_or_else(|| self.span.clone(), Spanned::span);
        self.session.note(Problem {
            span: Some(span),
            path: self.key_path(key),
            message: message.into(),
            hint,
            is_warning: true,
        });
    }

    /// The session's base directory.
    #[must_use]
    pub(crate) fn base(&self) -> &'s Path {
        self.session.base
    }

    fn find(&self, key: &str) -> Option<&'s Spanned<DeValue<'s>>> {
        self.table?
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)
            .map(|(_, value)| value)
    }

    /// Whether the key is there, right or wrong.
    #[must_use]
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
        self.error_at(
            value.span(),
            key,
            format!("must be {wanted}, not {found}"),
            None,
        );
    }

    /// A string, interpolated.
    #[must_use]
    pub(crate) fn text(&self, key: &str) -> Option<Located<String>> {
        let value = self.find(key)?;
        self.text_of(key, value)
    }

    fn text_of(&self, key: &str, value: &Spanned<DeValue<'s>>) -> Option<Located<String>> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(key, value, "a string");
            return None;
        };
        match interpolate(text, self.session.env, self.session.base) {
            Ok(text) => Some(Located {
                value: text,
                span: value.span(),
            }),
            Err(message) => {
                self.error_at(value.span(), key, message, None);
                None
            }
        }
    }

    /// A list of strings; absent is empty.
    #[must_use]
    pub(crate) fn texts(&self, key: &str) -> Vec<Located<String>> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, "a list of strings");
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.text_of(key, item))
            .collect()
    }

    /// `true` or `false`.
    #[must_use]
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.find(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong_type(key, value, "true or false");
        None
    }

    /// A whole number from 0.
    #[must_use]
    pub(crate) fn count(&self, key: &str) -> Option<usize> {
        let value = self.find(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let parsed = usize::from_str_radix(number.as_str(), number.radix()).ok();
        if parsed.is_none() {
            self.error_at(value.span(), key, "must be a whole number from 0", None);
        }
        parsed
    }

    /// A duration, at least `least`; `default` when absent or wrong.
    #[must_use]
    pub(crate) fn duration(&self, key: &str, default: Duration, least: Duration) -> Duration {
        let Some(text) = self.text(key) else {
            return default;
        };
        match value::parse_duration(&text.value) {
            Ok(duration) if duration >= least => duration,
            Ok(_) => {
                let least = value::format_duration(least);
                self.error_at(text.span, key, format!("must be at least {least}"), None);
                default
            }
            Err(message) => {
                self.error_at(text.span, key, message, None);
                default
            }
        }
    }

    /// A size; `default` when absent or wrong.
    #[must_use]
    pub(crate) fn size(&self, key: &str, default: usize) -> usize {
        let Some(text) = self.text(key) else {
            return default;
        };
        value::parse_size(&text.value).unwrap_or_else(|message| {
            self.error_at(text.span, key, message, None);
            default
        })
    }

    /// One of a few words; `None` when absent or wrong.
    #[must_use]
    pub(crate) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = hint_for(&text.value, &names);
            self.error_at(
                text.span,
                key,
                format!("must be one of {}", quoted(&names)),
                hint,
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A table; a reader of defaults when it is absent or wrong.
    #[must_use]
    pub(crate) fn table(&self, key: &str, spec: &Spec) -> Self {
        let path = self.key_path(key);
        let Some(value) = self.find(key) else {
            return self.absent(path);
        };
        let Some(Kind::Table(inner)) = spec
            .keys
            .iter()
            .find(|known| known.name == key)
            .map(|known| known.kind)
        else {
            return self.absent(path);
        };
        if let DeValue::Table(table) = value.get_ref() {
            return Self::new(self.session, table, path, value.span(), inner);
        }
        self.wrong_type(key, value, "a table");
        self.absent(path)
    }

    /// A list of tables, each with its own reader.
    #[must_use]
    pub(crate) fn tables(&self, key: &str, spec: &Spec) -> Vec<Self> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let Some(Kind::Tables(inner)) = spec
            .keys
            .iter()
            .find(|known| known.name == key)
            .map(|known| known.kind)
        else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, &format!("a list of tables; write `[[{key}]]`"));
            return Vec::new();
        };
        let mut readers = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.key_path(key));
            match item.get_ref() {
                DeValue::Table(table) => {
                    readers.push(Self::new(self.session, table, path, item.span(), inner))
                }
                _ => self.wrong_type(key, item, "a table"),
            }
        }
        readers
    }

    /// The spec of a table below `spec`.
    #[must_use]
    pub(crate) fn spec_of(spec: &Spec, key: &str) -> &'static Spec {
        match spec
            .keys
            .iter()
            .find(|known| known.name == key)
            .map(|known| known.kind)
        {
            Some(Kind::Table(inner) | Kind::Tables(inner)) => inner,
            _ => &EMPTY,
        }
    }
}

static EMPTY: Spec = Spec { keys: &[] };
