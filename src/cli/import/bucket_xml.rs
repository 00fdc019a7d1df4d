//! Imports the XML documents of OSS for a bucket's hotlink protection, CORS and website.

use std::fmt::Write;

use crate::cli::import::imported::{ImportError, Imported};
use crate::cli::import::toml_text::{list, quoted};
use crate::oss::xml::{Node, parse};

/// Imports `files`, pairs of name and text, as the settings of `bucket` in `region`.
///
/// # Errors
///
/// [`ImportError::NotXml`] for a file that is not an XML document of OSS, and
/// [`ImportError::UnknownDocument`] for an XML document with other settings.
pub fn import(
    files: &[(String, String)],
    bucket: &str,
    region: &str,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    let mut rules = String::new();
    for (name, text) in files {
        let root =
            parse(text.as_bytes()).ok_or_else(|| ImportError::NotXml { file: name.clone() })?;
        let mut note = |text: &str| imported.notes.push(format!("{name}: {text}"));
        rules.push_str(&match root.name.as_str() {
            "RefererConfiguration" => referer(&root, &mut note),
            "CORSConfiguration" => cors(&root, &mut note),
            "WebsiteConfiguration" => website(&root, &mut note),
            other => {
                return Err(ImportError::UnknownDocument {
                    file: name.clone(),
                    root: other.to_owned(),
                });
            }
        });
    }
    imported.config = format!(
        "[[listener]]\naddress = \"0.0.0.0:80\"\n\n[[route]]\norigin = {{ bucket = {}, region = {} }}\n{rules}",
        quoted(bucket),
        quoted(region)
    );
    Ok(imported)
}

fn texts<'n>(node: Option<&'n Node>, name: &'n str) -> Vec<&'n str> {
    node.into_iter()
        .flat_map(|node| node.all(name))
        .map(|node| node.text.trim())
        .filter(|text| !text.is_empty())
        .collect()
}

fn is_true(node: &Node, name: &str) -> Option<bool> {
    node.text_of(name).map(|text| text.trim() == "true")
}

fn referer(root: &Node, note: &mut dyn FnMut(&str)) -> String {
    let allow = texts(root.child("RefererList"), "Referer");
    let deny = texts(root.child("RefererBlacklist"), "Referer");
    let mut text = String::from("\n[route.referer]\n");
    if !allow.is_empty() {
        line(&mut text, "allow", &list(allow));
    }
    if !deny.is_empty() {
        line(&mut text, "deny", &list(deny));
    }
    for (name, key) in [
        ("AllowEmptyReferer", "allow_empty"),
        ("AllowTruncateQueryString", "truncate_query"),
        ("TruncatePath", "truncate_path"),
    ] {
        if let Some(is) = is_true(root, name) {
            line(&mut text, key, if is { "true" } else { "false" });
        }
    }
    for child in &root.children {
        let is_known = [
            "RefererList",
            "RefererBlacklist",
            "AllowEmptyReferer",
            "AllowTruncateQueryString",
            "TruncatePath",
        ];
        if !is_known.contains(&child.name.as_str()) {
            note(&format!("`{}` is not known and was left out", child.name));
        }
    }
    text
}

fn cors(root: &Node, note: &mut dyn FnMut(&str)) -> String {
    let mut text = String::from("\n[route.cors]\n");
    let varies = is_true(root, "ResponseVary").unwrap_or(false);
    line(
        &mut text,
        "vary_origin",
        if varies { "true" } else { "false" },
    );
    let mut count = 0;
    for rule in root.all("CORSRule") {
        count += 1;
        text.push_str("\n[[route.cors.rules]]\n");
        line(
            &mut text,
            "origins",
            &list(texts(Some(rule), "AllowedOrigin")),
        );
        line(
            &mut text,
            "methods",
            &list(texts(Some(rule), "AllowedMethod")),
        );
        for (name, key) in [("AllowedHeader", "headers"), ("ExposeHeader", "expose")] {
            let names = texts(Some(rule), name);
            if !names.is_empty() {
                line(&mut text, key, &list(names));
            }
        }
        if let Some(age) = rule.text_of("MaxAgeSeconds") {
            match age.trim().parse::<u64>() {
                Ok(seconds) => line(&mut text, "max_age", &quoted(&format!("{seconds}s"))),
                Err(_) => note(&format!(
                    "MaxAgeSeconds `{}` is not a number and was left out",
                    age.trim()
                )),
            }
        }
    }
    if count == 0 {
        note("there is no CORSRule: the table was left out, so CORS stays as OSS answers it");
        return String::new();
    }
    text
}

fn website(root: &Node, note: &mut dyn FnMut(&str)) -> String {
    let mut text = String::from("\n[route.website]\n");
    if let Some(index) = root.child("IndexDocument") {
        if let Some(suffix) = index.text_of("Suffix") {
            line(&mut text, "index", &quoted(&encoded(suffix.trim())));
        }
        if is_true(index, "SupportSubDir") == Some(true) {
            let directories = match index.text_of("Type").map(str::trim) {
                None | Some("" | "0") => "redirect",
                Some("1") => "not-found",
                Some("2") => "index",
                Some(other) => {
                    note(&format!(
                        "IndexDocument Type `{other}` is not known; 0 is used"
                    ));
                    "redirect"
                }
            };
            line(&mut text, "subdirectories", &quoted(directories));
        }
    }
    if let Some(error) = root.child("ErrorDocument") {
        if let Some(key) = error.text_of("Key") {
            line(&mut text, "error", &quoted(&encoded(key.trim())));
        }
        if let Some(status) = error.text_of("HttpStatus") {
            match status.trim() {
                status @ ("200" | "404") => line(&mut text, "error_status", status),
                other => note(&format!(
                    "HttpStatus `{other}` is neither 404 nor 200; 404 is used"
                )),
            }
        }
    }
    let rules = root
        .child("RoutingRules")
        .map_or(0, |rules| rules.all("RoutingRule").count());
    if rules > 0 {
        note(&format!(
            "{rules} RoutingRule were left out: OSS still applies them to forwarded requests, but ossgate does not apply them before it returns an index or error document"
        ));
    }
    text
}

/// Percent-encodes a key for use in a URL path.
fn encoded(key: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'/');
    percent_encoding::utf8_percent_encode(key, KEPT).to_string()
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a string does not fail.
    let _written = writeln!(text, "{key} = {value}");
}
