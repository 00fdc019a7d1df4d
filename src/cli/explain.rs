//! `ossgate explain`: shows the response to one request and the rule that decides it. Nothing is sent.

use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::InvalidUri;
use http::{Method, Request, Uri};

use crate::app::state::unix_now;
use crate::cli::exit_code::{BAD_CONFIG, REFUSED, USAGE};
use crate::cli::tls_step;
use crate::config::{self, Env, NamedFiles};
use crate::identity::credentials;
use crate::listener::tls;
use crate::origin::endpoint::dns;
use crate::origin::tiers::registry::Registry;
use crate::policy::referer::Reports;
use crate::route::build;
use crate::route::explain::{End, Explanation, RequestToExplain, explain};

/// The arguments that describe the request.
#[derive(Clone, Copy, Debug)]
pub struct RequestArguments<'a> {
    /// The URL, with `http://` or `https://`; `None` if it is missing.
    pub url: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The header fields, each as `Name: value`.
    pub headers: &'a [String],
    /// What happens with the files that the config names.
    pub named_files: NamedFiles,
    /// The address of the client, behind all trusted proxies; `None` leaves out the decisions about it.
    pub client: Option<IpAddr>,
}

/// The reason why the arguments do not describe a request.
#[derive(Debug)]
enum InvalidArgument {
    /// There is a config file, but no URL.
    NoUrl(PathBuf),
    /// The URL has a scheme of another protocol.
    Scheme(String),
    Url(String, InvalidUri),
    /// The URL has no scheme or no host.
    PartialUrl(String),
    Method(String),
    /// A header field has no colon.
    Header(String),
    HeaderName(String),
    /// The header field with this name has a value that is not valid.
    HeaderValue(String),
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUrl(file) => write!(
                f,
                "the URL is missing: write `ossgate explain {} http://HOST/PATH`",
                file.display()
            ),
            Self::Scheme(scheme) => write!(
                f,
                "`{scheme}` is not a scheme that this proxy serves; write `http://HOST/PATH` or `https://HOST/PATH`"
            ),
            Self::Url(url, error) => write!(f, "`{url}` is not a URL: {error}"),
            Self::PartialUrl(url) => write!(
                f,
                "`{url}` is not a whole URL; write `http://HOST/PATH` or `https://HOST/PATH`"
            ),
            Self::Method(method) => write!(f, "`{method}` is not a method"),
            Self::Header(line) => {
                write!(f, "`{line}` is not a header field; write `Name: value`")
            }
            Self::HeaderName(name) => write!(f, "`{name}` is not the name of a header field"),
            Self::HeaderValue(name) => write!(f, "the value of `{name}` has invalid characters"),
        }
    }
}

/// Writes to `out` how the proxy with the config at `path` would respond to a request. Returns the exit code.
///
/// # Errors
///
/// The [`io::Error`] when `out` cannot be written to.
pub fn explain_request(
    path: &Path,
    arguments: &RequestArguments<'_>,
    env: Env<'_>,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let asked = match parse(path, arguments) {
        Ok(asked) => asked,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(USAGE);
        }
    };
    let loaded = config::load_with(path, env, arguments.named_files);
    let config = match loaded {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            write!(out, "{}", problems.render())?;
            return Ok(BAD_CONFIG);
        }
    };
    let router = dns::engine(&config.dns)
        .map_err(|error| error.to_string())
        .and_then(|(engine, _)| {
            let registry = Registry::new(engine, &config.dns, Arc::new(tls::provider()));
            // The runner is not used, so nothing is sent, not even to the metadata service.
            let (sources, _runner) = credentials::sources(unix_now, 0, arguments.named_files);
            build::router(&config, &Arc::new(registry), &Reports::default(), &sources)
                .map_err(|error| error.to_string())
        });
    let router = match router {
        Ok(router) => router,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(BAD_CONFIG);
        }
    };
    let url = arguments.url.unwrap_or_default();
    writeln!(out, "{} {url}", arguments.method)?;
    if asked.is_https {
        // The client connects to the host of the URL, even if the request has another host in its field `Host`.
        let uri: Option<Uri> = url.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let tls = tls_step::explain(&config, host, arguments.named_files);
        writeln!(out, "  {:8} {}", "tls", tls.finding)?;
        if !tls.is_served {
            writeln!(out, "the client would get no response")?;
            return Ok(REFUSED);
        }
    }
    let explanation = explain(&router, &config, &asked);
    print(&explanation, out)?;
    if arguments.named_files == NamedFiles::Skip {
        writeln!(out, "the files that the config names were not looked at")?;
    }
    Ok(if explanation.end.is_served() {
        0
    } else {
        REFUSED
    })
}

/// Divides the arguments without an option into the config file and the URL, which stand in any order. A single
/// argument is the URL, except if it is a file.
pub(super) fn split(words: &[PathBuf]) -> (Option<&PathBuf>, Option<&str>) {
    let is_url = |word: &Path| word.to_str().is_some_and(|word| word.contains("://"));
    match words {
        [url, file] if is_url(url) && !is_url(file) => (Some(file), url.to_str()),
        [file, url] => (Some(file), url.to_str()),
        [one] => {
            let is_config = one.extension().is_some_and(|it| it == "toml");
            match !is_url(one) && (is_config || one.is_file()) {
                true => (Some(one), None),
                false => (None, one.to_str()),
            }
        }
        _ => (None, None),
    }
}

/// Returns the request that the arguments describe. `path` is the config file, for a message.
fn parse(
    path: &Path,
    arguments: &RequestArguments<'_>,
) -> Result<RequestToExplain, InvalidArgument> {
    let url = arguments
        .url
        .ok_or_else(|| InvalidArgument::NoUrl(path.to_owned()))?;
    let invalid = |error| InvalidArgument::Url(url.to_owned(), error);
    if !url.contains("://") {
        return Err(InvalidArgument::PartialUrl(url.to_owned()));
    }
    let uri: Uri = url.parse().map_err(invalid)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(InvalidArgument::PartialUrl(url.to_owned()));
    };
    let is_https = scheme.eq_ignore_ascii_case("https");
    if !is_https && !scheme.eq_ignore_ascii_case("http") {
        return Err(InvalidArgument::Scheme(scheme.to_owned()));
    }
    let method = Method::from_bytes(arguments.method.as_bytes())
        .map_err(|_| InvalidArgument::Method(arguments.method.to_owned()))?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().map_err(invalid)?;
    let host = HeaderValue::from_str(authority.as_str())
        .map_err(|_| InvalidArgument::HeaderValue("host".to_owned()))?;
    request.headers_mut().insert(HOST, host);
    for line in arguments.headers {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| InvalidArgument::Header(line.clone()))?;
        let name = HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| InvalidArgument::HeaderName(name.to_owned()))?;
        let value = HeaderValue::from_str(value.trim())
            .map_err(|_| InvalidArgument::HeaderValue(name.to_string()))?;
        if name == HOST {
            request.headers_mut().insert(name, value);
        } else {
            request.headers_mut().append(name, value);
        }
    }
    Ok(RequestToExplain {
        is_https,
        client: arguments.client,
        head: request,
    })
}

fn print(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    for step in &explanation.steps {
        write!(out, "  {:8} {}", step.name, step.finding)?;
        match explanation.file.as_ref().zip(step.line) {
            Some((file, line)) => writeln!(out, "  ({file}:{line})")?,
            None => writeln!(out)?,
        }
    }
    match &explanation.end {
        End::Sent(_) => writeln!(out, "the request would be sent to OSS"),
        End::Answered(status, None) => {
            writeln!(
                out,
                "the proxy would answer {status}; nothing would be sent to OSS"
            )
        }
        End::Answered(status, Some(kind)) => {
            writeln!(
                out,
                "the proxy would answer {status}, x-ossgate-error: {kind}; nothing would be sent to OSS"
            )
        }
    }
}
