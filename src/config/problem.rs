//! The problems of a config. Each has a position, a message, and a hint on how to fix it.
//!
//! [`Problems`] holds all [`Problem`]s of one config, in the order of its files. The text form of a problem is
//! one line that begins with `file:line:column`; [`Problems::render`] adds the source line with a caret.
//! Values from the environment or from other files are never part of a message, except the public data of
//! certificates.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::config::source::Source;

/// Returns a copy of `text` that masks the value of each key whose name suggests a secret. Each byte
/// becomes one `*`, so positions in the text stay the same. A line that is not valid TOML is also masked: the
/// value may follow `:` or a space.
fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // The value of an inline table contains further keys, so the text before each sign is looked at.
        let mut start = 0;
        let value = line.match_indices(['=', ':']).find_map(|(sign, _)| {
            let key = line.get(start..sign).unwrap_or_default();
            start = sign + 1;
            suggests_secret(key).then_some(start)
        });
        let value = value.or_else(|| after_key(line)).unwrap_or(line.len());
        let (open, secret) = line.split_at(value);
        shown.push_str(open);
        for character in secret.chars() {
            if character.is_whitespace() {
                shown.push(character);
            } else {
                shown.extend(std::iter::repeat_n('*', character.len_utf8()));
            }
        }
    }
    shown
}

/// Returns the place after the key of a line without any sign, such as `token abc`, if the key suggests a secret.
fn after_key(line: &str) -> Option<usize> {
    let text = line.trim_start();
    let end = text.find([' ', '\t', '"', '\''])?;
    let key = text.get(..end)?;
    suggests_secret(key).then_some(line.len() - text.len() + end)
}

/// Whether the name of a key suggests that its value is a secret.
pub(crate) fn suggests_secret(key: &str) -> bool {
    const SECRET: [&str; 5] = ["tok", "secret", "password", "access_key", "credential"];
    let lower = key.to_ascii_lowercase();
    SECRET.iter().any(|word| lower.contains(word))
}

/// How serious a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The config cannot be served.
    Error,
    /// The config can be served, but probably has an effect that was not intended.
    Warning,
}

impl Severity {
    /// Returns `error` or `warning`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem of a config.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The number of the file among the files of the config. The main file has number 0.
    pub file: usize,
    /// The position in the file, in bytes; `None` if the problem concerns the whole file.
    pub span: Option<Range<usize>>,
    /// The key path, such as `route[2].origin.bucket`; empty when the problem concerns the whole file.
    pub path: String,
    /// The message: a description of the problem.
    pub message: String,
    /// A hint on how to fix the problem; `None` if the message is enough.
    pub hint: Option<String>,
    /// Whether the config can still be served.
    pub severity: Severity,
}

/// All problems of one config.
#[derive(Clone, Debug)]
pub struct Problems {
    /// The main file. The files of the other problems follow, in the order of their numbers.
    sources: Vec<Source>,
    list: Vec<Problem>,
}

impl Problems {
    /// Creates the list of the problems of a config, sorted by file and position. `main` is its main file, and
    /// `included` are its other files: number 1 is the first of them.
    #[must_use]
    pub fn new(main: Source, included: &[Source], mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| {
            let start = problem.span.as_ref().map_or(0, |span| span.start);
            (problem.file, start)
        });
        // Files without a problem are left out: a config can have thousands of files.
        let mut sources = vec![main];
        for problem in &list {
            if sources.last().map(|last| last.number) != Some(problem.file) {
                let place = problem.file.checked_sub(1);
                sources.extend(place.and_then(|place| included.get(place)).cloned());
            }
        }
        Self { sources, list }
    }

    /// Returns the file of `problem`.
    fn source(&self, problem: &Problem) -> Option<&Source> {
        let place = self
            .sources
            .binary_search_by_key(&problem.file, |source| source.number);
        self.sources.get(place.unwrap_or(0))
    }

    /// Returns the problems, in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Whether the config cannot be served.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Returns the problems that prevent the config from being served, in file order.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.iter()
            .filter(|problem| problem.severity == Severity::Error)
    }

    /// Returns the problems with which the config can still be served, in file order.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.iter()
            .filter(|problem| problem.severity == Severity::Warning)
    }

    /// Returns the number of errors and warnings as text, such as `2 errors, 1 warning`. A number that is zero
    /// is left out, so the text is empty when there is no problem.
    #[must_use]
    pub fn counts(&self) -> String {
        let counts = [
            (self.errors().count(), "error"),
            (self.warnings().count(), "warning"),
        ];
        let counts = counts.map(|(count, what)| match count {
            0 => String::new(),
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        });
        let [errors, warnings] = counts;
        let comma = if errors.is_empty() || warnings.is_empty() {
            ""
        } else {
            ", "
        };
        format!("{errors}{comma}{warnings}")
    }

    /// Returns the one-line form of `problem`.
    #[must_use]
    pub fn line(&self, problem: &Problem) -> String {
        let source = self.source(problem);
        let name = source.map_or("", |source| &source.name);
        let place = match source.zip(problem.span.as_ref()) {
            None => name.to_owned(),
            Some((source, span)) => {
                let (line, column) = source.place(span.start);
                format!("{name}:{line}:{column}")
            }
        };
        let kind = match problem.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        if problem.path.is_empty() {
            format!("{place}: {kind}{}", problem.message)
        } else {
            format!("{place}: {kind}{}: {}", problem.path, problem.message)
        }
    }

    /// Returns every problem with its source line, a caret under the position, and its hint.
    #[must_use]
    pub fn render(&self) -> String {
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for problem in &self.list {
            text.push_str(&self.line(problem));
            text.push('\n');
            if let Some((source, span)) = self.source(problem).zip(problem.span.as_ref()) {
                // The renderer processes all text that it is given, so it is given only the lines to show.
                let around = source.lines().around(span);
                let shown = masked(source.text.get(around.clone()).unwrap_or_default());
                let place = span.start - around.start..span.end - around.start;
                let snippet = Snippet::source(shown)
                    .line_start(source.lines().line(span.start))
                    .annotation(AnnotationKind::Primary.span(place));
                let level = match problem.severity {
                    Severity::Error => Level::ERROR,
                    Severity::Warning => Level::WARNING,
                };
                let group = level.primary_title(problem.path.as_str()).element(snippet);
                // The first line is a title that only repeats the key path, so it is skipped.
                let rendered = renderer.render(&[group]);
                for line in rendered.lines().skip(1) {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            if let Some(hint) = &problem.hint {
                text.push_str("  hint: ");
                text.push_str(hint);
                text.push('\n');
            }
        }
        text
    }

    /// Returns the problems as a list of JSON objects with `file`, `line`, `column`, `path`, `message`,
    /// `hint` and `level`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let problems = self.list.iter().map(|problem| {
            let source = self.source(problem);
            let place = source
                .zip(problem.span.as_ref())
                .map(|(source, span)| source.place(span.start));
            serde_json::json!({
                "file": source.map(|source| &*source.name),
                "line": place.map(|(line, _)| line),
                "column": place.map(|(_, column)| column),
                "path": problem.path,
                "message": problem.message,
                "hint": problem.hint,
                "level": problem.severity.as_str(),
            })
        });
        serde_json::Value::Array(problems.collect())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_secret_is_shown_without_it() {
        let text = "[admin]\ntoken = \"géheim\nTokn = 'x y'\ntoken: x\n token \"x\nc = { access_key_secret = \"x=\", b = 1 }\n\
                    address = \"a=b\"\n";
        let shown = masked(text);
        assert_eq!(shown.len(), text.len());
        let inline = masked("headers = { set = { X-Token = 'geheim' } }\npath = \"/token\"\n");
        assert!(
            !inline.contains("geheim") && inline.ends_with("path = \"/token\"\n"),
            "{inline}"
        );
        assert!(!shown.contains("heim") && !shown.contains('x'), "{shown}");
        assert!(shown.ends_with("address = \"a=b\"\n"), "{shown}");
        let inline = "origin = { bucket = \"b\", credentials = { access_key_id = \"i\", access_key_secret = \"hunter\" } }";
        let shown = masked(inline);
        assert!(
            shown.starts_with("origin = { bucket = \"b\", credentials ="),
            "{shown}"
        );
        assert!(
            !shown.contains("hunter") && shown.len() == inline.len(),
            "{shown}"
        );
    }
}
