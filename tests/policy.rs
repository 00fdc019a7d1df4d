//! The policies of a route, tested through the real proxy over a socket.

mod cors;
mod guard;
mod https;
mod preview;
mod referer;
mod website;

use std::net::SocketAddr;

use crate::support::proxy::{Proxy, bucket_at, one_route};

/// Starts a proxy with one route to `origin` and these rules.
fn proxy(origin: SocketAddr, rules: &str) -> Proxy {
    Proxy::start(&one_route(&format!("{}\n{rules}", bucket_at(origin))))
}

/// Returns the values of a header field of a raw response.
fn header<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

/// Returns a TOML list of strings.
fn list(texts: &[String]) -> String {
    toml::Value::try_from(texts).unwrap().to_string()
}

/// Returns the cells of a table of cases, row by row, without the head.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .map(|line| line.split('\t').collect())
        .collect()
}
