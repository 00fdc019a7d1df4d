//! "Did you mean": the nearest of the words that are possible.
//!
//! Only what stands in the file is compared, never what was filled in.

/// "did you mean", or the list of what is possible where it is short.
pub(crate) fn hint_for(name: &str, known: &[&str]) -> Option<String> {
    nearest(name, known)
        .or_else(|| (known.len() <= 16).then(|| format!("possible here: {}", quoted(known))))
}

/// "did you mean".
pub(crate) fn nearest(name: &str, known: &[&str]) -> Option<String> {
    let score = |candidate: &&str| strsim::jaro_winkler(name, candidate);
    known
        .iter()
        .map(|candidate| (score(candidate), candidate))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(score, _)| *score > 0.75)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// The words, each in backticks.
pub(crate) fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
