//! The config as an operator sees it: keys, problems, examples, and the commands that read or write configs.

mod addresses;
mod arguments;
mod certificates;
mod commands;
mod credentials;
mod description;
mod examples;
mod explain;
mod explain_command;
mod header_fields;
mod import;
mod import_forms;
mod import_headers;
mod import_losses;
mod import_probe;
mod import_random;
mod import_servers;
mod import_xml;
mod include;
mod key_files;
mod origins;
mod policies;
mod problems;
mod tables;
mod wrong;
