//! Imports of nginx files, and what they must write.

use std::path::Path;

use ossgate::cli::import::{Losses, Source, import};
use ossgate::config;

/// What an import of nginx files has written.
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) config: String,
    pub(crate) messages: String,
}

/// Imports the file at `path`.
pub(crate) fn import_file(path: &Path, losses: Losses) -> Outcome {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let source = Source::Nginx {
        files: &[path.to_owned()],
        buckets: &[],
        losses,
    };
    let code = import(&source, &mut out, &mut errors).unwrap();
    Outcome {
        code,
        config: String::from_utf8(out).unwrap(),
        messages: String::from_utf8(errors).unwrap(),
    }
}

/// Imports a file with this text.
pub(crate) fn nginx(text: &str, losses: Losses) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.conf");
    std::fs::write(&path, text).unwrap();
    import_file(&path, losses)
}

/// Proxies to a bucket.
pub(crate) const PASS: &str =
    "proxy_pass http://examplebucket.oss-cn-hangzhou-internal.aliyuncs.com;";

/// Asserts that the import stops and names `directives`, separated by `|`. With `--accept-loss`, the config is
/// accepted and names them as well.
#[track_caller]
pub(crate) fn expect_stop(text: &str, directives: &str) {
    let stopped = nginx(text, Losses::Stop);
    assert_eq!(
        (stopped.code, &*stopped.config),
        (3, ""),
        "{text}\n{}",
        stopped.messages
    );
    assert!(
        stopped.messages.contains("no config was written: "),
        "{}",
        stopped.messages
    );
    let accepted = nginx(text, Losses::Accept);
    assert_eq!(accepted.code, 0, "{text}\n{}", accepted.messages);
    let loaded = config::from_str("t.toml", &accepted.config, Path::new("/"), &|_| None);
    loaded.unwrap_or_else(|problems| panic!("{problems}\n{}", accepted.config));
    let names: Vec<&str> = directives.split('|').collect();
    for name in &names {
        let loss = format!(" `{name}`: nginx refuses ");
        assert!(
            stopped.messages.contains("a.conf:1:"),
            "{}",
            stopped.messages
        );
        assert!(
            stopped.messages.contains(&loss[1..]),
            "{text}\n{name}: {}",
            stopped.messages
        );
        assert!(
            accepted.config.contains(&loss),
            "{text}\n{}",
            accepted.config
        );
    }
    let found = stopped.messages.matches("`: nginx refuses ").count();
    assert_eq!(found, names.len(), "{text}\n{}", stopped.messages);
}

/// Asserts that the import writes a config that is accepted and contains `part`.
#[track_caller]
pub(crate) fn expect_config(text: &str, part: &str) {
    let outcome = nginx(text, Losses::Stop);
    assert_eq!(outcome.code, 0, "{text}\n{}", outcome.messages);
    let loaded = config::from_str("t.toml", &outcome.config, Path::new("/"), &|_| None);
    loaded.unwrap_or_else(|problems| panic!("{problems}\n{}", outcome.config));
    assert!(outcome.config.contains(part), "{text}\n{}", outcome.config);
}
