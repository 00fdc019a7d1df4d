//! The `server_name` and `listen` directives of an nginx server.

/// The hosts of a server.
pub(super) enum ServerNames {
    /// The hosts that the server responds to. Empty means every host.
    Hosts(Vec<String>),
    /// The server has names, but none of them can be imported.
    NoneImported,
}

/// Returns the hosts for the arguments of `server_name`. Names that cannot be imported are reported in
/// `notes`.
pub(super) fn server_names<'w>(
    words: impl IntoIterator<Item = &'w String>,
    notes: &mut Vec<String>,
) -> ServerNames {
    let (mut hosts, mut has_all_names) = (Vec::new(), true);
    for name in words {
        if name.starts_with('~') || name.matches('*').count() > 1 || name.ends_with(".*") {
            has_all_names = false;
            notes.push(format!(
                "the name `{name}` is not carried over: only exact names and `*.suffix` are possible"
            ));
        } else if let Some(suffix) = name.strip_prefix('.') {
            hosts.extend([suffix.to_owned(), format!("*.{suffix}")]);
        } else if name != "_" && !name.is_empty() {
            hosts.push(name.clone());
        }
    }
    if hosts.is_empty() && !has_all_names {
        ServerNames::NoneImported
    } else {
        ServerNames::Hosts(hosts)
    }
}

/// Converts the first argument of `listen` to the address of a listener.
pub(super) fn listen_address(text: &str) -> String {
    if text.starts_with("unix:") {
        text.to_owned()
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("0.0.0.0:{text}")
    } else {
        match text.strip_prefix("*:") {
            Some(port) => format!("0.0.0.0:{port}"),
            None if text.contains(':') => text.to_owned(),
            None => format!("{text}:80"),
        }
    }
}
