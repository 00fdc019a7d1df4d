//! Directives that have no counterpart in a config of ossgate.
//!
//! A directive that is in none of the lists counts as one that refuses requests. It may belong to a third-party
//! module that refuses requests, and the import must not open what nginx closed.

use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::tls;

/// The handling of a directive that is not imported.
#[derive(Debug)]
pub(super) enum LeftOut {
    /// ossgate needs no setting for the same behaviour, or the directive has no purpose in ossgate.
    NotNeeded,
    /// The directive is not carried over, and it refuses no requests. The text is the note.
    NotCarried(String),
    /// The directive refuses requests. The text is its family. A later directive of the same family replaces it,
    /// except in the families `unknown`, `include` and `code`, which keep all directives.
    Closing(&'static str, Loss),
    /// The directive ends the refusals of this family, as `auth_basic off` does.
    Reopening(&'static str),
}

/// Directives that need no note. A `*` at the end stands for any text.
const NOT_NEEDED: &[&str] = &[
    "access_log",
    "aio*",
    "auth_basic_user_file",
    "auth_request_set",
    "charset*",
    "chunked_transfer_encoding",
    "client_body_*",
    "client_header_*",
    "connection_pool_size",
    "default_type",
    "directio*",
    "disable_symlinks",
    "error_log",
    "etag",
    "events",
    "geo",
    "geoip*",
    "gzip_*",
    "http2*",
    "http3*",
    "if_modified_since",
    "ignore_invalid_headers",
    "keepalive*",
    "large_client_header_buffers",
    "limit_conn_*",
    "limit_req_*",
    "limit_req_zone",
    "lingering_*",
    "log_*",
    "map",
    "map_hash_*",
    "merge_slashes",
    "msie_*",
    "open_file_cache*",
    "open_log_file_cache",
    "output_buffers",
    "pid",
    "port_in_redirect",
    "postpone_output",
    "proxy_buffer*",
    "proxy_busy_buffers_size",
    "proxy_headers_hash_*",
    "proxy_http_version",
    "proxy_ignore_client_abort",
    "proxy_intercept_errors",
    "proxy_max_temp_file_size",
    "proxy_next_upstream*",
    "proxy_redirect",
    "proxy_request_buffering",
    "proxy_send_*",
    "proxy_socket_keepalive",
    "proxy_ssl_*",
    "proxy_temp_*",
    "read_ahead",
    "real_ip_recursive",
    "recursive_error_pages",
    "referer_hash_*",
    "request_pool_size",
    "reset_timedout_connection",
    "resolver*",
    "send_*",
    "sendfile*",
    "server_name_in_redirect",
    "server_names_hash_*",
    "server_tokens",
    "ssl_*",
    "subrequest_output_buffer_size",
    "tcp_*",
    "types",
    "types_hash_*",
    "underscores_in_headers",
    "uninitialized_variable_warn",
    "upstream",
    "user",
    "variables_hash_*",
    "worker_*",
    "rewrite_log",
    "absolute_redirect",
    "daemon",
    "env",
    "load_module",
    "master_process",
    "pcre_jit",
    "ssl",
    "thread_pool",
    "timer_resolution",
];

/// Directives of nginx and of common modules that refuse nothing. A `*` at the end stands for any text.
const CONVENIENCE: &[&str] = &[
    "add_*",
    "alias",
    "autoindex*",
    "break",
    "brotli*",
    "client_max_body_size",
    "dav_*",
    "empty_gif",
    "error_page",
    "expires",
    "fastcgi_*",
    "flv",
    "grpc_*",
    "gunzip*",
    "gzip",
    "image_filter*",
    "index",
    "js_body_filter",
    "js_header_filter",
    "js_import",
    "js_path",
    "js_set",
    "limit_conn",
    "limit_rate*",
    "limit_req",
    "max_ranges",
    "memcached_*",
    "mirror*",
    "more_clear_headers",
    "more_set_headers",
    "mp4*",
    "override_charset",
    "proxy_bind",
    "proxy_cache*",
    "proxy_cookie_*",
    "proxy_force_ranges",
    "proxy_hide_header",
    "proxy_ignore_headers",
    "proxy_limit_rate",
    "proxy_no_cache",
    "proxy_pass_header",
    "proxy_pass_request_*",
    "proxy_set_header",
    "proxy_store*",
    "random_index",
    "real_ip_header",
    "return",
    "rewrite",
    "root",
    "scgi_*",
    "server_tokens",
    "set",
    "set_real_ip_from",
    "slice",
    "source_charset",
    "split_clients",
    "ssi*",
    "mail",
    "stream",
    "stub_status",
    "sub_filter*",
    "try_files",
    "userid*",
    "uwsgi_*",
    "vhost_traffic_status*",
    "xslt_*",
    "zstd*",
];

fn is_in(list: &[&str], name: &str) -> bool {
    list.iter().any(|known| match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *known,
    })
}

/// Returns the handling of a directive that is not imported.
pub(super) fn left_out(directive: &Directive) -> LeftOut {
    let (name, first) = (directive.name(), directive.first());
    if let Some((family, refused, remedy)) = closing(name, first) {
        return if matches!(first, "off" | "optional_no_ca") && name != "proxy_pass_request_headers"
        {
            LeftOut::Reopening(family)
        } else {
            LeftOut::Closing(family, Loss::new(directive, refused, remedy))
        };
    }
    if let Some(text) = tls::note(directive) {
        return LeftOut::NotCarried(text);
    }
    LeftOut::NotCarried(match name {
        "include" => match is_harmless_include(first) {
            true => return LeftOut::NotNeeded,
            false => {
                let name = format!("include {first}");
                let loss = Loss::named(
                    directive,
                    &name,
                    "what that file refuses, and the file cannot be read",
                    "put the file in its place, or import a file that contains its text",
                );
                return LeftOut::Closing("include", loss);
            }
        },
        "client_max_body_size" | "gzip" if matches!(first, "0" | "off") => {
            return LeftOut::NotNeeded;
        }
        "client_max_body_size" => {
            "`client_max_body_size` is not carried over: only OSS limits the size of uploads"
                .to_owned()
        }
        "gzip" => "`gzip` is not carried over: responses of OSS are passed on unchanged".to_owned(),
        "limit_req" | "limit_conn" => {
            format!("`{name}` is not carried over: ossgate does not limit the rate of requests")
        }
        _ if is_in(NOT_NEEDED, name) => return LeftOut::NotNeeded,
        _ if is_in(CONVENIENCE, name) => format!("`{name}` is not carried over"),
        _ => {
            let loss = Loss::new(
                directive,
                "what this directive may refuse, and the import does not know it",
                "find out what it does, and remove it from the file if it refuses nothing",
            );
            return LeftOut::Closing("unknown", loss);
        }
    })
}

/// Returns the family of a directive that refuses requests, the requests that it refuses, and what to do instead.
fn closing(name: &str, first: &str) -> Option<(&'static str, &'static str, &'static str)> {
    const PASSWORD: &str = "keep the objects private at OSS, and give their users presigned URLs";
    const CODE: &str = "keep the objects private at OSS, or keep nginx in front of ossgate";
    Some(match name {
        "auth_basic_user_file" | "auth_request_set" => return None,
        "auth_basic" => ("auth_basic", "requests without a password", PASSWORD),
        "auth_request" => (
            "auth_request",
            "requests that another service rejects",
            PASSWORD,
        ),
        _ if name.starts_with("auth_") => (
            "auth",
            "requests of clients that it does not know",
            PASSWORD,
        ),
        "secure_link" | "secure_link_md5" | "secure_link_secret" => (
            if name == "secure_link" {
                "secure_link"
            } else {
                "secure_link_md5"
            },
            "links that are expired or not signed with its secret",
            PASSWORD,
        ),
        "satisfy" => (
            "satisfy",
            "requests that fail the checks it combines",
            "replace those checks first",
        ),
        "ssl_verify_client" if matches!(first, "optional") => return None,
        "ssl_verify_client" => (
            "ssl_verify_client",
            "connections without a client certificate",
            "keep nginx or a load balancer that verifies client certificates in front of ossgate",
        ),
        "access_by_lua"
        | "access_by_lua_block"
        | "access_by_lua_file"
        | "rewrite_by_lua"
        | "rewrite_by_lua_block"
        | "rewrite_by_lua_file"
        | "content_by_lua"
        | "content_by_lua_block"
        | "content_by_lua_file"
        | "js_access"
        | "js_content"
        | "perl" => ("code", "what its code refuses", CODE),
        "proxy_method" => (
            "proxy_method",
            "other methods: it sends every request with one method",
            "limit `methods` of the route, or set `guard`",
        ),
        "proxy_pass_request_headers" | "proxy_pass_request_body" if first == "off" => (
            "pass_request",
            "signed requests and uploads: OSS does not get their header fields or bodies",
            "limit `methods` of the route, or set `guard`",
        ),
        "proxy_pass_request_headers" | "proxy_pass_request_body" | "proxy_set_body" => {
            return (name == "proxy_set_body").then_some((
                "proxy_set_body",
                "uploads: it sends every request with one body",
                "limit `methods` of the route, or set `guard`",
            ));
        }
        _ => return None,
    })
}

/// Whether an included file that cannot be read is one of those that come with nginx and refuse nothing.
fn is_harmless_include(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let known = [
        "mime.types",
        "proxy_params",
        "fastcgi_params",
        "fastcgi.conf",
        "uwsgi_params",
        "scgi_params",
        "koi-utf",
        "koi-win",
        "win-utf",
        "options-ssl-nginx.conf",
    ];
    known.contains(&name) || path.contains("modules-enabled/") || path.contains("/modules/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directive(text: &str) -> Directive {
        Directive {
            words: text.split(' ').map(str::to_owned).collect(),
            ..Directive::default()
        }
    }

    #[test]
    fn a_directive_that_is_not_known_is_regarded_as_closing() {
        for (text, is_closing) in [
            ("auth_jwt realm", true),
            ("js_access main.check", true),
            ("access_by_lua_file a.lua", true),
            ("perl m::h", true),
            ("modsecurity on", true),
            ("waf on", true),
            ("ssl_verify_client on", true),
            ("ssl_verify_client optional", false),
            ("ssl_verify_client off", false),
            ("auth_basic off", false),
            ("proxy_pass_request_headers off", true),
            ("proxy_pass_request_headers on", false),
            ("proxy_method GET", true),
            ("include /etc/nginx/deny.conf", true),
            ("include /etc/nginx/mime.types", false),
            ("limit_req zone=a", false),
            ("gzip_types text/css", false),
            ("expires 30d", false),
        ] {
            let found = left_out(&directive(text));
            assert_eq!(
                matches!(found, LeftOut::Closing(..)),
                is_closing,
                "{text}: {found:?}"
            );
        }
    }
}
