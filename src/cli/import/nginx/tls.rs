//! Finds `ssl_protocols` and `ssl_ciphers` directives that accept less than ossgate.

use crate::cli::import::nginx::syntax::Directive;

/// The cipher suites of TLS 1.2 that ossgate accepts, by their names in OpenSSL.
const SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// Returns a note if the directive excludes something that ossgate accepts.
pub(super) fn note(directive: &Directive) -> Option<String> {
    let words = directive.rest();
    match directive.name() {
        "ssl_protocols" => {
            let versions = ["TLSv1.2", "TLSv1.3"];
            let missing = versions
                .into_iter()
                .find(|version| !words.iter().any(|word| word.eq_ignore_ascii_case(version)))?;
            Some(format!(
                "`ssl_protocols` is not carried over: ossgate also accepts {missing}"
            ))
        }
        "ssl_ciphers" => {
            let names: Vec<&str> = words
                .iter()
                .flat_map(|word| word.split([':', ',']))
                .collect();
            let has = |name: &str| names.contains(&name);
            // Each of these words stands for all cipher suites, or for all strong ones.
            if ["ALL", "DEFAULT", "HIGH"].into_iter().any(has) {
                return None;
            }
            SUITES.into_iter().find(|suite| !has(suite)).map(|_| {
                "`ssl_ciphers` is not carried over: ossgate accepts ECDHE with AES-GCM or ChaCha20, and all of TLS 1.3".to_owned()
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_lacks_what_ossgate_accepts_is_noted() {
        let all = format!("ssl_ciphers {}:DHE-RSA-AES128-GCM-SHA256", SUITES.join(":"));
        for (text, expected) in [
            ("ssl_protocols TLSv1.2 TLSv1.3", ""),
            ("ssl_protocols TLSv1 tlsv1.2 TLSV1.3", ""),
            ("ssl_protocols TLSv1.3", "also accepts TLSv1.2"),
            (
                "ssl_protocols TLSv1 TLSv1.1 TLSv1.2",
                "also accepts TLSv1.3",
            ),
            (all.as_str(), ""),
            ("ssl_ciphers HIGH:!aNULL:!MD5", ""),
            (
                "ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384",
                "`ssl_ciphers` is not",
            ),
            ("ssl_ciphers EECDH+AESGCM:!HIGH", "`ssl_ciphers` is not"),
            ("ssl_session_timeout 1d", ""),
        ] {
            let directive = Directive {
                words: text.split(' ').map(str::to_owned).collect(),
                ..Directive::default()
            };
            let found = note(&directive).unwrap_or_default();
            assert_eq!(found.is_empty(), expected.is_empty(), "{text}: {found}");
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
