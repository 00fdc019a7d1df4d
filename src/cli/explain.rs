//! `ossgate explain`: what would become of one request, and why. Nothing is sent.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use http::header::{HOST, HeaderName, HeaderValue};
use http::{Method, Request, Uri};

use crate::cli::BAD_CONFIG;
use crate::config::{self, Env};
use crate::listener::tls;
use crate::origin::endpoint::dns;
use crate::origin::tiers::registry::Registry;
use crate::route::build;
use crate::route::explain::{End, Explanation, RequestToExplain, explain};

/// Exit code of a request that would be refused.
pub const REFUSED: u8 = 3;
/// Exit code of arguments that describe no request.
const USAGE: u8 = 2;

/// One request on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `http://` or `https://`, host, path and query.
    pub url: &'a str,
    /// The method.
    pub method: &'a str,
    /// Header lines, `Name: value`.
    pub headers: &'a [String],
}

/// Explains `question` under the config at `path`; the exit code.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn explain_request(
    path: &Path,
    question: &Question<'_>,
    env: Env<'_>,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let config = match config::load(path, env) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            write!(out, "{}", problems.render())?;
            return Ok(BAD_CONFIG);
        }
    };
    let asked = match ask(question) {
        Ok(asked) => asked,
        Err(why) => {
            writeln!(out, "{why}")?;
            return Ok(USAGE);
        }
    };
    let router = dns::engine(&config.dns)
        .map_err(|error| error.to_string())
        .and_then(|(engine, _)| {
            let registry = Registry::new(engine, config.dns.clone(), Arc::new(tls::provider()));
            build::router(&config, &Arc::new(registry)).map_err(|error| error.to_string())
        });
    let router = match router {
        Ok(router) => router,
        Err(why) => {
            writeln!(out, "{why}")?;
            return Ok(BAD_CONFIG);
        }
    };
    let explanation = explain(&router, &config, &asked);
    print(path, question, &explanation, out)?;
    Ok(if explanation.end.is_served() {
        0
    } else {
        REFUSED
    })
}

fn ask(question: &Question<'_>) -> Result<RequestToExplain, String> {
    let uri: Uri = question
        .url
        .parse()
        .map_err(|error| format!("`{}` is not a URL: {error}", question.url))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!(
            "`{}` is not a whole URL; write `http://HOST/PATH` or `https://HOST/PATH`",
            question.url
        ));
    };
    let method = Method::from_bytes(question.method.as_bytes())
        .map_err(|_| format!("`{}` is not a method", question.method))?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = target
        .parse()
        .map_err(|_| format!("`{target}` is not a path"))?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?;
    request.headers_mut().insert(HOST, host);
    for line in question.headers {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("`{line}` is not a header; write `Name: value`"))?;
        let name = HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| format!("`{name}` is not the name of a header"))?;
        let value = HeaderValue::from_str(value.trim())
            .map_err(|_| format!("the value of `{name}` cannot be sent"))?;
        if name == HOST {
            request.headers_mut().insert(name, value);
        } else {
            request.headers_mut().append(name, value);
        }
    }
    Ok(RequestToExplain {
        is_https: scheme == "https",
        head: request,
    })
}

fn print(
    path: &Path,
    question: &Question<'_>,
    explanation: &Explanation,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{} {}", question.method, question.url)?;
    for step in &explanation.steps {
        write!(out, "  {:8} {}", step.name, step.finding)?;
        match step.line {
            Some(line) => writeln!(out, "  ({}:{line})", path.display())?,
            None => writeln!(out)?,
        }
    }
    match &explanation.end {
        End::Sent(_) => writeln!(out, "OSS is asked."),
        End::Answered(status, None) => {
            writeln!(out, "The proxy answers {status}. OSS is not asked.")
        }
        End::Answered(status, Some(kind)) => {
            writeln!(
                out,
                "The proxy answers {status}, x-ossgate-error: {kind}. OSS is not asked."
            )
        }
    }
}
