//! The configuration file: each key with its line, and all that is wrong with keys and types in one
//! pass.

use std::path::Path;

use toml_edit::{ImDocument, Item};

use super::{
    given::Given,
    known::{Known, unknown},
};

/// Takes in the keys of a TOML text. `file`: its name, for messages.
pub(super) fn read(file: &Path, text: &str, known: &Known, given: &mut Given) {
    let place = |at: usize| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        format!("{}:{line}", file.display())
    };
    let document = match ImDocument::parse(text) {
        Ok(document) => document,
        Err(error) => {
            // Not the whole of the error: it shows the line, which may have a password in it.
            let at = error.span().map_or(0, |span| span.start);
            return given.unreadable(place(at), format!("not TOML: {}", error.message().replace('\n', ", ")));
        }
    };
    for (key, at, item) in entries(&document, known) {
        if !known.has(&key) {
            let advice = match known.has_section(&key) {
                true => format!("this is a section: write its keys under [{key}]"),
                false => unknown(&known.nearest(&key)),
            };
            given.wrong(place(at), key.clone(), advice);
            given.suspect(known.nearest(&key));
            continue;
        }
        let Ok(value) = item.into_value() else { continue };
        match known.fit(&key, &value) {
            Ok(()) => given.set(key, value, place(at)),
            Err(misfit) => given.wrong(place(misfit.span.map_or(at, |span| span.start)), key, misfit.advice),
        }
    }
}

/// Every key by its path, where it stands, and its value. Sections that there are not have keys all
/// the same, which may be meant for others.
fn entries(document: &ImDocument<&str>, known: &Known) -> Vec<(String, usize, Item)> {
    let mut entries = Vec::new();
    for (name, item) in document.iter() {
        let begin = |at: Option<&toml_edit::Key>| at.and_then(|key| key.span()).map_or(0, |span| span.start);
        match item.as_table_like() {
            Some(table) if !known.has(name) && (known.has_section(name) || !table.is_empty()) => {
                for (key, item) in table.iter() {
                    let at = begin(table.get_key_value(key).map(|(key, _)| key));
                    entries.push((format!("{name}.{key}"), at, item.clone()));
                }
            }
            _ => entries.push((name.to_owned(), begin(document.key(name)), item.clone())),
        }
    }
    entries.sort_by_key(|(_, at, _)| *at);
    entries
}
