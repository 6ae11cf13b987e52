//! What the last release offers stays: each contract against its committed baseline. Clients know the
//! public one; edges and cores of two releases, which meet while one takes the other's place, know
//! the nodes' own.
//!
//! Adding is free. When a release goes out, `UPDATE_BASELINE=1 cargo test -p gogochat-proto --test breaking`
//! makes what it offers the new baseline; it does so only where nothing is broken. A change that breaks
//! on purpose begins a new package (gogochat.v2, gogochat.node.v2).

#![allow(clippy::expect_used, reason = "a test's own helpers")]

#[path = "breaking/compare.rs"]
mod compare;

use std::{fs, path::Path};

use prost_reflect::DescriptorPool;

/// A package that others rely on.
struct Contract {
    package: &'static str,
    baseline: &'static str,
    files: &'static [&'static str],
}

const PUBLIC: Contract = Contract {
    package: "gogochat.v1",
    baseline: "baseline/v1.binpb",
    files: &[
        "gogochat/v1/account.proto",
        "gogochat/v1/admin.proto",
        "gogochat/v1/realtime.proto",
        "gogochat/v1/social.proto",
        "gogochat/v1/sync.proto",
    ],
};

const NODES: Contract = Contract {
    package: "gogochat.node.v1",
    baseline: "baseline/node-v1.binpb",
    files: &["gogochat/node/v1/node.proto"],
};

impl Contract {
    /// Its descriptors as the folder `root` has it, without comments.
    fn compile(&self, root: &Path) -> Vec<u8> {
        let mut compiler = protox::Compiler::new([root]).expect("the proto folder");
        compiler.include_imports(true).include_source_info(false).open_files(self.files).expect("protos compile");
        compiler.encode_file_descriptor_set()
    }

    fn breaks(&self, old: &DescriptorPool, new: &DescriptorPool) -> Vec<String> {
        compare::breaks(self.package, old, new)
    }
}

fn pool(encoded: &[u8]) -> DescriptorPool {
    DescriptorPool::decode(encoded).expect("descriptors")
}

#[test]
fn nothing_that_was_released_is_broken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for contract in [PUBLIC, NODES] {
        let (path, now) = (root.join(contract.baseline), contract.compile(root));
        if path.exists() {
            let breaks = contract.breaks(&pool(&fs::read(&path).expect("the baseline")), &pool(&now));
            let package = contract.package;
            assert!(breaks.is_empty(), "what the last release knows of {package} breaks:\n  {}", breaks.join("\n  "));
        }
        if std::env::var_os("UPDATE_BASELINE").is_some() {
            fs::write(&path, now).expect("write the baseline");
        }
        assert!(
            path.exists(),
            "there is no baseline: run UPDATE_BASELINE=1 cargo test -p gogochat-proto --test breaking"
        );
    }
}

#[test]
fn planted_breaks_are_all_caught() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (contract, planted) in [(PUBLIC, PLANTED), (NODES, PLANTED_BETWEEN_NODES)] {
        let before = pool(&contract.compile(root));
        assert_eq!(contract.breaks(&before, &before), Vec::<String>::new());
        for [file, old, new, wanted] in planted {
            let breaks = contract.breaks(&before, &pool(&contract.compile(changed(root, file, old, new).path())));
            assert!(
                breaks.iter().any(|b| b.starts_with(wanted)),
                "{file}: {old:?} -> {new:?} gave {breaks:#?}, not {wanted}"
            );
        }
    }
}

#[test]
fn additions_are_free() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (contract, added) in [(PUBLIC, ADDED), (NODES, ADDED_BETWEEN_NODES)] {
        let before = pool(&contract.compile(root));
        for [file, old, new] in added {
            let breaks = contract.breaks(&before, &pool(&contract.compile(changed(root, file, old, new).path())));
            assert_eq!(breaks, Vec::<String>::new(), "{file}: {old:?} -> {new:?}");
        }
    }
}

/// The proto folder with one change.
fn changed(root: &Path, file: &str, old: &str, new: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for folder in ["gogochat/v1", "gogochat/node/v1", "google/api"] {
        fs::create_dir_all(copy.path().join(folder)).expect("a folder");
        for entry in fs::read_dir(root.join(folder)).expect("the proto folder").flatten() {
            fs::copy(entry.path(), copy.path().join(folder).join(entry.file_name())).expect("a copy");
        }
    }
    let folder = if file == "node" { "node/v1" } else { "v1" };
    let path = copy.path().join(format!("gogochat/{folder}/{file}.proto"));
    let text = fs::read_to_string(&path).expect("a proto file");
    assert!(text.contains(old), "{file}.proto has no {old:?} any more");
    fs::write(&path, text.replace(old, new)).expect("write a proto file");
    copy
}

/// What to put for what in which file, and what the check has to say.
const PLANTED: &[[&str; 4]] = &[
    ["chat", "  string text = 3;\n", "", "field gogochat.v1.SendMessageRequest.text (3) is gone"],
    ["chat", "string text = 3;", "string text = 4;", "field gogochat.v1.SendMessageRequest.text (3) is gone"],
    ["chat", "string text = 3;", "string body = 3;", "field gogochat.v1.SendMessageRequest.text (3) is called body"],
    [
        "chat",
        "string text = 3;",
        "bytes text = 3;",
        "field gogochat.v1.SendMessageRequest.text (3) was string and is bytes",
    ],
    [
        "chat",
        "string text = 3;",
        "repeated string text = 3;",
        "field gogochat.v1.SendMessageRequest.text (3) was single and is repeated",
    ],
    [
        "chat",
        "string text = 3;",
        "string text = 3 [json_name = \"body\"];",
        "field gogochat.v1.SendMessageRequest.text (3) is body in JSON, was text",
    ],
    [
        "chat",
        "string text = 3;",
        "optional string text = 3;",
        "field gogochat.v1.SendMessageRequest.text (3) was without presence and is with presence",
    ],
    [
        "chat",
        "Head head = 6;",
        "Member head = 6;",
        "field gogochat.v1.Conversation.head (6) was gogochat.v1.Head and is gogochat.v1.Member",
    ],
    [
        "chat",
        "    int64 before_seq = 3;\n  }",
        "  }\n  int64 before_seq = 3;",
        "field gogochat.v1.ListEventsRequest.before_seq (3) was in oneof from and is without presence",
    ],
    ["error", "FieldViolation", "Violation", "message gogochat.v1.FieldViolation is gone"],
    [
        "event",
        "CONVERSATION_KIND_GROUP = 2;",
        "",
        "value gogochat.v1.ConversationKind.CONVERSATION_KIND_GROUP (2) is gone",
    ],
    [
        "event",
        "CONVERSATION_KIND_GROUP = 2;",
        "CONVERSATION_KIND_GROUP = 3;",
        "value gogochat.v1.ConversationKind.CONVERSATION_KIND_GROUP (2) is gone",
    ],
    [
        "event",
        "CONVERSATION_KIND_GROUP = 2;",
        "CONVERSATION_KIND_TEAM = 2;",
        "value gogochat.v1.ConversationKind.CONVERSATION_KIND_GROUP (2) is called CONVERSATION_KIND_TEAM",
    ],
    ["social", "ContactState", "ContactStanding", "enum gogochat.v1.ContactState is gone"],
    ["social", "service SocialService {", "service PeopleService {", "service gogochat.v1.SocialService is gone"],
    ["account", "rpc GetAccount(", "rpc ReadAccount(", "method gogochat.v1.AccountService.GetAccount is gone"],
    [
        "account",
        "rpc LogOut(LogOutRequest)",
        "rpc LogOut(GetAccountRequest)",
        "method gogochat.v1.AccountService.LogOut: its request was gogochat.v1.LogOutRequest and is gogochat.v1.GetAccountRequest",
    ],
    [
        "account",
        "(GetAccountRequest) returns (Account)",
        "(GetAccountRequest) returns (Session)",
        "method gogochat.v1.AccountService.GetAccount: its response was gogochat.v1.Account and is gogochat.v1.Session",
    ],
    [
        "account",
        "(GetAccountRequest) returns (Account)",
        "(stream GetAccountRequest) returns (Account)",
        "method gogochat.v1.AccountService.GetAccount: its client streaming was false and is true",
    ],
    [
        "account",
        "(GetAccountRequest) returns (Account)",
        "(GetAccountRequest) returns (stream Account)",
        "method gogochat.v1.AccountService.GetAccount: its server streaming was false and is true",
    ],
    [
        "account",
        "option (public) = true;",
        "",
        "method gogochat.v1.AccountService.Register: its openness to callers without a token was true and is unset",
    ],
    [
        "account",
        "get: \"/v1/account\"",
        "get: \"/v1/me\"",
        "method gogochat.v1.AccountService.GetAccount: its HTTP rule was",
    ],
    [
        "account",
        "{ post: \"/v1/accounts\" body: \"*\" }",
        "{ put: \"/v1/accounts\" body: \"*\" }",
        "method gogochat.v1.AccountService.Register: its HTTP rule was",
    ],
    [
        "account",
        "{ post: \"/v1/accounts\" body: \"*\" }",
        "{ post: \"/v1/accounts\" }",
        "method gogochat.v1.AccountService.Register: its HTTP rule was",
    ],
    [
        "chat",
        "option (lane) = LANE_ORDERED;",
        "",
        "method gogochat.v1.ChatService.SendMessage: its lane was 1 and is unset",
    ],
];

const PLANTED_BETWEEN_NODES: &[[&str; 4]] = &[
    ["node", "  int64 own_seq = 3;\n", "", "field gogochat.node.v1.SessionOpened.own_seq (3) is gone"],
    [
        "node",
        "    bytes uninterest = 6;\n",
        "    string uninterest = 6;\n",
        "field gogochat.node.v1.EdgeItem.uninterest (6) was bytes and is string",
    ],
    [
        "node",
        "(stream EdgeBatch) returns (stream CoreBatch)",
        "(EdgeBatch) returns (stream CoreBatch)",
        "method gogochat.node.v1.NodeService.Attach: its client streaming was true and is false",
    ],
    [
        "node",
        "EPHEMERAL_KIND_PRESENCE = 2;",
        "",
        "value gogochat.node.v1.EphemeralKind.EPHEMERAL_KIND_PRESENCE (2) is gone",
    ],
    ["node", "rpc Invoke(", "rpc Ask(", "method gogochat.node.v1.NodeService.Invoke is gone"],
];

const ADDED_BETWEEN_NODES: &[[&str; 3]] = &[
    ["node", "message Drained {}", "message Drained { int32 why = 1; } message Added {}"],
    ["node", "    Drained drained = 9;", "    Drained drained = 9; Drained again = 99;"],
];

const ADDED: &[[&str; 3]] = &[
    ["chat", "string text = 3;", "string text = 3; string colour = 99;"],
    ["event", "CONVERSATION_KIND_GROUP = 2;", "CONVERSATION_KIND_GROUP = 2; CONVERSATION_KIND_TEAM = 3;"],
    ["account", "message LogOutRequest {}", "message LogOutRequest {} message Added {}"],
    ["account", "rpc GetAccount(", "rpc ReadAccount(GetAccountRequest) returns (Account); rpc GetAccount("],
];
