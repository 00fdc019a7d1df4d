//! Formats one line of the access log, as JSON or exactly as nginx's `combined` format.
//!
//! This module does no I/O: its input is a finished request and the wall-clock time of its end. The field
//! names must not change, because users' scripts depend on them. Path and Referer are masked
//! ([`super::mask`]).
//!
//! The field `aborted` is true or false. If it is true, the field `abort_reason` has the reason:
//!
//! | `abort_reason` | Meaning |
//! | --- | --- |
//! | `upload_incomplete` | The request body broke off. OSS did not receive the whole upload. |
//! | `client_gone` | The client's connection ended before the whole response was written to it. If the request was an upload, its whole body was sent to OSS, unless the other fields report a failure of OSS. |
//! | `origin_broke` | The response body of OSS broke off and could not be continued. |
//! | `proxy_stopped` | The proxy stopped before the request had ended: `drain_timeout` was over, or a second signal came. |
//!
//! `referer_verdict` is `would_refuse` when hotlink protection would have refused the request, in its mode
//! `report`. Other requests do not have the field.
//!
//! A status of 499 means that the client was gone before the response began. If the proxy stopped before that,
//! the status is 503. `combined` has no field for the reason.

use std::io::Write;
use std::time::Duration;

use http::Version;

use crate::http::context::RequestContext;
use crate::telemetry::dates::{clf, rfc3339};
use crate::telemetry::mask::append_masked;

/// Appends the JSON line of `context`. `unix_millis` is the end time of the request, in milliseconds since
/// 1970.
pub fn append_json(line: &mut Vec<u8>, context: &RequestContext, unix_millis: u64) {
    let outcome = context.outcome();
    let mut json = Json {
        line,
        is_first: true,
    };
    json.line.push(b'{');
    json.text("time", rfc3339(unix_millis).as_bytes());
    json.text("request_id", context.id.as_str().as_bytes());
    let client = context.client.map(|client| client.to_string());
    json.optional("client", client.as_deref().unwrap_or_default().as_bytes());
    let peer = context.connection.peer.map(|peer| peer.to_string());
    json.optional("peer", peer.as_deref().unwrap_or_default().as_bytes());
    for (key, id) in [
        ("vpc_id", &context.connection.vpc_id),
        ("endpoint_id", &context.connection.endpoint_id),
    ] {
        json.optional(key, id.as_deref().unwrap_or_default().as_bytes());
    }
    json.text("listener", context.connection.listener.as_bytes());
    json.optional("tls", context.connection.tls.unwrap_or_default().as_bytes());
    json.optional(
        "sni",
        context
            .connection
            .sni
            .as_deref()
            .unwrap_or_default()
            .as_bytes(),
    );
    json.text("http", version(context.version).as_bytes());
    // The router refuses a host with userinfo, but the request is logged. The user name and password must
    // not be, so only the text after the last `@` is written.
    let mut host = context.text.host().rsplit(|byte| *byte == b'@');
    json.text("host", host.next().unwrap_or_default());
    json.text("method", context.method.as_str().as_bytes());
    json.masked("path", context.text.path());
    json.number("status", u64::from(outcome.logged_status()));
    json.optional("error", outcome.error.unwrap_or_default().as_bytes());
    json.optional("cause", outcome.cause.unwrap_or_default().as_bytes());
    json.number("bytes_in", outcome.bytes_in);
    json.number("bytes_out", outcome.bytes_out);
    json.optional(
        "route",
        outcome.route.as_deref().unwrap_or_default().as_bytes(),
    );
    json.optional(
        "bucket",
        outcome.bucket.as_deref().unwrap_or_default().as_bytes(),
    );
    json.optional(
        "endpoint",
        outcome.endpoint.as_deref().unwrap_or_default().as_bytes(),
    );
    if outcome.tier > 0 {
        json.number("tier", u64::from(outcome.tier));
    }
    let upstream = outcome.upstream.or(outcome.unreachable);
    let upstream = upstream.map(|upstream| upstream.to_string());
    json.optional(
        "upstream",
        upstream.as_deref().unwrap_or_default().as_bytes(),
    );
    json.raw("reused", if outcome.reused { b"true" } else { b"false" });
    json.number("retries", u64::from(outcome.retries));
    if outcome.resumes > 0 {
        json.number("resumes", u64::from(outcome.resumes));
    }
    json.optional_masked("referer", context.text.referer());
    if outcome.would_refuse_referer {
        json.text("referer_verdict", b"would_refuse");
    }
    json.optional("user_agent", context.text.user_agent());
    json.optional("oss_request_id", outcome.oss_request_id.as_bytes());
    json.optional("oss_ec", outcome.oss_ec.as_bytes());
    json.millis("ms_total", Some(outcome.total));
    json.millis("ms_wait", Some(outcome.wait));
    json.millis("ms_connect", Some(outcome.connect));
    json.millis("ms_tls", Some(outcome.tls));
    json.millis("ms_first_byte", outcome.first_byte);
    json.raw(
        "aborted",
        if outcome.aborted.is_some() {
            b"true"
        } else {
            b"false"
        },
    );
    if let Some(reason) = outcome.aborted {
        json.text("abort_reason", reason.as_str().as_bytes());
    }
    line.extend_from_slice(b"}\n");
}

/// Appends the `combined` line of `context`. `unix_millis` has the same meaning as in [`append_json`].
pub fn append_combined(line: &mut Vec<u8>, context: &RequestContext, unix_millis: u64) {
    let outcome = context.outcome();
    match context.client {
        Some(client) => append(line, format_args!("{client}")),
        None => line.extend_from_slice(b"unix:"),
    }
    append(
        line,
        format_args!(" - - [{}] \"{} ", clf(unix_millis), context.method),
    );
    let mut path = Vec::new();
    append_masked(&mut path, context.text.path());
    append_nginx(line, &path);
    append(
        line,
        format_args!(
            " {}\" {} {} \"",
            version(context.version),
            outcome.logged_status(),
            outcome.bytes_out
        ),
    );
    let mut referer = Vec::new();
    append_masked(&mut referer, context.text.referer());
    append_nginx(line, if referer.is_empty() { b"-" } else { &referer });
    line.extend_from_slice(b"\" \"");
    let agent = context.text.user_agent();
    append_nginx(line, if agent.is_empty() { b"-" } else { agent });
    line.extend_from_slice(b"\"\n");
}

fn append(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a `Vec` never fails.
    drop(line.write_fmt(text));
}

/// Appends `text` with nginx's default escaping: `"`, `\` and all bytes outside printable ASCII become
/// `\xHH`.
fn append_nginx(line: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => append(line, format_args!("\\x{byte:02X}")),
            _ => line.push(*byte),
        }
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

struct Json<'a> {
    line: &'a mut Vec<u8>,
    is_first: bool,
}

impl Json<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.line.push(b',');
        }
        self.line.push(b'"');
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
    }

    fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.line.extend_from_slice(value);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        append(self.line, format_args!("{value}"));
    }

    fn millis(&mut self, name: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.name(name);
            append(
                self.line,
                format_args!("{}.{:03}", value.as_millis(), value.subsec_micros() % 1000),
            );
        }
    }

    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.line.push(b'"');
        for chunk in value.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' => self.line.extend_from_slice(b"\\\""),
                    '\\' => self.line.extend_from_slice(b"\\\\"),
                    '\0'..='\x1f' | '\x7f' => {
                        append(self.line, format_args!("\\u{:04x}", u32::from(character)))
                    }
                    _ => self
                        .line
                        .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            for byte in chunk.invalid() {
                // JSON cannot represent bytes that are not UTF-8, so they are written as an escape that
                // shows their value.
                append(self.line, format_args!("\\\\x{byte:02x}"));
            }
        }
        self.line.push(b'"');
    }

    /// Appends the field, unless `value` is empty.
    fn optional(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    fn masked(&mut self, name: &str, target: &[u8]) {
        let mut masked = Vec::with_capacity(target.len());
        append_masked(&mut masked, target);
        self.text(name, &masked);
    }

    fn optional_masked(&mut self, name: &str, target: &[u8]) {
        if !target.is_empty() {
            self.masked(name, target);
        }
    }
}

#[cfg(test)]
mod tests;
