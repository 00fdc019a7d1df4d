//! Imports nginx files that follow the recipe of the OSS documentation (a reverse proxy on an ECS instance)
//! or a variant of it. Other common directives are also imported.
//!
//! The files are parsed to a tree of directives, translated to routes, and written as a config.
//!
//! # Decision
//!
//! nginx files refuse requests in ways that a config of ossgate cannot express. The config must not serve what
//! nginx refused, so each such directive is a [`Loss`](loss::Loss), and the operator decides whether a config
//! with losses is written. A directive that is not known counts as a loss as well. A false alarm only costs the
//! operator a look into the file, but a missed refusal opens what nginx closed.

mod access;
mod branch;
mod changed;
mod condition;
mod enter;
mod fields;
mod left_out;
mod listeners;
mod location;
mod loss;
mod map;
mod mapping;
mod matches;
mod methods;
mod names;
mod notes;
mod origin;
mod output;
mod path_pattern;
mod pattern;
mod proxied;
mod redirect;
mod regions;
mod rules;
mod scope;
mod syntax;
mod tls;
mod translation;
mod units;
mod unserved;
mod variables;

use std::rc::Rc;

use crate::cli::import::imported::{ImportError, Imported};
use syntax::Directive;
use translation::Translation;

/// The maximum nesting of included files.
const DEPTH: usize = 8;

/// Reads the files that an `include` names. The arguments are the name of the file that the operator names, and
/// the argument of `include`. Returns pairs of name and text. `None` means that a file cannot be read.
pub type Include<'i> = dyn FnMut(&str, &str) -> Option<Vec<(String, String)>> + 'i;

/// Imports `files` like [`import_with`], without buckets and without included files. `files` are pairs of name
/// and text.
///
/// # Errors
///
/// The same as those of [`import_with`].
pub fn import(files: &[(String, String)]) -> Result<Imported, ImportError> {
    import_with(files, &[], &mut |_, _| None)
}

/// Imports `files`, pairs of name and text. `buckets` are the buckets that clients may choose, by name or by
/// pattern, if the files let the client choose the bucket. `include` reads included files.
///
/// # Errors
///
/// [`ImportError::NginxSyntax`] for a file that is not in nginx's syntax, [`ImportError::NoBucket`] when no
/// directive proxies to a bucket, and [`ImportError::AnyBucket`] when the client chooses the bucket and
/// `buckets` is empty.
pub fn import_with(
    files: &[(String, String)],
    buckets: &[String],
    include: &mut Include<'_>,
) -> Result<Imported, ImportError> {
    let mut trees = Vec::new();
    for (name, text) in files {
        trees.push(parse(name, name, text, DEPTH, include)?);
    }
    let mut translation = Translation::new(buckets);
    for tree in &trees {
        translation.add_definitions(tree);
    }
    translation.add_servers();
    if translation.lacks_buckets && buckets.is_empty() {
        let notes = translation.notes.into_list();
        return Err(ImportError::AnyBucket { notes });
    }
    if translation.routes.is_empty() {
        let notes = translation.notes.into_list();
        return Err(ImportError::NoBucket { notes });
    }
    let written = translation.write();
    Ok(Imported {
        config: written.config,
        notes: written.notes,
        losses: written.losses.iter().map(|loss| loss.line()).collect(),
    })
}

/// Parses the file `name`. Each `include` is replaced by the content of its files. An `include` whose files
/// cannot be read stays in the tree.
fn parse(
    root: &str,
    name: &str,
    text: &str,
    depth: usize,
    include: &mut Include<'_>,
) -> Result<Vec<Directive>, ImportError> {
    let file: Rc<str> = name.into();
    let tree = syntax::parse(&file, text).map_err(|error| ImportError::NginxSyntax {
        file: name.to_owned(),
        line: error.line,
        reason: error.reason,
    })?;
    expand(root, tree, depth, include)
}

fn expand(
    root: &str,
    tree: Vec<Directive>,
    depth: usize,
    include: &mut Include<'_>,
) -> Result<Vec<Directive>, ImportError> {
    let mut expanded = Vec::with_capacity(tree.len());
    for mut directive in tree {
        if directive.name() == "include"
            && depth > 0
            && let Some(files) = include(root, directive.first())
        {
            for (name, text) in files {
                expanded.extend(parse(root, &name, &text, depth - 1, include)?);
            }
            continue;
        }
        directive.block = expand(root, directive.block, depth, include)?;
        expanded.push(directive);
    }
    Ok(expanded)
}
