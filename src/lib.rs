//! ossgate: a reverse proxy that gives Alibaba Cloud OSS a fixed IP.
//!
//! # The life of a request
//!
//! 1. [`listener`] accepts a connection, reads the PROXY header, completes the TLS handshake and reads HTTP.
//!    It enforces the connection limit and the deadlines.
//! 2. [`http::access`] gives the request an id, parses its target once ([`http::message::Target`]) and
//!    records the request when its response has ended.
//! 3. [`route`] responds to health checks, refuses requests that must not be forwarded ([`http::framing`])
//!    and finds the route by host and path ([`route::table`]).
//! 4. The request passes the policies of the route in a fixed order ([`route::stack`]). Each policy is a file
//!    in [`policy`]; the OSS rules that it applies are in [`oss`].
//! 5. [`origin`] is the innermost service. It rewrites the request for a bucket, chooses an endpoint, takes a
//!    connection from the pool or opens one to a resolved address, signs the request if the route has
//!    credentials ([`identity`]), and sends the request.
//! 6. The response body owns the upstream connection while the client reads it. When the body ends, the
//!    connection returns to the pool, and the record goes to [`telemetry::access_log`].
//!
//! [`app`] builds a [`route::Router`] from a config. Each request uses one router from its start to its end,
//! so a reload never changes the rules of a request in flight.
//!
//! # The layers
//!
//! A file uses only lower layers or files of its own folder; `tests/layers.rs` checks that. Some rows of the
//! table contain several layers; their exact order is in `tests/layers/rules.rs`.
//!
//! | Layer | Modules |
//! | --- | --- |
//! | program | `main`, [`cli`] |
//! | signals, commands, changed files | [`supervise`] |
//! | builds and runs all parts for a config | [`app`] |
//! | incoming network, choice of the route | [`listener`], [`route`], [`admin`] |
//! | policies, access keys and signatures, outgoing network | [`policy`], [`identity`], [`origin`], [`demo`] |
//! | shared by the layers above | [`http`], [`net`], [`telemetry`], [`health`], [`shutdown`], [`runtime`] |
//! | the checked config | [`config`] |
//! | rules and tables of OSS, without I/O and clock | [`oss`] |
//!
//! # The map
//!
//! Each table lists the files of a folder by what they do. A file that is not listed supports the others in
//! its folder; its first line describes it.
//!
//! **[`listener`] and [`net`]: from a socket to a request**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | listening sockets: bind, inherit from systemd or from the previous process | [`listener::bind`] |
//! | accept loop | `listener/accept_loop.rs` |
//! | connection limit, connections that are refused with 503 | `listener/places.rs` |
//! | start of a connection: PROXY header, TLS handshake, choice of HTTP version | `listener/handshake.rs` |
//! | failed TLS handshakes: reasons, counters, log; HTTP on a port with TLS | `listener/tls_outcome.rs`, `tls_handshake.rs` |
//! | PROXY protocol, versions 1 and 2 | [`listener::proxy_protocol`] |
//! | certificate by server name and type of key; TLS versions | [`listener::certificate_table`], [`listener::tls`] |
//! | deadlines: header, idle, stall | `listener/deadline.rs` |
//! | HTTP/1.1: one connection, keep-alive | `listener/http1/connection.rs` |
//! | HTTP/1.1: idle connections are parked to save memory | `listener/http1/parking.rs` |
//! | HTTP/1.1: the response to a request that hyper cannot parse | `listener/http1/malformed.rs` |
//! | HTTP/2: one connection, GOAWAY | `listener/http2/` |
//! | HTTP/2: stalled streams, cancelled streams (rapid reset) | `listener/streams.rs` |
//! | HTTP/2: limit on frames that do not belong to a request | `listener/http2/frame_budget.rs` |
//! | sockets, streams with or without TLS, unix socket files | `net/` |
//!
//! **[`http`]: HTTP, independent of the policies**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | request, response, and the parsed target: host, path, query, key | [`http::message`] |
//! | syntax of a host with a port; choice of a request's host | [`http::authority`], [`http::request_authority`] |
//! | malformed and ambiguous requests | [`http::framing`], [`http::malformed`], [`http::hidden_fragment`], [`http::input_framing`] |
//! | hop-by-hop header fields, header fields about the client | [`http::headers`] |
//! | client address and scheme from `X-Forwarded-*` | [`http::forwarded`] |
//! | request id, and the data that accompanies a request | [`http::access`], [`http::context`] |
//! | request and response bodies | [`http::body`] |
//! | the proxy's own responses, `x-ossgate-error` | [`http::respond`] |
//! | the state that the deadlines of a connection check | [`http::activity`] |
//!
//! **[`route`]: from a request to a stack**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | router: health checks, refusals, choice of the route | [`route`] |
//! | host and path match | [`route::table`] |
//! | the order of the policies, and errors turned into responses | [`route::stack`] |
//! | routes built from the config | [`route::build`] |
//! | the decisions behind `ossgate explain` | [`route::explain`] |
//!
//! **[`policy`] and [`oss`]: the rules of a route, and the OSS rules behind them**
//!
//! The first file applies the rule to requests and responses. The second one decides without I/O.
//!
//! | Behaviour | Applied by | Decided by |
//! | --- | --- | --- |
//! | the common implementation of policies that refuse requests | [`policy::gate`] | |
//! | refusals by client address | [`policy::ip`] | [`net::ranges`] |
//! | HSTS | [`policy::hsts`] | |
//! | header fields of responses | [`policy::headers`] | |
//! | cross-origin requests, preflights | [`policy::cors`] | [`oss::cors`] |
//! | HTTPS: redirect or refusal of requests without TLS | [`policy::https`] | |
//! | allowed methods and operations | [`policy::guard`] | [`oss::guard`] |
//! | hotlink protection | [`policy::referer`] | [`oss::referer`], [`oss::glob`] |
//! | index and error documents | [`policy::website`] | [`oss::website`] |
//! | forced downloads | [`policy::preview`] | |
//! | bucket and key in host and path | | [`oss::addressing`] |
//! | regions and endpoint names | | [`oss::endpoint`] |
//! | query names that select an operation | | [`oss::subresource`] |
//! | whether a request is signed; signatures V1 and V4; signed header fields | | [`oss::signature`] |
//!
//! **[`origin`]: from a request to OSS and back**
//!
//! Four modules, each of which uses only the modules after it: `exchange`, `tiers`, `link`, `endpoint`.
//!
//! | Behaviour | File |
//! | --- | --- |
//! | the service, and the typed failure with its status and kind | `origin/mod.rs`, `origin/error.rs` |
//! | bucket, target and header fields of the request to OSS | `origin/exchange/rewrite.rs`, `outgoing.rs` |
//! | the attempts of one request | `origin/exchange/mod.rs` |
//! | one attempt on one connection | `origin/exchange/attempt.rs` |
//! | the rule for sending a request again | `origin/exchange/repeat.rs` |
//! | check whether OSS is reachable while a request waits for its response | `origin/exchange/liveness.rs` |
//! | response head, response body | `origin/exchange/answer_head.rs`, `download.rs` |
//! | resume of a download after a broken connection | `origin/exchange/resume.rs`, `entity.rs` |
//! | header fields changed in requests | `origin/exchange/fields.rs` |
//! | buckets of an origin | `origin/tiers/buckets.rs` |
//! | fallback to another endpoint, and the return to the first | `origin/tiers/choice.rs`, `state.rs`, `trial.rs` |
//! | new connection: staggered attempts, TLS | `origin/link/connect.rs`, `tls.rs` |
//! | pool of idle connections | `origin/link/pool.rs` |
//! | request body on its way to OSS, small bodies kept for a retry | `origin/link/upload.rs`, `retained.rs` |
//! | which routes share a host and its connections | `origin/link/identity.rs`, `tiers/registry.rs` |
//! | DNS refresh and name servers | `origin/endpoint/dns.rs`, `name_servers.rs` |
//! | which addresses an endpoint may have | `origin/endpoint/address_rule.rs` |
//! | addresses that DNS rotates, addresses that DNS no longer returns | `origin/endpoint/membership.rs` |
//! | addresses in use, failed addresses | `origin/endpoint/addresses.rs`, `address_health.rs` |
//! | readiness of each endpoint, probes | `origin/endpoint/readiness.rs`, `exchange/watch.rs`, `probe.rs` |
//!
//! **[`identity`]: in whose name OSS is asked**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | which requests are signed for clients that did not sign | [`identity::admission`] |
//! | the signature of a request, the correction of the clock | [`identity::sign`] |
//! | access keys: sources, refresh, expiry | `identity/credentials/` |
//! | the interface to the origin, which calls the signer | [`http::signing`], `origin/exchange/signing.rs` |
//!
//! **[`config`]: the settings of the operator**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | loads the main file, reports all problems | [`config`], [`config::problem`] |
//! | further files by `include` | `config/include.rs` |
//! | a text that is not TOML | `config/syntax/` |
//! | hints for keys and values as other programs write them | `config/habits.rs`, `rewrite.rs`, `pasted.rs` |
//! | tables that do not fit together: overlapping listeners, origins whose requests would come back to this proxy, other combinations | `config/listeners.rs`, `circle.rs`, `combinations.rs` |
//! | one TOML table: keys, defaults, checks | `config/TABLE.rs`, `config/policy/TABLE.rs` |
//! | certificates that are never used or expire soon, hosts without one | `config/certificate/` |
//! | durations, sizes, host patterns | [`config::value`] |
//! | `${ENV}` and `${file:}` | `config/interpolate.rs` |
//! | JSON Schema | [`config::schema`] |
//!
//! **[`app`], [`supervise`], [`admin`]: the process**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | start and stop of all parts | [`app`] |
//! | reload: settings that change at once, settings that need a restart | [`app::change`] |
//! | state that survives a reload | [`app::state`] |
//! | worker threads | `app/worker.rs`, [`runtime`] |
//! | signals | `supervise/signals.rs` |
//! | reload, drain and log reopening | `supervise/commands.rs` |
//! | reload when a file changes | `supervise/files.rs` |
//! | 503 for new requests while memory is short | `supervise/memory.rs` |
//! | upgrade of the binary: the old process starts the new one | `supervise/upgrade_start.rs` |
//! | upgrade of the binary: the new process receives the sockets | `supervise/upgrade_takeover.rs` |
//! | phases of the shutdown | [`shutdown`] |
//! | readiness of the node | [`health`] |
//! | `/metrics`, `/healthz`, `/readyz`, commands | [`admin`] |
//!
//! **[`telemetry`]: logs and metrics**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | error log and its level | [`telemetry`] |
//! | access log: queue, writer, lost lines | [`telemetry::access_log`] |
//! | fields and formats of the access log | [`telemetry::line`] |
//! | masked secrets | [`telemetry::mask`] |
//! | log files and rotation | [`telemetry::sink`] |
//! | request counters | [`telemetry::metrics`] |
//! | panics | [`telemetry::faults`] |
//!
//! **[`cli`] and [`demo`]: commands, and an origin without OSS**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | arguments, exit codes; one file for each command | [`cli`] |
//! | `ossgate import` from nginx and bucket XML | `cli/import/` |
//! | `ossgate demo` | `cli/demo/` |
//! | an OSS-like origin in memory, also for the tests | [`demo::origin`] |
//! | scripted DNS, throw-away CA | [`demo::dns`], [`demo::ca`] |

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod health;
pub mod http;
pub mod identity;
pub mod listener;
pub mod net;
pub mod origin;
pub mod oss;
pub mod policy;
pub mod route;
pub mod runtime;
pub mod shutdown;
pub mod supervise;
pub mod telemetry;
