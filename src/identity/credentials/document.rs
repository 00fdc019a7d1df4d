//! The JSON document with a temporary access key that the metadata service of ECS returns. A file of the source
//! `file` contains the same document.

use serde::Deserialize;

use super::fetched::{FetchError, Fetched, access_key};
use crate::oss::signature::read_rfc3339;

/// The fields of the document. Unknown fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    security_token: Option<String>,
    expiration: Option<String>,
    code: Option<String>,
}

/// Parses a document. A permanent key has neither `SecurityToken` nor `Expiration`.
///
/// # Errors
///
/// [`FetchError::Json`], [`FetchError::NotSuccess`], [`FetchError::Missing`], [`FetchError::Invalid`].
pub(super) fn parse(text: &[u8]) -> Result<Fetched, FetchError> {
    // The message of serde may contain a value of the document, so only the position of the error is kept.
    let found: Document = serde_json::from_slice(text)
        .map_err(|error| FetchError::Json(error.line(), error.column()))?;
    let has_token = found.security_token.is_some();
    let key = access_key(
        ["AccessKeyId", "AccessKeySecret", "SecurityToken"],
        found.access_key_id,
        found.access_key_secret,
        found.security_token,
    );
    if found.code.is_some_and(|code| code != "Success") {
        return Err(FetchError::NotSuccess);
    }
    let key = key?;
    if has_token && key.security_token.is_none() {
        return Err(FetchError::Missing("SecurityToken"));
    }
    let expires = match found.expiration {
        None => None,
        Some(text) => Some(read_rfc3339(&text).ok_or(FetchError::Invalid("Expiration"))?),
    };
    Ok(Fetched { key, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Result<(String, bool, Option<u64>), String> {
        let found = parse(text.as_bytes()).map_err(|error| error.to_string())?;
        Ok((
            found.key.id,
            found.key.security_token.is_some(),
            found.expires,
        ))
    }

    #[test]
    fn a_document_is_used_only_if_it_is_complete() {
        let whole = r#"{"AccessKeyId":"i","AccessKeySecret":"s","SecurityToken":"t","Expiration":"2025-01-02T03:04:05Z","LastUpdated":"2025-01-02T00:00:00Z","Code":"Success"}"#;
        let good = |expires| Ok(("i".to_owned(), true, expires));
        let time = Some(1_735_787_045);
        let bad = |why: &str| Err(why.to_owned());
        for (from, to, expected) in [
            ("", "", good(time)),
            ("\"i\"", "\"i\",\"New\":{\"a\":[1]}", good(time)),
            ("05Z\",\"L", "05.25Z\",\"L", good(time)),
            (",\"Code\":\"Success\"", "", good(time)),
            ("\"Expiration\":\"2025-01-02T03:04:05Z\",", "", good(None)),
            ("Success", "Failed", bad("`Code` is not `Success`")),
            ("Success", "success", bad("`Code` is not `Success`")),
            ("\"i\"", "\"\"", bad("`AccessKeyId` is missing or empty")),
            (
                "\"i\"",
                "\"a/b\"",
                bad("`AccessKeyId` has an invalid value"),
            ),
            (
                "\"AccessKeyId\":\"i\",",
                "",
                bad("`AccessKeyId` is missing or empty"),
            ),
            (
                "\"s\"",
                "\"\"",
                bad("`AccessKeySecret` is missing or empty"),
            ),
            (
                "\"s\"",
                "null",
                bad("`AccessKeySecret` is missing or empty"),
            ),
            ("\"t\"", "\"\"", bad("`SecurityToken` is missing or empty")),
            (
                "\"t\"",
                "\"a\\nb\"",
                bad("`SecurityToken` has an invalid value"),
            ),
            (
                "05Z\",\"L",
                "05\",\"L",
                bad("`Expiration` has an invalid value"),
            ),
            (
                "\"s\"",
                "4711",
                bad("the text is not JSON of the expected form (line 1, column 41)"),
            ),
            (
                "{",
                "[",
                bad("the text is not JSON of the expected form (line 1, column 15)"),
            ),
        ] {
            assert_eq!(
                outcome(&whole.replacen(from, to, 1)),
                expected,
                "{from} {to}"
            );
        }
        assert!(outcome(r#"{"AccessKeyId":"i","AccessKeySecret":"s"}"#).is_ok());
    }
}
