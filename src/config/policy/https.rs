//! `[route.https]`: the response to requests without TLS, and `Strict-Transport-Security`.

use std::time::Duration;

use serde::Serialize;

use crate::config::reader::Reader;
use crate::config::value::serialize_duration;

/// The response to a request without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpsMode {
    /// A redirect to the same URL with `https`: 301 for GET and HEAD, 308 for other methods. A request that
    /// is signed or has a body gets a 403 response instead. Its client might not follow the redirect, or
    /// would not send the body again.
    Redirect,
    /// A 403 response.
    Require,
    /// The same response as over TLS.
    Off,
}

/// `[route.https]`.
#[derive(Clone, Debug, Serialize)]
pub struct Https {
    /// The response to a request without TLS. Default `redirect`.
    pub mode: HttpsMode,
    /// The line of `mode` in the config file, from 1; the line of the table if the key is absent.
    #[serde(skip)]
    pub line: usize,
    /// The port of the redirect URL, from 1 to 65535. Default 443, which is omitted from the URL.
    pub port: usize,
    /// The settings of `Strict-Transport-Security`. `None` means that the field is not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
}

/// `[route.https.hsts]`: `Strict-Transport-Security` (RFC 6797), sent with every response over TLS.
#[derive(Clone, Debug, Serialize)]
pub struct Hsts {
    /// How long browsers use only HTTPS for the host. Default 365 d. With 0, browsers forget the host.
    #[serde(serialize_with = "serialize_duration")]
    pub max_age: Duration,
    /// Whether the field also applies to all names below the host. Default false.
    pub include_subdomains: bool,
    /// Whether the host may be added to the preload lists of browsers. Default false.
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
            line: reader.line_of("mode"),
            port: reader.count("port", 443, 1..=65_535),
            hsts,
        }
    }
}
