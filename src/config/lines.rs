//! The lines of a text, found by byte offset.

/// The positions of the lines of a text. Reading a large config needs the line numbers of ten thousand
/// offsets. If the line breaks before each offset were counted, the time would be quadratic in the file size.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The offset of the first byte of each line; never empty.
    starts: Vec<usize>,
    /// The length of the text.
    len: usize,
}

impl Lines {
    /// Finds the lines of `text`.
    pub(crate) fn new(text: &str) -> Self {
        let after = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
        Self {
            starts: std::iter::once(0).chain(after).collect(),
            len: text.len(),
        }
    }

    /// Returns the number of the line that contains the byte at `offset`; the first line is 1. An offset
    /// after the end is in the last line.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// Returns the offset of the first byte of `line`; the first line is 1. For a line after the last
    /// one, returns the length of the text.
    pub(crate) fn start(&self, line: usize) -> usize {
        let index = line.saturating_sub(1);
        self.starts.get(index).copied().unwrap_or(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_any_text() {
        for (text, offset, line, start) in [
            ("", 0, 1, 0),
            ("a", 0, 1, 0),
            ("a\n", 1, 1, 0),
            ("a\n", 2, 2, 2),
            ("a\nbc\n\nd", 3, 2, 2),
            ("a\nbc\n\nd", 5, 3, 5),
            ("a\nbc\n\nd", 6, 4, 6),
            ("a\nbc\n\nd", 99, 4, 6),
        ] {
            let lines = Lines::new(text);
            assert_eq!(lines.line(offset), line, "{text:?} {offset}");
            assert_eq!(lines.start(line), start, "{text:?} {offset}");
        }
        assert_eq!(Lines::new("a\nb").start(3), 3, "after the last line");
    }
}
