//! The rules of a route as a client sees them, through the real proxy over a socket. One file for each rule.

mod cors;
mod guard;
mod https;
mod preview;
mod referer;
mod respelling;
mod website;
