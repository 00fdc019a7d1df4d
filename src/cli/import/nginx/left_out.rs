//! Directives that have no counterpart in a config of ossgate.

use crate::cli::import::nginx::syntax::Directive;

/// Directives that need no note: ossgate needs no setting for the same behaviour, or the directive has no
/// purpose in ossgate.
const NOT_NEEDED: [&str; 31] = [
    "access_log",
    "charset",
    "client_body_buffer_size",
    "default_type",
    "error_log",
    "http2",
    "keepalive",
    "keepalive_timeout",
    "large_client_header_buffers",
    "log_format",
    "proxy_buffer_size",
    "proxy_buffering",
    "proxy_buffers",
    "proxy_busy_buffers_size",
    "proxy_http_version",
    "proxy_max_temp_file_size",
    "proxy_redirect",
    "proxy_request_buffering",
    "proxy_send_timeout",
    "proxy_ssl_name",
    "proxy_ssl_server_name",
    "resolver",
    "resolver_timeout",
    "sendfile",
    "server_tokens",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_protocols",
    "ssl_session_cache",
    "ssl_session_timeout",
    "tcp_nodelay",
];

/// Returns the note about a directive that is not imported, or `None` if it needs no note.
pub(super) fn left_out(directive: &Directive) -> Option<String> {
    let first = directive.first();
    Some(match directive.name() {
        name if NOT_NEEDED.contains(&name) => return None,
        "include" if first.ends_with("mime.types") => return None,
        "include" => format!("`include {first}` is not followed: import that file as well"),
        "client_max_body_size" if first == "0" => return None,
        "client_max_body_size" => {
            "`client_max_body_size` is not carried over: only OSS limits the size of uploads"
                .to_owned()
        }
        "gzip" if first == "off" => return None,
        "gzip" => "`gzip` is not carried over: responses of OSS are passed on unchanged".to_owned(),
        name => format!("`{name}` is not carried over"),
    })
}
