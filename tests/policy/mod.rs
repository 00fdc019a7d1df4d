//! The rules of a route as a client sees them, through the real proxy over a socket. One file for each rule.

mod cors;
mod cors_fields;
mod guard;
mod headers;
mod headers_everywhere;
mod https;
mod ip;
mod ip_client;
mod list_buckets;
mod origin_headers;
mod preview;
mod referer;
mod referer_report;
mod respelling;
mod website;
