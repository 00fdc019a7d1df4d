//! The policies of a route. Each policy has an optional table.

pub mod cors;
pub mod guard;
pub mod headers;
pub mod https;
pub mod ip;
pub mod preview;
pub mod referer;
pub mod website;

use serde::Serialize;

use crate::config::reader::Reader;

pub use crate::config::located::Located;
pub use cors::{Cors, CorsRule, PrivateNetwork};
pub use guard::{Guard, Preset};
pub use headers::{HeaderRule, RuleKey};
pub use https::{Hsts, Https, HttpsMode};
pub use ip::Ip;
pub use preview::Preview;
pub use referer::{Referer, RefererMode};
pub use website::{Subdirectories, Website};

/// The policies of one route. An absent policy does nothing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Policies {
    /// `[[route.headers]]`. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderRule>,
    /// `[route.ip]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
    /// `[route.https]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<Https>,
    /// `[route.cors]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// `[route.guard]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// `[route.referer]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<Referer>,
    /// `[route.website]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<Website>,
    /// `[route.preview]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

impl Policies {
    /// Reads the policies of a `[[route]]`.
    pub(crate) fn read(route: &Reader<'_>) -> Self {
        let cors = present(route, "cors", Cors::read);
        Self {
            headers: HeaderRule::read_all(route, cors.as_ref()),
            ip: present(route, "ip", Ip::read),
            https: present(route, "https", Https::read),
            cors,
            guard: present(route, "guard", Guard::read),
            referer: present(route, "referer", Referer::read),
            website: present(route, "website", Website::read),
            preview: present(route, "preview", Preview::read),
        }
    }
}

fn present<T>(route: &Reader<'_>, key: &str, read: impl Fn(&Reader<'_>) -> T) -> Option<T> {
    if !route.has(key) {
        return None;
    }
    let table = route.table(key);
    table.exists().then(|| read(&table))
}
