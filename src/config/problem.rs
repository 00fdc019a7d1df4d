//! The problems of a config. Each has a position, a message, and a hint on how to fix it.
//!
//! [`Problems`] holds all [`Problem`]s of one config, in the order of its files. The text form of a problem is
//! one line that begins with `file:line:column`; [`Problems::render`] adds the source line with a caret.
//! Values from the environment or from other files are never part of a message, except the public data of
//! certificates.

use std::fmt;
use std::ops::Range;

use crate::config::excerpt::Excerpts;
pub(crate) use crate::config::mask::suggests_secret;
use crate::config::source::{Places, Source};
use crate::config::visible::visible;

/// The number of problems that [`Problems::render`] shows.
const SHOWN: usize = 50;

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
    /// The main file, and after it the included files that have problems, in the order of their numbers.
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

    /// Returns the one-line form of `problem`. Control characters in names and in the message are escaped.
    #[must_use]
    pub fn line(&self, problem: &Problem) -> String {
        self.line_at(problem, &mut Places::default())
    }

    fn line_at(&self, problem: &Problem, places: &mut Places) -> String {
        let source = self.source(problem);
        let name = visible(source.map_or("", |source| &source.name));
        let place = match source.zip(problem.span.as_ref()) {
            None => name.into_owned(),
            Some((source, span)) => {
                let (line, column) = places.place(source, span.start);
                format!("{name}:{line}:{column}")
            }
        };
        let kind = match problem.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        let message = visible(&problem.message);
        if problem.path.is_empty() {
            format!("{place}: {kind}{message}")
        } else {
            format!("{place}: {kind}{}: {message}", visible(&problem.path))
        }
    }

    /// Returns the problems with their source lines, a caret under each position, and their hints. Shows 50
    /// problems, errors before warnings, and the number of the others.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_first(SHOWN)
    }

    /// Does the same as [`render`](Self::render), but shows `most` problems.
    #[must_use]
    pub fn render_first(&self, most: usize) -> String {
        let mut errors_left = most;
        let mut warnings_left = most.saturating_sub(self.errors().count());
        let (mut places, mut excerpts) = (Places::default(), Excerpts::default());
        let mut text = String::new();
        let mut more = 0_usize;
        for problem in &self.list {
            let left = match problem.severity {
                Severity::Error => &mut errors_left,
                Severity::Warning => &mut warnings_left,
            };
            if *left == 0 {
                more += 1;
                continue;
            }
            *left -= 1;
            text.push_str(&self.line_at(problem, &mut places));
            text.push('\n');
            if let Some((source, span)) = self.source(problem).zip(problem.span.as_ref()) {
                excerpts.push(&mut text, source, span);
            }
            if let Some(hint) = &problem.hint {
                text.push_str("  hint: ");
                text.push_str(&visible(hint));
                text.push('\n');
            }
        }
        if more > 0 {
            let problems = if more == 1 { "problem" } else { "problems" };
            text.push_str(&format!(
                "and {more} more {problems}; `ossgate check --format json` prints all\n"
            ));
        }
        text
    }

    /// Returns the problems as a list of JSON objects with `file`, `line`, `column`, `path`, `message`,
    /// `hint` and `level`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut places = Places::default();
        let problems = self.list.iter().map(|problem| {
            let source = self.source(problem);
            let place = source
                .zip(problem.span.as_ref())
                .map(|(source, span)| places.place(source, span.start));
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
