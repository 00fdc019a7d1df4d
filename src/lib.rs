//! ossgate: a reverse proxy that gives Alibaba Cloud OSS a fixed IP.
//!
//! # The life of a request
//!
//! 1. [`listener`] accepts a socket, reads the PROXY header, does the TLS handshake and reads HTTP. It
//!    enforces the connection limit and the deadlines.
//! 2. [`http::access`] gives the request an id, parses its target once ([`http::message::Target`]) and
//!    records the request when its response has ended.
//! 3. [`route`] answers health checks, refuses what must not be forwarded ([`http::framing`]) and finds the
//!    route by host and path ([`route::table`]).
//! 4. The stack of the route ([`route::stack`]) is the order of the policies. Each policy is a file in
//!    [`policy`]; the OSS rules that it applies are in [`oss`].
//! 5. [`origin`] is the innermost service. It rewrites the request for a bucket, chooses one of the
//!    endpoints, takes a connection from the pool or opens one to a resolved address, and sends the request.
//! 6. The response body owns the upstream connection while the client reads it. When the body ends, the
//!    connection returns to the pool, and the record goes to [`telemetry::access_log`].
//!
//! A config becomes a [`route::Router`] in [`app`]. Each request uses one router from its start to its end,
//! so a reload never changes the rules of a request in flight.
//!
//! # The layers
//!
//! A file uses only lower layers, or its own folder; `tests/layers.rs` checks that.
//!
//! | Layer | Modules |
//! | --- | --- |
//! | program | `main`, [`cli`] |
//! | signals, commands, changed files | [`supervise`] |
//! | joins all parts for a config | [`app`] |
//! | network in, choice of the route | [`listener`], [`route`], [`admin`] |
//! | policies, network out | [`policy`], [`origin`], [`demo`] |
//! | shared by the parts | [`http`], `net`, [`telemetry`], [`health`], [`shutdown`], [`runtime`] |
//! | the checked config | [`config`] |
//! | facts about OSS, without I/O and clock | [`oss`] |
//!
//! # The map
//!
//! Each table lists the files of a folder by what they do. A file that is not listed supports its
//! neighbours; its first line says how.
//!
//! **[`listener`] and `net`: from a socket to a request**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | listening sockets: bind, inherit from systemd or from the process before | [`listener::bind`] |
//! | accept loop | `listener/accept_loop.rs` |
//! | connection limit, connections that are turned away | `listener/places.rs` |
//! | start of a connection: PROXY header, TLS handshake, choice of HTTP version | `listener/handshake.rs` |
//! | PROXY protocol, versions 1 and 2 | [`listener::proxy_protocol`] |
//! | certificate by server name, TLS versions | [`listener::tls`] |
//! | deadlines: header, idle, stall | [`listener::deadline`] |
//! | HTTP/1.1: one connection, keep-alive, parked while idle | `listener/http1/` |
//! | HTTP/1.1: the response to a request that hyper cannot parse | `listener/http1/malformed.rs` |
//! | HTTP/2: one connection, GOAWAY | `listener/http2/` |
//! | HTTP/2: stalled streams, cancelled streams (rapid reset) | `listener/streams.rs` |
//! | HTTP/2: limit on frames that belong to no request | `listener/http2/frame_budget.rs` |
//! | sockets, streams with or without TLS, unix socket files | `net/` |
//!
//! **[`http`]: HTTP without policy**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | request, response, and the parsed target: host, path, query, key | [`http::message`] |
//! | syntax of a host with a port; which host of a request counts | [`http::authority`], [`http::request_authority`] |
//! | malformed and ambiguous requests | [`http::framing`], [`http::malformed`], [`http::hidden_fragment`], [`http::input_framing`] |
//! | hop-by-hop header fields, header fields about the client | [`http::headers`] |
//! | client address and scheme from `X-Forwarded-*` | [`http::forwarded`] |
//! | request id, and the data that travels beside a request | [`http::access`], [`http::context`] |
//! | request and response bodies | [`http::body`] |
//! | the proxy's own responses, `x-ossgate-error` | [`http::respond`] |
//! | what the deadlines of a connection look at | [`http::activity`] |
//!
//! **[`route`]: from a request to a stack**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | router: health check, refusals, choice of the route | [`route`] |
//! | host and path match | [`route::table`] |
//! | THE ORDER of the policies, and errors turned into responses | [`route::stack`] |
//! | routes built from the config | [`route::build`] |
//! | the decisions behind `ossgate explain` | [`route::explain`] |
//!
//! **[`policy`] and [`oss`]: the rules of a route, and the OSS facts behind them**
//!
//! | Behaviour | Layer | Rules |
//! | --- | --- | --- |
//! | cross-origin requests | [`policy::cors`] | [`oss::cors`] |
//! | HTTPS redirect, HSTS | [`policy::https`] | |
//! | allowed methods and operations | [`policy::guard`] | [`oss::guard`] |
//! | hotlink protection | [`policy::referer`] | [`oss::referer`], [`oss::glob`] |
//! | index and error documents | [`policy::website`] | [`oss::website`] |
//! | forced downloads | [`policy::preview`] | |
//! | bucket and key in host and path | | [`oss::addressing`] |
//! | regions and endpoint names | | [`oss::endpoint`] |
//! | sub-resources, signed requests | | [`oss::subresource`] |
//! | signatures V1 and V4 | | [`oss::signature`] |
//!
//! **[`origin`]: from a request to OSS and back**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | the service, and the typed failure with its status and kind | `origin/mod.rs`, `origin/error.rs` |
//! | bucket and target of a request, its header fields | `origin/exchange/rewrite.rs`, `outgoing.rs` |
//! | one attempt on one connection | `origin/exchange/attempt.rs` |
//! | the rule for sending a request again | `origin/exchange/repeat.rs` |
//! | response head, response body | `origin/exchange/answer_head.rs`, `download.rs` |
//! | a download that broke is resumed | `origin/exchange/resume.rs`, `entity.rs` |
//! | buckets of an origin | `origin/tiers/buckets.rs` |
//! | fallback to another endpoint, and the return | `origin/tiers/choice.rs`, `state.rs`, `trial.rs` |
//! | new connection: staggered attempts, TLS | `origin/link/connect.rs`, `tls.rs` |
//! | pool of idle connections | `origin/link/pool.rs` |
//! | request body on its way to OSS | `origin/link/upload.rs` |
//! | DNS refresh and name servers | `origin/endpoint/dns.rs`, `name_servers.rs` |
//! | addresses in use, failed addresses | `origin/endpoint/addresses.rs`, `address_health.rs` |
//! | readiness by endpoint | `origin/endpoint/readiness.rs` |
//!
//! **[`config`]: what the operator wrote**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | loads a file, reports all its problems | [`config`], [`config::problem`] |
//! | one TOML table: keys, defaults, checks | `config/TABLE.rs`, `config/policy/TABLE.rs` |
//! | durations, sizes, host patterns | [`config::value`] |
//! | `${ENV}` and `${file:}` | `config/interpolate.rs` |
//! | JSON Schema | [`config::schema`] |
//!
//! **[`app`], [`supervise`], [`admin`]: the process**
//!
//! | Behaviour | File |
//! | --- | --- |
//! | start and end, joined parts | [`app`] |
//! | reload: what changes at once, what needs a restart | [`app::change`] |
//! | what outlives a config | [`app::state`] |
//! | worker threads | `app/worker.rs`, [`runtime`] |
//! | signals | `supervise/signals.rs` |
//! | reload, drain and log reopening | `supervise/verbs.rs` |
//! | reload when a file changes | `supervise/files.rs` |
//! | new requests answered 503 when memory is short | `supervise/memory.rs` |
//! | replacement of the running binary | `supervise/succession.rs` |
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
//! | scripted DNS, throw-away certificate authority | [`demo::dns`], [`demo::ca`] |

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod health;
pub mod http;
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
