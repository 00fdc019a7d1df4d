//! Tests that `src` follows the dependency rules of the crate.
//!
//! Rules: a file uses only lower layers or files of its own folder; a policy uses no other policy; a module
//! of `origin/` uses only lower modules of `origin/`; the files of a folder do not use each other in a
//! circle; only `config/` uses `Raw*` types; a test file uses no other test file except `support`; no file
//! has more than 400 lines. `layers/broken.rs` breaks each rule once. Left out: uses of the clock, the
//! environment and name resolution, which `.clippy.toml` forbids.
//!
//! The layers and the policy rule also apply to unit tests inside `src`. Unit tests may use a higher module
//! of `origin/` and close a circle, because they are not built into the crate.

mod broken;
mod paths;
mod rules;
mod tokens;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use paths::File;
use rules::Sources;

/// `src`, parsed once for all rules.
static SOURCES: LazyLock<Sources> = LazyLock::new(|| Sources::new(&files("src")));

/// The Rust files below a folder of the repository, with their paths from there.
fn files(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(File {
                    path: path
                        .strip_prefix(&root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    found
}

#[track_caller]
fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn a_file_uses_only_lower_layers_or_its_own_folder() {
    assert_none(&SOURCES.layers());
}

#[test]
fn policies_do_not_use_each_other() {
    assert_none(&SOURCES.policies());
}

#[test]
fn a_module_of_origin_uses_only_modules_below_it() {
    assert_none(&SOURCES.origin_modules());
}

#[test]
fn the_files_of_a_folder_form_no_circle() {
    assert_none(&SOURCES.circles());
}

#[test]
fn only_the_config_names_raw_types() {
    assert_none(&SOURCES.raw_types());
}

#[test]
fn test_files_use_no_other_test_file_but_support() {
    assert_none(&Sources::new(&files("tests")).test_files());
}

#[test]
fn no_file_has_more_than_400_lines() {
    for folder in ["src", "tests"] {
        assert_none(&rules::long(&files(folder)));
    }
}
