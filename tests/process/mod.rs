//! The process: start, reload, upgrade, drain, what it runs out of, and what it logs and shows.

mod admin;
mod descriptors;
mod drain;
mod lifecycle;
mod log;
mod overload;
mod reload;
