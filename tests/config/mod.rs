//! The config as an operator sees it: keys, problems, examples, and the commands that read or write configs.

mod commands;
mod credentials;
mod description;
mod examples;
mod explain;
mod import;
mod origins;
mod policies;
mod problems;
mod tables;
