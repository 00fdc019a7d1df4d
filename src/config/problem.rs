//! What is wrong with a config: where, what, and what to do about it.
//!
//! A [`Problem`] knows its place in the file; [`Problems`] holds all of one file, in file order. The
//! text form of a problem is one line beginning with `file:line:column`; [`Problems::render`] adds
//! the source line with a caret. Values that came from the environment or from a file are never
//! part of a message.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// The text of a config file and its name for messages.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name as given on the command line.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

impl Source {
    /// `text` under `name`.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Line and column, both from 1, of a byte offset.
    #[must_use]
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |last| last.chars().count())
            + 1;
        (line, column)
    }
}

/// The text as it may be shown: a value beside a key that sounds like a secret becomes stars, as many
/// as it has bytes, whatever is wrong with the line.
fn masked(text: &str) -> String {
    const SECRET: [&str; 4] = ["tok", "secret", "password", "access_key"];
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let lower = key.to_ascii_lowercase();
        if value.is_empty() || !SECRET.iter().any(|word| lower.contains(word)) {
            shown.push_str(line);
            continue;
        }
        shown.push_str(key);
        shown.push('=');
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

/// One problem of a config file.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where in the file, as byte offsets; absent when it is about the file as a whole.
    pub span: Option<Range<usize>>,
    /// The key, such as `route[2].origin.bucket`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the config can be served all the same.
    pub is_warning: bool,
}

/// All problems of one file.
#[derive(Clone, Debug)]
pub struct Problems {
    source: Source,
    list: Vec<Problem>,
}

impl Problems {
    /// The problems of `source`, put into file order.
    #[must_use]
    pub fn new(source: Source, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        Self { source, list }
    }

    /// The problems, in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Whether any of them stops a start.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| !problem.is_warning)
    }

    /// The one-line form of `problem`.
    #[must_use]
    pub fn line(&self, problem: &Problem) -> String {
        let place = match &problem.span {
            None => self.source.name.to_string(),
            Some(span) => {
                let (line, column) = self.source.place(span.start);
                format!("{}:{line}:{column}", self.source.name)
            }
        };
        let kind = if problem.is_warning { "warning: " } else { "" };
        if problem.path.is_empty() {
            format!("{place}: {kind}{}", problem.message)
        } else {
            format!("{place}: {kind}{}: {}", problem.path, problem.message)
        }
    }

    /// Every problem with its source line, a caret under the place, and its hint.
    #[must_use]
    pub fn render(&self) -> String {
        let shown = masked(&self.source.text);
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for problem in &self.list {
            text.push_str(&self.line(problem));
            text.push('\n');
            if let Some(span) = &problem.span {
                let snippet = Snippet::source(shown.as_str())
                    .annotation(AnnotationKind::Primary.span(span.clone()));
                let level = if problem.is_warning {
                    Level::WARNING
                } else {
                    Level::ERROR
                };
                let group = level.primary_title(problem.path.as_str()).element(snippet);
                // Its title repeats what stands above.
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

    /// The problems as JSON values with `file`, `line`, `column`, `path`, `message`, `hint` and `level`.
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
                "level": if problem.is_warning { "warning" } else { "error" },
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
    }
}
