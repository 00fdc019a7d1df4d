//! The rules of a route, as a client meets them: through the real proxy over a socket. One file a rule.

mod cors;
mod guard;
mod https;
mod preview;
mod referer;
mod website;
