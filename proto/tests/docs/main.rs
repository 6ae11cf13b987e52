//! What `docs/` says of codes, limits and bytes is what the code does. `UPDATE=1 cargo test -p gogochat-proto --test docs` writes those parts anew.
//!
//! A part stands between `<!-- generated: NAME -->` and `<!-- /generated -->`.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test's own helpers")]

mod anatomy;
mod frames;
mod tables;

use std::{collections::BTreeMap, fs, path::PathBuf};

/// Puts the parts of this file's text in place, or finds that they are not in it.
fn check(file: &str, parts: &BTreeMap<String, String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    let have = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut want = String::new();
    let mut rest = have.as_str();
    let mut missing: Vec<&str> = parts.keys().map(String::as_str).collect();
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->").expect("the end of a marker");
        let (_, after) = after.split_once(END).unwrap_or_else(|| panic!("{file}: {name} has no end"));
        let part = parts.get(name).unwrap_or_else(|| panic!("{file}: nothing is called {name}"));
        missing.retain(|known| *known != name);
        want.push_str(&format!("{before}{BEGIN}{name} -->\n{part}\n{END}"));
        rest = after;
    }
    want.push_str(rest);
    assert_eq!(missing, [""; 0], "{file} has no place for these");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &want).expect("write the document");
    } else {
        assert!(have == want, "docs/{file} is out of date: run UPDATE=1 cargo test -p gogochat-proto --test docs");
    }
}

fn parts(parts: impl IntoIterator<Item = (&'static str, String)>) -> BTreeMap<String, String> {
    parts.into_iter().map(|(name, text)| (name.to_owned(), text.trim_end().to_owned())).collect()
}

#[test]
fn errors_and_close_codes() {
    check(
        "errors.md",
        &parts([("mistake", tables::mistake()), ("errors", tables::errors()), ("close codes", tables::close_codes())]),
    );
}

#[test]
fn the_protocol() {
    let mut all =
        parts([("limits", tables::limits()), ("methods", tables::methods()), ("close codes", tables::close_codes())]);
    all.extend(frames::sections());
    check("protocol.md", &all);
}

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- /generated -->";
