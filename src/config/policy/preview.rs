//! `[route.preview]`: whether browsers show objects instead of downloading them. OSS forces downloads on its
//! default domains.

use serde::Serialize;

use crate::config::reader::Reader;

/// `[route.preview]`.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// Whether `x-oss-force-download` and the `Content-Disposition` that OSS sends with it are removed.
    /// Default false. Removing them bypasses a policy of OSS's default domains; the operator is responsible
    /// for the content.
    pub strip_force_download: bool,
}

impl Preview {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let strip_force_download = reader.flag("strip_force_download").unwrap_or(false);
        if strip_force_download {
            let message =
                "works round a policy of OSS's default domains; you answer for what is shown";
            let hint = "the way that OSS supports: bind a domain to the bucket and set `origin.host` to it";
            reader.warn("strip_force_download", message, Some(hint));
        }
        Self {
            strip_force_download,
        }
    }
}
