//! Imports the XML documents of OSS for a bucket's hotlink protection, CORS and website.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::import::imported::{ImportError, Imported};
use crate::cli::import::toml_text::{encoded, list, quoted};
use crate::oss::addressing::is_bucket_name;
use crate::oss::endpoint::{classify, region, regions};
use crate::oss::xml::{Node, parse};

/// Returns a line for each argument that cannot be used: a text that is no name of a bucket, or no region.
pub(super) fn wrong_arguments(bucket: &str, region_id: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !is_bucket_name(bucket) {
        let hint = bucket_in(bucket).map_or_else(String::new, |name| did_you_mean(&name));
        wrong.push(format!(
            "--bucket: `{bucket}` is not a bucket name: 3 to 63 of `a-z`, `0-9` and `-`{hint}"
        ));
    }
    if region(region_id).is_none() {
        let hint = region_in(region_id).map_or_else(String::new, did_you_mean);
        wrong.push(format!(
            "--region: `{region_id}` is not a region of OSS{hint}"
        ));
    }
    wrong
}

fn did_you_mean(name: &str) -> String {
    format!("; did you mean `{name}`?")
}

/// Returns the name of a bucket that `text` contains: in upper case, in a URL, or before an endpoint.
fn bucket_in(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let host = lower
        .split_once("://")
        .map_or(lower.as_str(), |(_, host)| host);
    let host = host.split('/').next().unwrap_or(host);
    let name = match classify(host).and_then(|host| host.bucket) {
        Some(bucket) => bucket.into_owned(),
        None => host.to_owned(),
    };
    is_bucket_name(&name).then_some(name)
}

/// Returns the region that `text` probably means. `text` may be its endpoint, its id with `_` or upper case, a
/// part of the id, or a similar word.
fn region_in(text: &str) -> Option<&'static str> {
    let lower = text.trim().to_ascii_lowercase().replace('_', "-");
    let lower = lower.strip_suffix(".aliyuncs.com").unwrap_or(&lower);
    let lower = lower.strip_prefix("oss-").unwrap_or(lower);
    let lower = lower.strip_suffix("-internal").unwrap_or(lower);
    let is_same = |id: &str| id == lower || place_of(id) == lower;
    let same = regions().iter().find(|one| is_same(one.id));
    let similar = || {
        let score = |id: &str| {
            strsim::jaro_winkler(lower, id).max(strsim::jaro_winkler(lower, place_of(id)))
        };
        let scored = regions().iter().map(|one| (score(one.id), one));
        let best = scored.max_by(|left, right| left.0.total_cmp(&right.0));
        // The threshold accepts a swapped, missing or wrong letter, and rejects an unrelated word.
        best.filter(|(score, _)| *score > 0.85).map(|(_, one)| one)
    };
    same.or_else(similar).map(|one| one.id)
}

fn place_of(id: &str) -> &str {
    id.split_once('-').map_or(id, |(_, place)| place)
}

/// Imports `files` as the settings of `bucket` in `region`. `files` are pairs of name and text.
///
/// # Errors
///
/// [`ImportError::NotXml`] for a file that is not an XML document of OSS, [`ImportError::UnknownDocument`] for an
/// XML document with other settings, and [`ImportError::Twice`] for two documents with the same settings.
pub fn import(
    files: &[(String, String)],
    bucket: &str,
    region: &str,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    let mut rules = String::new();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (name, text) in files {
        let root =
            parse(text.as_bytes()).ok_or_else(|| ImportError::NotXml { file: name.clone() })?;
        if let Some(first) = seen.insert(root.name.clone(), name) {
            return Err(ImportError::Twice {
                file: name.clone(),
                first: first.to_owned(),
                root: root.name,
            });
        }
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

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a string does not fail.
    let _written = writeln!(text, "{key} = {value}");
}
