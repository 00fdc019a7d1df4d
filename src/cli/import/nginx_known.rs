//! Directives that no key is made of.

use crate::cli::import::nginx_syntax::Directive;

/// Directives that ask for what ossgate does anyway, or has no use for.
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

/// What to say about a directive that is left out; `None` when it does not matter.
pub(super) fn left_out(directive: &Directive) -> Option<String> {
    let first = directive.first();
    Some(match directive.name() {
        name if NOT_NEEDED.contains(&name) => return None,
        "include" if first.ends_with("mime.types") => return None,
        "include" => format!("`include {first}` is not followed: import that file, too"),
        "client_max_body_size" if first == "0" => return None,
        "client_max_body_size" => {
            "`client_max_body_size` is not carried over: uploads have no limit but OSS's own"
                .to_owned()
        }
        "gzip" if first == "off" => return None,
        "gzip" => "`gzip` is not carried over: what OSS answers is passed on as it is".to_owned(),
        name => format!("`{name}` is not carried over"),
    })
}
