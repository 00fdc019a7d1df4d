//! The config as an operator sees it: keys, problems, examples, and the commands that read or write configs.

mod addresses;
mod certificates;
mod commands;
mod description;
mod examples;
mod explain;
mod import;
mod origins;
mod policies;
mod problems;
mod tables;
