//! Imports nginx files that follow the recipe of the OSS documentation (a reverse proxy on an ECS instance)
//! or a variant of it. Other common directives are also imported.
//!
//! The files are parsed to a tree of directives, translated to routes, and written as a config.

mod left_out;
mod map;
mod names;
mod origin;
mod output;
mod syntax;
mod translation;

use crate::cli::import::imported::{ImportError, Imported};
use translation::Translation;

/// Imports `files`, pairs of name and text.
///
/// # Errors
///
/// [`ImportError::NginxSyntax`] for a file that is not in nginx's syntax, and [`ImportError::NoBucket`] when
/// no `proxy_pass` could be translated to a route with a bucket.
pub fn import(files: &[(String, String)]) -> Result<Imported, ImportError> {
    let mut trees = Vec::new();
    for (name, text) in files {
        let tree = syntax::parse(text).map_err(|error| ImportError::NginxSyntax {
            file: name.clone(),
            line: error.line,
            reason: error.reason,
        })?;
        trees.push((name.as_str(), tree));
    }
    let mut translation = Translation::default();
    for (name, tree) in &trees {
        translation.add_definitions(name, tree);
    }
    for (name, tree) in &trees {
        translation.add_servers(name, tree);
    }
    let Translation {
        mut notes, output, ..
    } = translation;
    if output.routes.is_empty() {
        return Err(ImportError::NoBucket { notes });
    }
    let config = output.write(&mut notes);
    Ok(Imported { config, notes })
}
