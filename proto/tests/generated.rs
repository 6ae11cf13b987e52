//! The committed code in `src/gen` is what the `.proto` files say. `UPDATE=1 cargo test -p gogochat-proto --test generated` writes it anew.

#![allow(clippy::expect_used, reason = "a test's own helpers")]

use std::{fs, path::Path};

use prost_types::FileDescriptorSet;

const FILES: [&str; 5] = [
    "gogochat/v1/account.proto",
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
    tonic_prost_build::configure().bytes(".").out_dir(out.path()).compile_fds(descriptors).expect("code generation");
    // Options and HTTP rules are read from the descriptors; only our own packages become code.
    let wanted = ["gogochat.v1.rs", "gogochat.node.v1.rs"];
    let mut now: Vec<(String, Vec<u8>)> = wanted
        .iter()
        .map(|name| (name.to_string(), fs::read(out.path().join(name)).expect("generated file")))
        .collect();
    now.push(("descriptors.binpb".into(), encoded));

    let committed = root.join("src/gen");
    for (name, bytes) in now {
        let path = committed.join(&name);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &bytes).expect("write generated file");
        }
        let have = fs::read(&path).unwrap_or_default();
        assert!(
            have == bytes,
            "{name} is not what the .proto files say: run UPDATE=1 cargo test -p gogochat-proto --test generated"
        );
    }
}
