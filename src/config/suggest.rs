//! Hints of the form "did you mean": the known word that is most similar to a written word.
//!
//! Callers pass the text as written in the file, never an interpolated text.

/// Returns "did you mean" with the most similar word. If no word is similar, returns the list of all words,
/// or `None` if there are more than 16.
pub(crate) fn hint_for(name: &str, known: &[&str]) -> Option<String> {
    nearest(name, known)
        .or_else(|| (known.len() <= 16).then(|| format!("possible here: {}", quoted(known))))
}

/// Returns "did you mean" with the most similar word; `None` when no word is similar.
pub(crate) fn nearest(name: &str, known: &[&str]) -> Option<String> {
    let score = |candidate: &&str| strsim::jaro_winkler(name, candidate);
    known
        .iter()
        .map(|candidate| (score(candidate), candidate))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        // The threshold accepts a swapped, missing or wrong letter, and rejects an unrelated word.
        .filter(|(score, _)| *score > 0.75)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// Returns the words, each in backticks, separated by commas.
pub(crate) fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
