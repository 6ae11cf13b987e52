//! docs/limits.md says what the code does. `UPDATE=1 cargo test -p gogochat-edge --test edge limits` writes its table anew.

use std::time::Duration;

use gogochat_edge::limits::{Row, quic, tcp};

#[test]
fn every_state_ends_and_is_bounded() {
    for row in rows() {
        assert!(row.deadline > Duration::ZERO && row.deadline <= Duration::from_secs(120), "{row:?}");
        assert!(row.bytes <= tcp::ANSWERS_IN_ALL && !row.past.is_empty(), "{row:?}");
    }
}

#[test]
fn the_document_says_what_the_code_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
    let have = std::fs::read_to_string(path).unwrap();
    let (before, rest) = have.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let want = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, want).unwrap();
    } else {
        assert!(have == want, "docs/limits.md is out of date: UPDATE=1 cargo test -p gogochat-edge --test edge limits");
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    tcp::ROWS.iter().chain(quic::ROWS)
}

fn table() -> String {
    let mut table = "\n| listener | state | at most | bytes | past that |\n|---|---|---:|---:|---|\n".to_owned();
    for Row { door, state, deadline, bytes, past } in rows() {
        table += &format!("| {door} | {state} | {} s | {} | {past} |\n", deadline.as_secs(), size(*bytes));
    }
    table
}

/// "64 KiB"; of small ones the bytes.
fn size(bytes: usize) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}

const BEGIN: &str = "<!-- generated: states -->";
const END: &str = "<!-- /generated -->";
