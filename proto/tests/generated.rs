//! The committed code in `src/gen` is what the `.proto` files say, and what `text/characters.txt`
//! says, which is the TypeScript SDK's too. `UPDATE=1 cargo test -p gogochat-proto --test
//! generated` writes it anew.

#![allow(clippy::expect_used, reason = "a test's own helpers")]

use std::{fs, path::Path};

use prost_types::FileDescriptorSet;

const FILES: [&str; 6] = [
    "gogochat/v1/account.proto",
    "gogochat/v1/admin.proto",
    "gogochat/v1/realtime.proto",
    "gogochat/v1/social.proto",
    "gogochat/v1/sync.proto",
    "gogochat/node/v1/node.proto",
];

/// The descriptors as structures for the code generator, and as bytes, which keep our own options.
fn descriptors(root: &Path) -> (FileDescriptorSet, Vec<u8>) {
    let mut compiler = protox::Compiler::new([root]).expect("the proto folder");
    compiler.include_imports(true).include_source_info(true).open_files(FILES).expect("protos compile");
    (compiler.file_descriptor_set(), compiler.encode_file_descriptor_set())
}

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (descriptors, encoded) = descriptors(root);
    let out = tempfile::tempdir().expect("a temporary folder");
    tonic_prost_build::configure()
        .bytes(".")
        // A frame is no larger for what seldom comes.
        .boxed(".gogochat.v1.Ephemeral.kind.person")
        .out_dir(out.path())
        .compile_fds(descriptors)
        .expect("code generation");
    // Options and HTTP rules are read from the descriptors; only our own packages become code.
    let wanted = ["gogochat.v1.rs", "gogochat.node.v1.rs"];
    let mut now: Vec<(String, Vec<u8>)> = wanted
        .iter()
        .map(|name| (name.to_string(), fs::read(out.path().join(name)).expect("generated file")))
        .collect();
    now.push(("descriptors.binpb".into(), encoded));

    for (name, bytes) in now {
        settle(&root.join("src/gen").join(&name), &bytes);
    }
}

#[test]
fn both_tables_of_characters_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("text/characters.txt")).expect("the characters");
    let (edge, blank) = (characters(&source, "edge"), characters(&source, "blank"));
    assert!(edge.len() > 10 && blank.len() > 300, "{} and {} ranges", edge.len(), blank.len());
    settle(&root.join("src/gen/characters.rs"), in_rust(&edge, &blank).as_bytes());
    settle(&root.join("../web/packages/client/src/characters.ts"), in_typescript(&edge, &blank).as_bytes());
}

/// A file is what it ought to be; `UPDATE` makes it so.
fn settle(path: &Path, bytes: &[u8]) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, bytes).expect("write generated file");
    }
    let have = fs::read(path).unwrap_or_default();
    assert!(
        have == bytes,
        "{} is not what its source says: run UPDATE=1 cargo test -p gogochat-proto --test generated",
        path.display()
    );
}

/// The ranges under a name, each from its first to its last character.
fn characters(source: &str, name: &str) -> Vec<(u32, u32)> {
    let number = |text: &str| u32::from_str_radix(text, 16).expect("a code point");
    let lines = source.lines().skip_while(|line| *line != name).skip(1);
    let ranges: Vec<(u32, u32)> = lines
        .take_while(|line| !line.is_empty())
        .flat_map(str::split_whitespace)
        .map(|range| {
            range.split_once("..").map_or_else(|| (number(range), number(range)), |(a, z)| (number(a), number(z)))
        })
        .collect();
    assert!(ranges.windows(2).all(|two| matches!(two, [(_, z), (a, _)] if z < a)), "{name}: not in order");
    ranges
}

fn in_rust(edge: &[(u32, u32)], blank: &[(u32, u32)]) -> String {
    let table = |name: &str, what: &str, ranges: &[(u32, u32)]| {
        let rows: String = ranges.iter().map(|range| format!("    ({:#x}, {:#x}),\n", range.0, range.1)).collect();
        format!("/// {what}\npub(crate) const {name}: [(u32, u32); {}] = [\n{rows}];\n", ranges.len())
    };
    format!(
        "{}\n{}",
        table("EDGE", "What is cut off the ends of a text: the first and the last of each range.", edge),
        table("BLANK", "What shows nothing by itself: the first and the last of each range.", blank)
    )
}

fn in_typescript(edge: &[(u32, u32)], blank: &[(u32, u32)]) -> String {
    let table = |ranges: &[(u32, u32)]| {
        let mut before = 0;
        let ranges = ranges.iter().map(|(a, z)| {
            let gap = base_36(a - before);
            before = *z;
            if z > a { format!("{gap},{}", base_36(z - a)) } else { gap }
        });
        ranges.collect::<Vec<_>>().join(" ")
    };
    format!(
        "// Generated from proto/text/characters.txt. For each range, in base 36: how far its first character is\n\
         // behind the last of the range before, and how far its own last is behind its first.\n\n\
         export const EDGE = \"{}\";\nexport const BLANK =\n  \"{}\";\n",
        table(edge),
        table(blank)
    )
}

fn base_36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).expect("a digit"));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
