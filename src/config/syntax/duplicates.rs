//! Describes keys and tables that are written twice, or in two forms that exclude each other, such as inline
//! and with a header.

use std::collections::{HashMap, HashSet};

/// An index of the lines of a text, by the key or the table header with which each line begins.
pub(super) struct Duplicates<'t> {
    lines: Vec<&'t str>,
    /// The numbers of the lines with each table header or key, from 1. The first part of the map key is the
    /// line of the header above a key. This part is 0 for a header, and for a key before the first header.
    places: HashMap<(usize, &'t str), Vec<usize>>,
    /// The line of the header above each line; 0 before the first header.
    headers: Vec<usize>,
    /// The line of the first header below each top-level name: `[route.guard]` is below `route`.
    below: HashMap<&'t str, usize>,
    /// The line of the header that was described last as a duplicate.
    second: Option<usize>,
    /// The lines that were reported because they add to an inline table, and the lines of headers that were
    /// described because they stand before the table that they belong to.
    described: HashSet<usize>,
}

/// Returns the header of a table in `line`, without the comment after it; `None` if `line` is not a header.
fn header_of(line: &str) -> Option<&str> {
    let end = if line.starts_with("[[") { "]]" } else { "]" };
    let length = line.find(end).map_or(line.len(), |at| at + end.len());
    line.starts_with('[').then(|| line.get(..length))?
}

/// Returns the path in the header of a table; `None` if `line` is not a header.
fn path_of(line: &str) -> Option<&str> {
    let is_bracket = |sign| matches!(sign, '[' | ']');
    Some(header_of(line)?.trim_matches(is_bracket).trim())
}

impl<'t> Duplicates<'t> {
    /// Reads the lines of `text`.
    pub(super) fn new(text: &'t str) -> Self {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let mut places: HashMap<(usize, &str), Vec<usize>> = HashMap::new();
        let mut headers = Vec::with_capacity(lines.len());
        let mut below = HashMap::new();
        let mut header = 0;
        for (index, line) in lines.iter().enumerate() {
            let number = index + 1;
            if let Some((table, path)) = header_of(line).zip(path_of(line)) {
                header = number;
                places.entry((0, table)).or_default().push(number);
                if let Some((name, _)) = path.split_once('.') {
                    below.entry(name).or_insert(number);
                }
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
            below,
            second: None,
            described: HashSet::new(),
        }
    }

    /// Returns line `number`. If the line is a header, it is returned without the comment after the header.
    fn line(&self, number: usize) -> &'t str {
        let line = self.lines.get(number.wrapping_sub(1)).copied();
        let line = line.unwrap_or_default();
        header_of(line).unwrap_or(line)
    }

    fn header(&self, number: usize) -> usize {
        let header = self.headers.get(number.wrapping_sub(1)).copied();
        header.unwrap_or_default()
    }

    /// Returns the last line before line `number` that begins with `start`, a key or a header. `header` is
    /// the line of the header above a key. It is 0 if `start` is a header, or a key before the first header.
    fn before(&self, header: usize, start: &str, number: usize) -> Option<usize> {
        let places = self.places.get(&(header, start))?;
        let count = places.partition_point(|place| *place < number);
        places.get(count.checked_sub(1)?).copied()
    }

    /// Returns the last line before line `number` that is the header of the table at `path`. Returns 0 for
    /// the empty path, which stands for the top of the file.
    fn table_before(&self, path: &str, number: usize) -> Option<usize> {
        if path.is_empty() {
            return Some(0);
        }
        let of_list = self.before(0, &format!("[[{path}]]"), number);
        of_list.max(self.before(0, &format!("[{path}]"), number))
    }

    /// Returns the message and the hint for `key`, which is written in line `number` and in an earlier line.
    /// Returns `None` if the key is below a header that was itself described as a duplicate.
    pub(super) fn describe(&mut self, number: usize, key: &str) -> Option<(String, String)> {
        let (line, header) = (self.line(number), self.header(number));
        if let Some(path) = path_of(line) {
            self.second = Some(number);
            return self.second_header(number, line, path, key);
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

    fn second_header(
        &mut self,
        number: usize,
        line: &str,
        path: &str,
        key: &str,
    ) -> Option<(String, String)> {
        let early = self.below.get(path).copied().filter(|it| *it < number);
        if let Some(first) = early.filter(|first| self.table_before(path, *first).is_none()) {
            // Each further table of the list has the same problem, so only the first one is described.
            return self.described.insert(first).then(|| {
                let early = self.line(first);
                (
                    format!(
                        "`{early}` in line {first} stands before the `{line}` that it belongs to"
                    ),
                    format!("move `{early}` and its keys below a `{line}`"),
                )
            });
        }
        if let Some(first) = self.before(0, line, number) {
            return Some((
                format!("the table `{line}` is already in line {first}"),
                "put all keys of the table below one header".to_owned(),
            ));
        }
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let table = self.table_before(parent, number);
        let place = match table.and_then(|table| self.before(table, key, number)) {
            Some(first) => format!("in line {first}"),
            None => "a key of the table above".to_owned(),
        };
        Some((
            format!("`{key}` is already {place}"),
            "write the table either inline or with a header".to_owned(),
        ))
    }

    /// Notes that line `number` adds to an inline table. Returns whether the line was not noted before: the
    /// parser reports a header where the header begins, and again where its table ends.
    pub(super) fn is_new(&mut self, number: usize) -> bool {
        self.described.insert(number)
    }

    /// Returns the message and the hint for line `number`, which adds to the table `key` that an earlier line
    /// has inline. Returns `None` if `key` and a name inside it are not found in the line.
    pub(super) fn extension(&self, number: usize, key: &str) -> Option<(String, String)> {
        let line = self.line(number);
        let of_header = path_of(line);
        let written = of_header.unwrap_or_else(|| line.split('=').next().unwrap_or_default());
        let names: Vec<&str> = written.split('.').map(str::trim).collect();
        let place = names.iter().position(|name| *name == key)?;
        let next = names.get(place + 1)?;
        let is_last = names.len() == place + 2;
        let (table, above) = match of_header {
            Some(_) => {
                let parent = names.get(..place)?.join(".");
                (self.table_before(&parent, number), "")
            }
            None => {
                let table = self.header(number);
                (Some(table), path_of(self.line(table)).unwrap_or_default())
            }
        };
        let first = table.and_then(|table| self.before(table, key, number));
        let message = match first {
            Some(first) => format!("`{key}` is written inline in line {first}"),
            None => format!("`{key}` is written inline above"),
        };
        let value = match of_header {
            Some(_) if is_last && line.starts_with("[[") => "[{ ... }]",
            None if is_last => "...",
            Some(_) | None => "{ ... }",
        };
        let mut whole = names.get(..=place)?.join(".");
        if !above.is_empty() {
            whole = format!("{above}.{whole}");
        }
        let value_of_first = first.and_then(|first| self.line(first).split_once('='));
        let header = match value_of_first {
            Some((_, list)) if list.trim_start().starts_with('[') => format!("[[{whole}]]"),
            Some(_) | None => format!("[{whole}]"),
        };
        let hint = format!("add `{next} = {value}` inside it, or write the table as `{header}`");
        Some((message, hint))
    }
}
