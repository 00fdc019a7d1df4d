//! Formats values of a config as TOML text.

/// Returns `text` as a TOML string. `${` is escaped, so that the config loader does not replace it by a
/// variable.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.replace("${", "$${")).to_string()
}

/// Returns `texts` as a TOML list of strings.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}
