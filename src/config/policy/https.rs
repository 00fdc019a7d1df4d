//! `[route.https]`: what becomes of requests that come without TLS.

use std::time::Duration;

use serde::Serialize;

use crate::config::reader::Reader;
use crate::config::value::serialize_duration;

/// What a request without TLS gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpsMode {
    /// The same address with `https`: 301 for GET and HEAD, 308 for the rest.
    Redirect,
    /// 403.
    Require,
    /// What it asks for.
    Off,
}

/// `[route.https]`.
#[derive(Clone, Debug, Serialize)]
pub struct Https {
    /// Default `redirect`.
    pub mode: HttpsMode,
    /// Port of the address redirected to. Default 443, which is not written.
    pub port: usize,
    /// Absent: no `Strict-Transport-Security`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
}

/// `Strict-Transport-Security` (RFC 6797), sent on every answer over TLS.
#[derive(Clone, Debug, Serialize)]
pub struct Hsts {
    /// How long browsers remember. Default 365 d; 0 makes them forget.
    #[serde(serialize_with = "serialize_duration")]
    pub max_age: Duration,
    /// Whether it is for all names below the host, too. Default false.
    pub include_subdomains: bool,
    /// Whether the host may go into the lists browsers ship. Default false.
    pub preload: bool,
}

impl Https {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let modes = [
            ("redirect", HttpsMode::Redirect),
            ("require", HttpsMode::Require),
            ("off", HttpsMode::Off),
        ];
        let hsts = reader.has("hsts").then(|| {
            let hsts = reader.table("hsts");
            let year = Duration::from_secs(365 * 86_400);
            let read = Hsts {
                max_age: hsts.duration("max_age", year, Duration::ZERO),
                include_subdomains: hsts.flag("include_subdomains").unwrap_or(false),
                preload: hsts.flag("preload").unwrap_or(false),
            };
            if read.preload && (read.max_age < year || !read.include_subdomains) {
                let message =
                    "is ignored by browsers without `max_age` of a year and `include_subdomains`";
                hsts.warn("preload", message, None);
            }
            read
        });
        Self {
            mode: reader.word("mode", &modes).unwrap_or(HttpsMode::Redirect),
            port: reader.count("port", 443, 1..=65_535),
            hsts,
        }
    }
}
