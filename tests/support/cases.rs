//! Tables of cases in `tests/data`.

/// Returns the cells of a table of cases, row by row, without its head.
pub(crate) fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .map(|line| line.split('\t').collect())
        .collect()
}

/// Returns a TOML list of strings.
pub(crate) fn list(texts: &[String]) -> String {
    toml::Value::try_from(texts).unwrap().to_string()
}
