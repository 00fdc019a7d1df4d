//! The problems of a config file. Each has a position, a message, and a hint on how to fix it.
//!
//! [`Problems`] holds all [`Problem`]s of one file, in file order. The text form of a problem is one line
//! that begins with `file:line:column`; [`Problems::render`] adds the source line with a caret. Values
//! from the environment or from other files are never part of a message.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::config::lines::Lines;

/// The text of a config file and its name for messages.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name as given on the command line.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
    lines: Arc<Lines>,
}

impl Source {
    /// Creates a source from the name and the text of a file.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            lines: Arc::new(Lines::new(text)),
        }
    }

    /// Returns the positions of the lines of the text.
    pub(crate) fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.lines)
    }

    /// Returns the line and the column of a byte offset, both counted from 1.
    #[must_use]
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.line(offset);
        let before = self.text.get(self.lines.start(line)..offset);
        let column = before.map_or(0, |before| before.chars().count()) + 1;
        (line, column)
    }
}

/// Returns a copy of `text` that masks the value of each key whose name suggests a secret: in each line, everything
/// after the first `=` that follows such a name. The key may be a part of an inline table. Each byte becomes one
/// `*`, so positions in the text stay the same. Lines that are not valid TOML are masked in the same way.
fn masked(text: &str) -> String {
    const SECRET: [&str; 4] = ["tok", "secret", "password", "access_key"];
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let lower = line.to_ascii_lowercase();
        let name = SECRET.iter().filter_map(|word| lower.find(word)).min();
        let equals = name.and_then(|at| Some(at + lower.get(at..)?.find('=')?));
        let Some((key, value)) = equals.and_then(|at| line.split_at_checked(at + 1)) else {
            shown.push_str(line);
            continue;
        };
        shown.push_str(key);
        for character in value.chars() {
            if character.is_whitespace() {
                shown.push(character);
            } else {
                shown.extend(std::iter::repeat_n('*', character.len_utf8()));
            }
        }
    }
    shown
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

/// One problem of a config file.
#[derive(Clone, Debug)]
pub struct Problem {
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

/// All problems of one file.
#[derive(Clone, Debug)]
pub struct Problems {
    source: Source,
    list: Vec<Problem>,
}

impl Problems {
    /// Creates the list of the problems of `source`, sorted by position.
    #[must_use]
    pub fn new(source: Source, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        Self { source, list }
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

    /// Returns the one-line form of `problem`.
    #[must_use]
    pub fn line(&self, problem: &Problem) -> String {
        let place = match &problem.span {
            None => self.source.name.to_string(),
            Some(span) => {
                let (line, column) = self.source.place(span.start);
                format!("{}:{line}:{column}", self.source.name)
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
        let source = &self.source;
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for problem in &self.list {
            text.push_str(&self.line(problem));
            text.push('\n');
            if let Some(span) = &problem.span {
                // The renderer processes all text that it is given, so it is given only the lines to show.
                let around = source.lines.around(span);
                let shown = masked(source.text.get(around.clone()).unwrap_or_default());
                let place = span.start - around.start..span.end - around.start;
                let snippet = Snippet::source(shown)
                    .line_start(source.lines.line(span.start))
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
            let place = problem
                .span
                .as_ref()
                .map(|span| self.source.place(span.start));
            serde_json::json!({
                "file": &*self.source.name,
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
        let text = "[admin]\ntoken = \"géheim\nTokn = 'x y'\naddress = \"a=b\"\n";
        let shown = masked(text);
        assert_eq!(shown.len(), text.len());
        assert!(!shown.contains("heim") && !shown.contains('x'), "{shown}");
        assert!(shown.ends_with("address = \"a=b\"\n"), "{shown}");
        let inline = "origin = { bucket = \"b\", credentials = { access_key_id = \"i\", access_key_secret = \"hunter\" } }";
        let shown = masked(inline);
        assert!(
            shown.starts_with("origin = { bucket = \"b\", credentials = { access_key_id ="),
            "{shown}"
        );
        assert!(
            !shown.contains("hunter") && shown.len() == inline.len(),
            "{shown}"
        );
    }
}
