//! The dependency rules of the crate: a file uses only lower layers, or its own folder.
//!
//! Reads the `use crate::` lines. Left out: paths written out in code, which the style does not have.

use std::fs;
use std::path::{Path, PathBuf};

/// Module and layer; the longest matching prefix counts. `oss` stands below `config`: a region or a
/// bucket name is checked at its place in the file, by the one function that knows it.
const LAYERS: [(&str, u8); 19] = [
    ("oss", 0),
    ("config", 1),
    ("http", 2),
    ("net", 1),
    ("telemetry", 3),
    ("health", 2),
    ("shutdown", 1),
    ("runtime", 2),
    ("listener::tls", 2),
    ("listener::bind", 2),
    ("origin", 3),
    ("policy", 3),
    ("demo", 3),
    ("listener", 4),
    ("route", 4),
    ("admin", 4),
    ("app", 5),
    ("supervise", 6),
    ("cli", 7),
];

fn layer(module: &str) -> Option<u8> {
    LAYERS
        .iter()
        .filter(|(name, _)| module == *name || module.starts_with(&format!("{name}::")))
        .max_by_key(|(name, _)| name.len())
        .map(|(_, layer)| *layer)
}

fn folder(module: &str) -> &str {
    module.split("::").next().unwrap()
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn a_file_uses_only_lower_layers_or_its_own_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    let mut broken = Vec::new();
    for path in found {
        let relative = path.strip_prefix(&root).unwrap().with_extension("");
        let module = relative
            .to_str()
            .unwrap()
            .replace('/', "::")
            .replace("::mod", "");
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let own = layer(&module).unwrap_or_else(|| panic!("{module} has no layer"));
        for line in fs::read_to_string(&path).unwrap().lines() {
            let Some(used) = line.trim().strip_prefix("use crate::") else {
                continue;
            };
            let used = used
                .split(['{', ';'])
                .next()
                .unwrap()
                .trim_end_matches("::");
            let is_lower = layer(used).is_some_and(|layer| layer < own);
            if !is_lower && folder(used) != folder(&module) {
                broken.push(format!(
                    "{module} (layer {own}) uses {used} ({:?})",
                    layer(used)
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_source_file_is_longer_than_400_lines() {
    let mut found = Vec::new();
    for dir in ["src", "tests"] {
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut found);
    }
    let long: Vec<String> = found
        .iter()
        .map(|path| (fs::read_to_string(path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > 400)
        .map(|(lines, path)| format!("{lines} {}", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
