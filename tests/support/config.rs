//! Config texts, the files they name, and the problems that loading them reports.
//!
//! The examples name certificates below `/etc/ossgate/tls`. [`Files`] makes throw-away ones, and
//! [`Files::place`] puts their paths into the text. The current time is a parameter, so no certificate
//! expires.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ossgate::config::{Loaded, Problems, from_str_at};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

pub(crate) const LISTENER: &str = "[[listener]]\naddress = \"127.0.0.1:80\"\n";
pub(crate) const ROUTE: &str =
    "[[route]]\norigin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }\n";

/// Certificates in a temporary directory. Dropping this value removes the directory.
pub(crate) struct Files {
    directory: TempDir,
}

impl Files {
    /// Writes a certificate for `img.example.com`, `www.example.com` and `*.Example.org`, valid from 2020 to 2030,
    /// and its key. Also writes a key that does not match, a file that is not PEM, and a secret.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let names = ["img.example.com", "*.Example.org", "www.example.com"].map(String::from);
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let files = Self { directory };
        for (name, content) in [
            ("fullchain.pem", certificate.pem()),
            ("privkey.pem", key.serialize_pem()),
            ("other.pem", KeyPair::generate().unwrap().serialize_pem()),
            ("empty.pem", "nothing\n".to_owned()),
            ("secret", "hunter2\n".to_owned()),
        ] {
            std::fs::write(files.path(name), content).unwrap();
        }
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the certificate paths of the examples in `text` by the paths of these files.
    pub(crate) fn place(&self, text: &str) -> String {
        let directory = self.directory.path().display().to_string();
        text.replace("/etc/ossgate/tls", &directory)
    }

    /// Loads `text` with a clock in 2025 and a few environment variables.
    pub(crate) fn read(&self, text: &str) -> Result<Loaded, Problems> {
        self.read_in(text, 2025)
    }

    pub(crate) fn read_in(&self, text: &str, year: u64) -> Result<Loaded, Problems> {
        let env = |name: &str| match name {
            "BUCKET" => Some("examplebucket".to_owned()),
            "SECRET" => Some("Hunter2!*".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let base = self.directory.path();
        from_str_at("t.toml", text, base, &env, in_year(year))
    }
}

fn in_year(year: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600)
}

/// Returns each problem as one line.
pub(crate) fn lines(problems: &Problems) -> Vec<String> {
    problems
        .iter()
        .map(|problem| problems.line(problem))
        .collect()
}

/// Returns the names and texts of the shipped examples.
pub(crate) fn examples() -> Vec<(String, String)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let mut examples: Vec<(String, String)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    examples.sort();
    examples
}

/// Returns the text of the example `name`.
pub(crate) fn example(name: &str) -> String {
    let found = examples().into_iter().find(|(known, _)| known == name);
    found.unwrap().1
}

/// Asserts that `text` has the problems `expected` and no others.
#[track_caller]
pub(crate) fn expect(files: &Files, text: &str, expected: &[&str]) {
    let found = match files.read(text) {
        Ok(loaded) => lines(&loaded.warnings),
        Err(problems) => lines(&problems),
    };
    let expected: Vec<String> = expected
        .iter()
        .map(|line| format!("t.toml:{line}"))
        .collect();
    assert_eq!(found, expected, "\n{text}");
}

/// Each row has keys and the problem that they must cause, or an empty text for no problem. Asserts this for
/// a config that consists of `before`, the keys and `after`.
pub(crate) fn expect_rows(before: &str, after: &str, rows: &[(&str, &str)]) {
    let files = Files::new();
    for (keys, expected) in rows {
        let expected: &[&str] = if expected.is_empty() {
            &[]
        } else {
            &[expected]
        };
        expect(
            &files,
            &files.place(&format!("{before}{keys}\n{after}")),
            expected,
        );
    }
}
