//! The source lines of a problem, with carets under the part that is wrong.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::config::mask;
use crate::config::source::Source;
use crate::config::visible::push_visible;

/// The number of bytes of a line that are shown before and after the position of the problem. The rest is cut
/// off, because a line can have megabytes and the renderer processes all text that it is given.
const AROUND: usize = 100;
/// The maximum number of lines that are shown of one problem.
const MOST_LINES: usize = 8;

/// Writes excerpts of files. Secrets in them are masked, and control characters are escaped.
#[derive(Debug, Default)]
pub(crate) struct Excerpts {
    /// The number of the file that was shown last, and the byte ranges of its secrets.
    secrets: Option<(usize, Vec<Range<usize>>)>,
}

impl Excerpts {
    /// Appends the lines of `source` that contain `span` to `text`.
    pub(crate) fn push(&mut self, text: &mut String, source: &Source, span: &Range<usize>) {
        let secrets = self.secrets_of(source);
        let mut shown = Shown::default();
        let lines = source.lines();
        let first = lines.line(span.start);
        let last = lines.line(span.end).clamp(first, first + MOST_LINES - 1);
        for line in first..=last {
            let whole = lines.start(line)..lines.start(line + 1);
            shown.push_line(source, whole, span, secrets);
        }
        let place = shown.place(span);
        let snippet = Snippet::source(shown.text)
            .line_start(first)
            .annotation(AnnotationKind::Primary.span(place));
        // The first rendered line is the title with the level. It is skipped.
        let group = Level::ERROR.primary_title("").element(snippet);
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        for line in renderer.render(&[group]).lines().skip(1) {
            text.push_str(line);
            text.push('\n');
        }
    }

    fn secrets_of(&mut self, source: &Source) -> &[Range<usize>] {
        if self.secrets.as_ref().map(|(file, _)| *file) != Some(source.number) {
            self.secrets = Some((source.number, mask::secrets(&source.text)));
        }
        self.secrets.as_ref().map_or(&[], |(_, secrets)| secrets)
    }
}

/// The text of an excerpt.
#[derive(Debug, Default)]
struct Shown {
    text: String,
    /// The offset in `text` at which the marked span starts; `end` is the offset at which the span ends. Both
    /// are `None` until that part of the file is appended.
    start: Option<usize>,
    end: Option<usize>,
}

impl Shown {
    /// Appends the part of a line that is near `span`.
    fn push_line(
        &mut self,
        source: &Source,
        line: Range<usize>,
        span: &Range<usize>,
        secrets: &[Range<usize>],
    ) {
        let all = &source.text;
        let content = all.get(line.clone()).unwrap_or_default();
        let content = content.strip_suffix('\n').unwrap_or(content);
        let content = content.strip_suffix('\r').unwrap_or(content);
        let end = line.start + content.len();
        let is_first = line.contains(&span.start) || span.start >= end;
        let center = if is_first {
            span.start.min(end)
        } else {
            line.start
        };
        let cut = Range {
            start: boundary(all, center.saturating_sub(AROUND).max(line.start)),
            end: boundary(all, (center + AROUND).min(end)),
        };
        if cut.start > line.start {
            self.text.push_str("...");
        }
        let mut next = secrets.partition_point(|secret| secret.end <= cut.start);
        let part = all.get(cut.clone()).unwrap_or_default();
        for (offset, character) in part.char_indices() {
            let at = cut.start + offset;
            self.note(at, span);
            while secrets.get(next).is_some_and(|secret| secret.end <= at) {
                next += 1;
            }
            let is_secret = secrets.get(next).is_some_and(|secret| secret.contains(&at));
            match character {
                '\u{feff}' => {}
                _ if is_secret && !character.is_whitespace() => self.text.push('*'),
                '\t' => self.text.push('\t'),
                _ => push_visible(&mut self.text, character),
            }
        }
        self.note(cut.end, span);
        if cut.end < end {
            self.text.push_str("...");
        }
        if line.end > end {
            self.text.push('\n');
        }
    }

    /// Notes that the byte of the file at the offset `at` is the next one to be appended to `text`.
    fn note(&mut self, at: usize, span: &Range<usize>) {
        if at >= span.start && self.start.is_none() {
            self.start = Some(self.text.len());
        }
        if at >= span.end && self.end.is_none() {
            self.end = Some(self.text.len());
        }
    }

    /// Returns the range that `span`, a range of the file, has in `text`.
    fn place(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.start.unwrap_or(self.text.len());
        let is_empty = span.is_empty();
        let end = self.end.filter(|_| !is_empty);
        start..end.unwrap_or(if is_empty { start } else { self.text.len() })
    }
}

/// Returns the offset of the first byte of the character that contains the byte at `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn excerpt(text: &str, span: Range<usize>) -> String {
        let mut shown = String::new();
        let source = Source::new("t.toml", text, Path::new(""));
        Excerpts::default().push(&mut shown, &source, &span);
        shown
    }

    /// Makes an excerpt for `BAD`, which is in the first line of `text`. Returns the line that is shown, and
    /// the part of this line that has carets under it.
    fn marked(text: &str) -> (String, String) {
        let start = text.find("BAD").unwrap();
        let shown = excerpt(text, start..start + 3);
        let line = shown.lines().find(|line| line.starts_with("1 | ")).unwrap();
        let carets = shown.lines().find(|line| line.contains('^')).unwrap();
        let part = line.chars().zip(carets.chars());
        let part = part.filter(|(_, caret)| *caret == '^');
        (line.to_owned(), part.map(|(one, _)| one).collect())
    }

    #[test]
    fn a_long_line_is_cut_around_the_position() {
        for before in [0, 1, 99, 100, 101, 5000] {
            for after in [0, 1, 99, 5000] {
                let text = format!("{}BAD{}", "\u{e9}".repeat(before), "\u{e9}".repeat(after));
                let (line, part) = marked(&text);
                assert_eq!(part, "BAD", "{before} {after} {line}");
                assert!(line.chars().count() < 220, "{line}");
                assert_eq!(line.contains("| ..."), before > 50, "{line}");
                assert_eq!(line.ends_with("..."), after > 48, "{line}");
            }
        }
        let long = format!("a = \"{}\"", "x".repeat(10_000_000));
        assert!(excerpt(&long, 4..long.len()).len() < 600);
        assert!(excerpt(&"a\n".repeat(5000), 0..10_000).len() < 600);
    }

    #[test]
    fn the_caret_is_right_after_characters_that_are_escaped_or_masked() {
        let (line, part) = marked("n = \"\u{1b}[2J\u{202e}\" BAD\r\n");
        assert_eq!(part, "BAD", "{line}");
        assert!(line.contains(r#""\u{1b}[2J\u{202e}" BAD"#), "{line}");
        let (line, part) = marked("\u{feff}BAD");
        assert_eq!((line.as_str(), part.as_str()), ("1 | BAD", "BAD"));
        let (line, part) = marked("t = { token = 'g\u{e9}', b = BAD }");
        assert_eq!(part, "BAD", "{line}");
        assert!(line.contains("token = ****, b"), "{line}");
    }
}
