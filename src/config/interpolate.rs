//! Strings of the config: what is filled into them, and what was probably meant.

use std::collections::HashMap;
use std::path::Path;

use crate::config::reader::Env;

/// "did you mean", or the list of what is possible.
pub(crate) fn hint_for(name: &str, known: &[&str]) -> Option<String> {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .max_by(|left, right| left.0.total_cmp(&right.0))?;
    if nearest.0 > 0.75 {
        Some(format!("did you mean `{}`?", nearest.1))
    } else if known.len() <= 16 {
        Some(format!("possible here: {}", quoted(known)))
    } else {
        None
    }
}

/// The names in backticks, joined by commas.
pub(crate) fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Fills `${NAME}`, `${NAME:-default}` and `${file:/path}` in.
pub(crate) fn interpolate(text: &str, env: Env<'_>, base: &Path) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    // A file may be named more than once.
    let mut files: HashMap<&str, String> = HashMap::new();
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        let (inside, after) = after.split_once('}').ok_or(
            "`${` without its `}`; only ${NAME}, ${NAME:-default} and ${file:/path} are filled in",
        )?;
        rest = after;
        if let Some(path) = inside.strip_prefix("file:") {
            if !files.contains_key(path) {
                let content = std::fs::read_to_string(base.join(path))
                    .map_err(|error| format!("cannot read `{path}`: {error}"))?;
                files.insert(path, content.trim_end_matches(['\r', '\n']).to_owned());
            }
            result.push_str(files.get(path).map_or("", String::as_str));
        } else {
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            match env(name).or_else(|| default.map(str::to_owned)) {
                Some(value) => result.push_str(&value),
                None => return Err(format!("environment variable `{name}` is not set")),
            }
        }
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_filled_in_from_the_environment() {
        let env = |name: &str| (name == "A").then(|| "x\"y".to_owned());
        let base = Path::new("/");
        assert_eq!(interpolate("a${A}b", &env, base).unwrap(), "ax\"yb");
        assert_eq!(interpolate("${B:-d}", &env, base).unwrap(), "d");
        assert_eq!(interpolate("plain $A", &env, base).unwrap(), "plain $A");
        assert!(
            interpolate("${B}", &env, base)
                .unwrap_err()
                .contains("`B` is not set")
        );
        assert!(interpolate("${A", &env, base).is_err());
        assert!(
            interpolate("${file:/nonexistent}", &env, base)
                .unwrap_err()
                .contains("cannot read")
        );
    }
}
