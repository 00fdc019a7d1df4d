//! Values of a config as TOML text.

/// Returns a TOML string that stands for `text` literally: `${` in it is escaped, so nothing is filled in.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.replace("${", "$${")).to_string()
}

/// Returns a TOML list of strings.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}
