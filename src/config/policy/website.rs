//! `[route.website]`: index and error documents.

use serde::Serialize;

use crate::config::reader::{Reader, Text};
use crate::config::value::check_encoded;

/// Which directories have an index document, and the response for the path of a directory without its final
/// `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subdirectories {
    /// Only the root has an index document. A request for any path that ends in `/` gets the index document
    /// of the root.
    Off,
    /// Each directory has an index document. The path of a directory without its final `/` gets a 302
    /// response that adds the `/`.
    Redirect,
    /// Each directory has an index document. The path of a directory without its final `/` gets the response
    /// for a missing object.
    NotFound,
    /// Each directory has an index document. The path of a directory without its final `/` gets the index
    /// document.
    Index,
}

/// `[route.website]`.
#[derive(Clone, Debug, Serialize)]
pub struct Website {
    /// The name of the index document, percent-encoded, without `/`. Default `index.html`.
    pub index: String,
    /// The directories that have an index document. Default `off`.
    pub subdirectories: Subdirectories,
    /// The key of the error document, percent-encoded. The error document is sent when an object is missing.
    /// `None` means that the 404 response of OSS is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The status of the error document: 404 (the default), or 200 for single-page apps.
    pub error_status: usize,
}

impl Website {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let words = [
            ("off", Subdirectories::Off),
            ("redirect", Subdirectories::Redirect),
            ("not-found", Subdirectories::NotFound),
            ("index", Subdirectories::Index),
        ];
        let index = reader.text("index");
        if let Some(text) = &index {
            if text.value.is_empty() || text.value.contains('/') {
                let reason = "is not a name: it is put behind every path that ends in `/`";
                reader.error_at("index", text, reason, None);
            }
            check(reader, "index", text);
        }
        let error = reader.text("error");
        if let Some(text) = &error {
            if text.value.is_empty() || text.value.starts_with('/') {
                reader.error_at(
                    "error",
                    text,
                    "is not a key; a key does not begin with `/`",
                    None,
                );
            }
            check(reader, "error", text);
        }
        let error_status = reader.count("error_status", 404, 200..=404);
        if error_status != 404 && error_status != 200 {
            reader.error("error_status", "must be 404 or 200", None);
        }
        if error.is_none() && reader.has("error_status") {
            reader.error("error_status", "needs `error`", None);
        }
        Self {
            index: index.map_or_else(|| "index.html".to_owned(), |text| text.value),
            subdirectories: reader
                .word("subdirectories", &words)
                .unwrap_or(Subdirectories::Off),
            error: error.map(|text| text.value),
            error_status,
        }
    }
}

fn check(reader: &Reader<'_>, key: &str, text: &Text) {
    if let Err(reason) = check_encoded(&text.value) {
        reader.error_at(key, text, reason, None);
    }
}
