//! The process: start, reload, upgrade, drain, exhausted resources, logs, and the admin listener.

mod address_lists;
mod admin;
mod certificates;
mod descriptors;
mod drain;
mod included;
mod lifecycle;
mod log;
mod overload;
mod readiness;
mod reload;
mod scale;
