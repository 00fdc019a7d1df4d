//! The settings of a website, and the first lookup for a request.

use std::borrow::Cow;

use http::{HeaderMap, Method};

use crate::config::policy::{self as config, Subdirectories};
use crate::oss::addressing::{Layout, Parts, split_query};
use crate::oss::website::{Indexes, ends_in_slash, index_of, is_for_website};

/// The compiled settings.
#[derive(Debug)]
pub struct Website {
    /// The name of the index document, percent-encoded.
    pub(super) index: String,
    pub(super) directories: Subdirectories,
    /// The key of the error document, percent-encoded.
    pub(super) error: Option<String>,
    /// Whether the error document is sent with status 200.
    pub(super) hides_errors: bool,
    pub(super) layout: Layout,
}

/// The first lookup for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstLookup<'t> {
    /// The request is not for the website and passes unchanged.
    NotAPage,
    /// The target to request first. It is borrowed when it equals the target of the client's request. Further
    /// lookups depend on the response.
    Page(Cow<'t, str>),
}

impl Website {
    /// Compiles the settings.
    #[must_use]
    pub fn new(config: &config::Website, layout: Layout) -> Self {
        Self {
            index: config.index.clone(),
            directories: config.subdirectories,
            error: config.error.clone(),
            hides_errors: config.error_status == 200,
            layout,
        }
    }

    /// Returns the first lookup for a request. `host` is called only if the host can name the bucket.
    pub fn decide<'t>(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: impl FnOnce() -> &'t str,
        target: &'t str,
    ) -> FirstLookup<'t> {
        let (_, query) = split_query(target);
        if !is_for_website(method, headers, query) {
            return FirstLookup::NotAPage;
        }
        let Some(page) = Page::find(&self.layout, host, target) else {
            return FirstLookup::NotAPage;
        };
        let indexes = if self.directories == Subdirectories::Off {
            Indexes::RootOnly
        } else {
            Indexes::EachDirectory
        };
        match index_of(page.key, &self.index, indexes) {
            Some(index) => FirstLookup::Page(Cow::Owned(page.with_key(&index))),
            None => FirstLookup::Page(Cow::Borrowed(target)),
        }
    }
}

/// The three parts of a target: the text before the key, the key, and the query with its `?`.
pub(super) struct Page<'t> {
    front: &'t str,
    pub(super) key: &'t str,
    query: &'t str,
}

impl<'t> Page<'t> {
    pub(super) fn find(
        layout: &Layout,
        host: impl FnOnce() -> &'t str,
        target: &'t str,
    ) -> Option<Self> {
        let Parts {
            front, key, query, ..
        } = layout.split(host, target)?;
        Some(Self { front, key, query })
    }

    pub(super) fn with_key(&self, key: &str) -> String {
        // A path-style target may have no slash after the bucket.
        let slash = if ends_in_slash(self.front) { "" } else { "/" };
        format!("{}{slash}{key}{}", self.front, self.query)
    }
}
