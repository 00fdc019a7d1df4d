//! Hints of the form "did you mean": the known word that is most similar to the written one, or the value in
//! the form that ossgate takes.
//!
//! Callers pass the text as written in the file, never an interpolated text.

use std::net::{IpAddr, SocketAddr};

/// Words that other programs and the documentation of OSS use, each with the words of ossgate.
const ALIASES: [(&[&str], &str); 7] = [
    (
        &[
            "vpc", "intranet", "inner", "private", "ecs", "lan", "classic",
        ],
        "internal",
    ),
    (
        &["internet", "extranet", "external", "outer", "wan"],
        "public",
    ),
    (&["acceleration", "accelerated", "global"], "accelerate"),
    (&["ipv6", "dual-stack", "dual_stack"], "dualstack"),
    (&["none", "false", "no", "disabled"], "off"),
    (&["nginx", "apache", "text"], "combined"),
    (&["readonly", "read_only", "ro"], "read-only"),
];

/// Returns "did you mean" with the most similar word. If no word is similar, returns the list of all words,
/// or `None` if there are more than 16.
pub(crate) fn hint_for(name: &str, known: &[&str]) -> Option<String> {
    nearest(name, known)
        .or_else(|| (known.len() <= 16).then(|| format!("possible here: {}", quoted(known))))
}

/// Returns "did you mean" with the word that `name` stands for, or with the most similar word; `None` when no
/// word is similar.
pub(crate) fn nearest(name: &str, known: &[&str]) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let alias = ALIASES
        .iter()
        .find(|(names, word)| names.contains(&name.as_str()) && known.contains(word));
    if let Some((_, word)) = alias {
        return Some(format!("did you mean `{word}`?"));
    }
    let score = |candidate: &&str| strsim::jaro_winkler(&name, &candidate.to_ascii_lowercase());
    known
        .iter()
        .map(|candidate| (score(candidate), candidate))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        // The threshold accepts a swapped, missing or wrong letter, and rejects an unrelated word.
        .filter(|(score, _)| *score > 0.75)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// Returns the words, each in backticks, separated by commas.
pub(crate) fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Returns a hint with the duration that `text` probably stands for.
pub(crate) fn duration(text: &str) -> Option<String> {
    let (number, unit) = number_and_unit(text)?;
    let (unit, factor) = match unit.as_str() {
        "" | "sec" | "secs" | "second" | "seconds" | "s" => ("s", 1),
        "min" | "mins" | "minute" | "minutes" | "m" => ("m", 1),
        "hour" | "hours" | "hr" | "hrs" | "h" => ("h", 1),
        "day" | "days" | "d" => ("d", 1),
        "week" | "weeks" | "w" => ("d", 7),
        "month" | "months" => ("d", 30),
        "year" | "years" | "y" => ("d", 365),
        "msec" | "millisecond" | "milliseconds" | "ms" => ("ms", 1),
        _ => return None,
    };
    let count = number.checked_mul(factor)?;
    Some(format!("write `\"{count}{unit}\"`"))
}

/// Returns a hint with the size that `text` probably stands for.
pub(crate) fn size(text: &str) -> Option<String> {
    let (number, unit) = number_and_unit(text)?;
    let unit = match unit.as_str() {
        "" | "b" | "byte" | "bytes" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        _ => return None,
    };
    Some(format!("write `\"{number}{unit}\"`"))
}

/// Splits a text into a whole number and the unit after it, in lower case.
fn number_and_unit(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let end = text
        .find(|sign: char| !sign.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

/// Returns a hint with the address to listen on that `text` probably stands for.
pub(crate) fn listen_address(text: &str) -> Option<String> {
    if text.starts_with('/') {
        return Some(format!("write `\"unix:{text}\"`"));
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.trim_end_matches('/');
    let address = if rest.parse::<SocketAddr>().is_ok() {
        rest.to_owned()
    } else if let Ok(ip) = rest.trim_matches(['[', ']']).parse::<IpAddr>() {
        SocketAddr::new(ip, 80).to_string()
    } else {
        let (host, port) = rest.rsplit_once(':').unwrap_or(("", rest));
        let port: u16 = port.parse().ok()?;
        match host {
            "" | "*" | "_" => format!("0.0.0.0:{port}"),
            "localhost" => format!("127.0.0.1:{port}"),
            _ => {
                return Some(format!(
                    "write an IP address of this machine, or `\"0.0.0.0:{port}\"` for all of them"
                ));
            }
        }
    };
    Some(format!("write `\"{address}\"`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_in_the_form_that_ossgate_takes() {
        for (text, expected) in [
            ("3 sec", Some("3s")),
            ("1min", Some("1m")),
            ("2w", Some("14d")),
            ("30", Some("30s")),
            ("500 ms", Some("500ms")),
            ("soon", None),
            ("1.5s", None),
            ("99999999999999999999 s", None),
        ] {
            let expected = expected.map(|value| format!("write `\"{value}\"`"));
            assert_eq!(duration(text), expected, "{text}");
        }
        for (text, expected) in [
            ("64k", Some("64KiB")),
            ("16 MB", Some("16MiB")),
            ("1g", Some("1GiB")),
            ("4096", Some("4096B")),
            ("big", None),
        ] {
            let expected = expected.map(|value| format!("write `\"{value}\"`"));
            assert_eq!(size(text), expected, "{text}");
        }
        for (text, expected) in [
            (":80", Some("0.0.0.0:80")),
            ("*:80", Some("0.0.0.0:80")),
            ("80", Some("0.0.0.0:80")),
            ("localhost:8080", Some("127.0.0.1:8080")),
            ("0.0.0.0", Some("0.0.0.0:80")),
            ("[::]", Some("[::]:80")),
            ("http://10.0.0.1:80/", Some("10.0.0.1:80")),
            ("/run/a.sock", Some("unix:/run/a.sock")),
            ("nowhere", None),
            (":99999", None),
        ] {
            let expected = expected.map(|value| format!("write `\"{value}\"`"));
            assert_eq!(listen_address(text), expected, "{text}");
        }
        assert_eq!(
            nearest("internet", &["internal", "public"]).as_deref(),
            Some("did you mean `public`?")
        );
    }
}
