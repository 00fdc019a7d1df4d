//! Keys and tables that are written twice.

use std::collections::HashMap;

/// The lines of a text by the key or the table header that they begin with.
pub(super) struct Duplicates<'t> {
    lines: Vec<&'t str>,
    /// The lines of each header, and the lines of each key below the header in this line. The first line is 1.
    places: HashMap<(usize, &'t str), Vec<usize>>,
    /// The line of the header above each line; 0 before the first header.
    headers: Vec<usize>,
    /// The header that was described last as a duplicate.
    second: Option<usize>,
}

impl<'t> Duplicates<'t> {
    /// Reads the lines of `text`.
    pub(super) fn new(text: &'t str) -> Self {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let mut places: HashMap<(usize, &str), Vec<usize>> = HashMap::new();
        let mut headers = Vec::with_capacity(lines.len());
        let mut header = 0;
        for (index, line) in lines.iter().enumerate() {
            let number = index + 1;
            if line.starts_with('[') {
                header = number;
                places.entry((0, *line)).or_default().push(number);
            } else if let Some((key, _)) = line.split_once('=') {
                let places = places.entry((header, key.trim())).or_default();
                places.push(number);
            }
            headers.push(header);
        }
        Self {
            lines,
            places,
            headers,
            second: None,
        }
    }

    /// Returns the last line before `number` that begins with `start` below `header`.
    fn before(&self, header: usize, start: &str, number: usize) -> Option<usize> {
        let places = self.places.get(&(header, start))?;
        let count = places.partition_point(|place| *place < number);
        places.get(count.checked_sub(1)?).copied()
    }

    /// Returns the message and the hint for `key`, which is written in line `number` and before. Returns `None`
    /// if the key is below a header that was described before.
    pub(super) fn describe(&mut self, number: usize, key: &str) -> Option<(String, String)> {
        let line = self.lines.get(number.wrapping_sub(1)).copied();
        let line = line.unwrap_or_default();
        let header = self.headers.get(number.wrapping_sub(1)).copied();
        let header = header.unwrap_or_default();
        if line.starts_with('[') {
            self.second = Some(number);
            return Some(match self.before(0, line, number) {
                Some(first) => (
                    format!("the table `{line}` is already in line {first}"),
                    "put all keys of the table below one header".to_owned(),
                ),
                None => (
                    format!("`{key}` is already a key of the table above"),
                    "write the table either inline or with a header".to_owned(),
                ),
            });
        }
        if self.second == Some(header) {
            return None;
        }
        Some(match self.before(header, key, number) {
            Some(first) => (
                format!("`{key}` is already in line {first}"),
                "keep one of the two lines".to_owned(),
            ),
            None => (
                format!("`{key}` is written twice"),
                "keep one of the two".to_owned(),
            ),
        })
    }
}
