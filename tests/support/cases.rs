//! The tables of cases in `tests/data`.

/// Returns the cells of a table row by row, without the header row.
pub(crate) fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .map(|line| line.split('\t').collect())
        .collect()
}

/// Formats `texts` as a TOML list.
pub(crate) fn list(texts: &[String]) -> String {
    toml::Value::try_from(texts).unwrap().to_string()
}
