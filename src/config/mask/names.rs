//! Names of keys that suggest a secret.

use std::borrow::Cow;

/// Whether the name of a key suggests that its value is a secret. The name may be a key path, and it may have
/// escapes such as `\u006b`.
pub(crate) fn suggests_secret(key: &str) -> bool {
    const PARTS: [&str; 7] = [
        "tok",
        "secret",
        "passw",
        "credential",
        "authorization",
        "cookie",
        "signature",
    ];
    let lower = decoded(key).to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part))
        || lower.contains("access_key")
        || lower
            .split(|character: char| !character.is_alphanumeric())
            .any(|word| {
                matches!(word, "sk" | "auth") || word.ends_with("key") || word.ends_with("keys")
            })
}

/// Returns `key` with the characters for which its escapes stand.
pub(super) fn decoded(key: &str) -> Cow<'_, str> {
    if !key.contains('\\') {
        return Cow::Borrowed(key);
    }
    let mut result = String::with_capacity(key.len());
    let mut rest = key;
    while let Some((before, after)) = rest.split_once('\\') {
        result.push_str(before);
        let digits = match after.as_bytes().first() {
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => 0,
        };
        let code = after.get(1..=digits).filter(|code| !code.is_empty());
        let character = code
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .and_then(char::from_u32);
        rest = match character {
            Some(character) => {
                result.push(character);
                after.get(digits + 1..).unwrap_or_default()
            }
            None => after,
        };
    }
    result.push_str(rest);
    Cow::Owned(result)
}
