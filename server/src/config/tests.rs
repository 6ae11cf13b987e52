//! The example file, the structures and the advice agree.

use std::borrow::Cow;

use super::{known::Known, *};
use crate::{
    check::{accept, advice},
    issue::{self, Order},
};

const EXAMPLE: &str = include_str!("../../../docs/gogochat.example.toml");

fn given(text: &str) -> Given {
    let mut given = Given::default();
    file::read(Path::new("g.toml"), text, &Known::new(), &mut given);
    given
}

/// What is wrong with the keys and their types alone.
fn mistakes(text: &str) -> Vec<String> {
    given(text).problems.iter().map(ToString::to_string).collect()
}

fn from_toml(text: &str) -> Config {
    assert_eq!(mistakes(text), Vec::<String>::new(), "{text}");
    given(text).config()
}

fn check(config: &Config) -> Vec<Problem> {
    crate::check::check(config, None)
}

#[test]
fn the_example_says_the_defaults() {
    assert_eq!(from_toml(EXAMPLE), Config::default());
}

#[test]
fn the_example_has_every_key() {
    let known = Known::new();
    let missing: Vec<_> = known
        .keys()
        .filter(|key| {
            let (body, name) = match key.split_once('.') {
                Some((section, name)) => {
                    let body = EXAMPLE.split(&format!("[{section}]")).nth(1).unwrap_or_default();
                    (body.split("\n[").next().unwrap_or_default(), name)
                }
                None => (EXAMPLE, *key),
            };
            // An optional key stands there as a comment.
            !body.contains(&format!("\n{name} =")) && !body.contains(&format!("\n# {name} ="))
        })
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn all_wrong_keys_and_values_are_named_at_once_with_their_lines() {
    let text = r#"nod = "a"
drain_ms = "soon"
data = { folder = "/srv" }

[edge]
listne = ["[::]:443"]
sessions = 1.5
listen = [
    "[::]:443",
    "nowhere",
]
[egde]
origins = []
[core]
presence = "smoke"
services = ["chat", "games"]
trust_loopback = 1
kafka_properties = { "sasl.password" = 271828 }
[cluster]
listen = 7443
cores = [
    { name = "core-1", address = "h:1" },
    { name = "core-2", adress = "h:2" },
]
http.colour = "red"
"#;
    let wanted = [
        "g.toml:1: nod: there is no such key: did you mean node?",
        "g.toml:2: drain_ms: it wants a whole number, as 10000, and this is text",
        "g.toml:3: data: it wants text in quotes, and this is a table",
        "g.toml:6: edge.listne: there is no such key: did you mean edge.listen?",
        "g.toml:7: edge.sessions: it wants a whole number, as 0, and this is a number with a fraction",
        "g.toml:10: edge.listen: invalid socket address syntax: it wants a list, as [\"[::]:443\"]",
        "g.toml:13: egde.origins: there is no such key: did you mean edge.origins?",
        "g.toml:15: core.presence: unknown variant `smoke`, expected `memory` or `redis`",
        "g.toml:16: core.services: unknown variant `games`, expected one of `account`,",
        "g.toml:17: core.trust_loopback: it wants true or false, and this is a whole number",
        "g.toml:18: core.kafka_properties: it wants a table of texts in quotes",
        "g.toml:20: cluster.listen: it wants an address in quotes, as \"0.0.0.0:7443\", and this is a whole number",
        "g.toml:23: cluster.cores: unknown field `adress`, expected one of `name`, `address`, `services`",
        "g.toml:25: cluster.http: there is no such key",
    ];
    let found = mistakes(text);
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted) && !found.contains("271828"), "{found}\nfor {wanted}");
    }
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
}

#[test]
fn what_is_not_toml_is_said_with_its_line_and_without_its_text() {
    for (text, line) in [("data = \"./data\"\ncore.store = \"mysql://u:s3cr3t@h/d\nnode = 1", 2), ("a = 1\na = 2", 2)] {
        let found = mistakes(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("g.toml:{line}: not TOML: ")) && !found[0].contains("s3cr3t"),
            "{found:?}"
        );
    }
    assert_eq!(mistakes("edge = 5\n[log]"), ["g.toml:1: edge: this is a section: write its keys under [edge]"]);
    assert_eq!(mistakes("[[edge]]\nlisten = []").len(), 1);
}

/// What only follows from a mistake is not said beside it.
#[test]
fn a_mistake_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let said = |text: &str| {
        let problems = accept(&given(text), None).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let found = said(&least(dir.path()).replace("edge.certificate", "edge.certficate"));
    assert!(found.len() == 1 && found[0].contains("did you mean edge.certificate?"), "{found:?}");
    let found = said("roles = [\"edg\"]");
    assert!(found.len() == 1 && found[0].contains("`edg`"), "{found:?}");
    let found = said("node = \"a b\"\ncluster.name = \"\"");
    assert_eq!(found.iter().filter(|said| said.starts_with("g.toml:1: node: a node name has letters")).count(), 1);
    assert_eq!(found.iter().filter(|said| said.starts_with("g.toml:2: cluster.name: ")).count(), 1);
    assert!(
        found.contains(&"edge.key: missing: give the certificate's private key as a PEM file".to_owned()),
        "{found:?}"
    );
}

/// With what an edge and a core in one process need at least.
fn least(dir: &Path) -> String {
    issue::dev(dir).unwrap();
    format!("edge.certificate = {:?}\nedge.key = {:?}", dir.join("cert.pem"), dir.join("key.pem"))
}

fn keys(toml: &str) -> Vec<Cow<'static, str>> {
    check(&from_toml(toml)).into_iter().map(|problem| problem.key).collect()
}

/// All that is said, for a configuration with one problem.
fn only(toml: &str) -> String {
    let problems = check(&from_toml(toml));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[cfg(feature = "cluster")]
#[test]
fn each_problem_names_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let least = least(dir.path());
    assert_eq!(keys(""), ["edge.certificate", "edge.key"]);
    assert_eq!(keys("roles = []"), ["roles"]);
    assert_eq!(keys("roles = [\"core\"]\nnode = \"a b\""), ["node", "cluster.listen"]);
    assert_eq!(
        keys("roles = [\"core\"]\ncluster.listen = \"127.0.0.1:1\""),
        ["cluster.ca", "cluster.certificate", "cluster.key"]
    );
    assert_eq!(
        keys(&format!(
            "{least}\nedge.origins = [\"chat.example.org/\"]\ncore.store = \"postgres:x\"\nlog.level = \"a=b=c\""
        )),
        ["edge.origins", "core.store", "log.level"]
    );
    let origins = |list: &str| keys(&format!("{least}\nedge.origins = [{list}]"));
    let good =
        r#""https://App.Example:443", "HTTPS://app.example", "http://app.example:80", "https://[2001:DB8::1]:8443""#;
    assert_eq!(origins(good), Vec::<&str>::new());
    for bad in ["http://app.example:80/chat", "https://app.example/", "*", "null", "https://u@app.example", "ws://a"] {
        assert_eq!(origins(&format!("{bad:?}")), ["edge.origins"], "{bad}");
    }
    let hsts = |seconds: u64| keys(&format!("{least}\nedge.hsts_seconds = {seconds}"));
    assert_eq!((hsts(0), hsts(316_224_000)), (vec![], vec![]));
    assert_eq!(hsts(316_224_001), ["edge.hsts_seconds"]);
    for key in ["http.proxy_protocol_from", "edge.proxy_protocol_from"] {
        let keys = |networks: &str| keys(&format!("{least}\n{key} = [{networks}]"));
        assert_eq!(keys(r#""10.0.0.5", "10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0""#), Vec::<&str>::new());
        for bad in [r#""10.0.0.0/33""#, r#""10.0.0.0/8", "10.0.0.1/8""#, r#""gateway""#, "''"] {
            assert_eq!(keys(bad), [key]);
        }
    }
    let core = "roles = [\"core\"]\ncluster.listen = \"127.0.0.1:1\"\nhttp.proxy_protocol_from = [\"10.0.0.5\"]";
    assert_eq!(keys(core)[0], "http.proxy_protocol_from");
    let sessions = |number: &str| keys(&format!("{least}\nedge.sessions = {number}"));
    for (number, problems) in [("0", &[][..]), ("1", &[]), ("1_000_000", &[]), ("1_000_001", &["edge.sessions"])] {
        assert_eq!(sessions(number), problems, "{number}");
    }
    let blobs = |rest: &str| keys(&format!("{least}\ncore.{rest}"));
    assert_eq!(blobs(&format!("blobs = \"folder:{}\"", dir.path().join("a/b").display())), Vec::<&str>::new());
    let s3 = blobs("blobs = \"s3://chat\"\ncore.s3_access_key = \"a\"\ncore.s3_secret_key = \"b\"");
    assert_eq!(s3, Vec::<&str>::new());
    for bad in ["", "folder:", "/srv/blobs", "ftp://host", "folder:/dev/null/blobs"] {
        assert_eq!(blobs(&format!("blobs = {bad:?}")), ["core.blobs"]);
    }
    assert_eq!(
        blobs("blobs = \"s3://chat?key=secret\"\ncore.s3_endpoint = \"localhost:9000\"\ncore.s3_access_key = \"a\""),
        ["core.blobs", "core.s3_endpoint", "core.s3_secret_key"]
    );
}

#[cfg(feature = "cluster")]
#[test]
fn a_store_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let least = least(dir.path());
    let store = |url: &str| only(&format!("{least}\ncore.store = {url:?}"));
    for (url, says) in [
        ("mysql://chat:secret@db:3306", "names no database"),
        ("mysql://chat:secret@db:99999/chat", "port"),
        ("mysql://chat:secret@db/chat?ssl_mode=nonsense", "\"ssl_mode\""),
        ("chat:secret@db/chat", "sqlite:PATH"),
        ("mysql//chat:secret@db/chat", "sqlite:PATH"),
        ("sqlite:", "sqlite:PATH"),
        ("sqlite:/tmp/x.db?mode=ro", "no options"),
        ("mysql://chat:secret#1@db/chat", "# as %23"),
        ("mysql://u:p@secret/w#1@h:3306/db", "write @ as %40, / as %2F, # as %23"),
        ("sqlite:/nonexistent/dir/x.db", "/nonexistent/dir"),
    ] {
        let said = store(url);
        assert!(said.starts_with("core.store: ") && said.contains(says) && !said.contains("secret"), "{url}: {said}");
    }
    let data = dir.path().join("not yet");
    let named = format!("data = {data:?}\ncore.store = \"sqlite:{}\"\n{least}", data.join("chat.db").display());
    assert_eq!(keys(&named), Vec::<&str>::new(), "the data folder is made");
    let file = dir.path().join("cert.pem");
    for data in [file.clone(), file.join("data"), "/dev/null".into()] {
        let said = only(&format!("{least}\ndata = {data:?}"));
        assert!(said.starts_with("data: ") && said.contains("is no folder: name a folder"), "{said}");
    }
    let redis = only(&format!("{least}\ncore.presence = \"redis\"\ncore.redis = \"redis://:p@secret#1@h:1\""));
    assert!(redis.starts_with("core.redis: ") && redis.contains("# as %23") && !redis.contains("secret"), "{redis}");
    let shared = only(&format!("{least}\ncore.bus = \"kafka\"\ncore.kafka = [\"k:9092\"]"));
    assert!(shared.starts_with("core.bus: ") && shared.contains("core.store"), "{shared}");
}

#[cfg(feature = "cluster")]
#[test]
fn brokers_and_endpoints_are_hosts_with_ports() {
    let dir = tempfile::tempdir().unwrap();
    let least = least(dir.path());
    let kafka = |broker: &str| {
        keys(&format!(
            "{least}\ncore.store = \"mysql://a@b/c\"\ncore.bus = \"kafka\"\ncore.kafka = [\"k:9092\", {broker:?}]"
        ))
    };
    for good in ["kafka-2.internal:9092", "10.0.0.5:9092", "[::1]:9092"] {
        assert_eq!(kafka(good), Vec::<&str>::new(), "{good}");
    }
    for bad in ["", "kafka-2", "kafka-2:x", "kafka-2:0", "http://kafka-2:9092"] {
        assert_eq!(kafka(bad), ["core.kafka"], "{bad}");
    }
    let etcd = |endpoint: &str| {
        let toml = format!("roles = [\"edge\"]\n{least}\ncluster.discovery = \"etcd\"\ncluster.etcd = [{endpoint:?}]");
        let problems = check(&from_toml(&toml));
        problems.iter().filter(|problem| problem.key == "cluster.etcd").map(ToString::to_string).collect::<Vec<_>>()
    };
    for good in ["http://etcd-1:2379", "https://[::1]:2379/"] {
        assert_eq!(etcd(good), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "etcd-1:2379",
        "http://etcd-1",
        "http://etcd-1:2379x",
        "http://etcd-1:2379/path",
        "http://u:secret@etcd-1:2379",
    ] {
        let said = etcd(bad);
        assert!(said.len() == 1 && !said[0].contains("secret"), "{bad}: {said:?}");
    }
}

#[test]
fn certificates_of_no_use_are_said_before_a_start() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let nodes = || Order { nodes: vec!["core-1".into(), "edge-1".into()], ..Order::default() };
    for dir in [&dir, &other] {
        issue::cluster(&Order { out: dir.path().into(), ..nodes() }).unwrap();
    }
    let file = |name: &str| dir.path().join(name);
    let node = |node: &str, ca: &Path, certificate: &str, key: &str| {
        let files = [("ca", ca.to_owned()), ("certificate", file(certificate)), ("key", file(key))];
        let files = files.map(|(key, file)| format!("cluster.{key} = {file:?}\n")).concat();
        format!("roles = [\"core\"]\nnode = \"{node}\"\ncluster.listen = \"127.0.0.1:7443\"\n{files}")
    };
    let ca = file("ca.pem");
    assert_eq!(keys(&node("core-1", &ca, "core-1.pem", "core-1.key")), Vec::<&str>::new());
    for (toml, says) in [
        (node("core-1", &ca, "core-1.pem", "edge-1.key"), ["cluster.key: ", "does not belong to cluster.certificate"]),
        (
            node("core-1", &other.path().join("ca.pem"), "core-1.pem", "core-1.key"),
            ["cluster.certificate: ", "not signed"],
        ),
        (node("core-2", &ca, "core-1.pem", "core-1.key"), ["cluster.certificate: ", "\"core-2\""]),
        (
            format!("edge.certificate = {:?}\nedge.key = {:?}", file("core-1.pem"), file("edge-1.key")),
            ["edge.key: ", "does not belong to edge.certificate"],
        ),
    ] {
        let said = only(&toml);
        assert!(said.starts_with(says[0]) && said.contains(says[1]), "{said}");
    }
}

#[test]
fn one_address_has_one_listener() {
    let dir = tempfile::tempdir().unwrap();
    let least = least(dir.path());
    let with = |listeners: &str| keys(&format!("{least}\n{listeners}"));
    for (listeners, second) in [
        (r#"core.grpc = ["127.0.0.1:8080"]"#, "core.grpc"),
        (r#"edge.listen = ["127.0.0.1:8080"]"#, "edge.listen"),
        (r#"edge.listen = ["[::]:8080"]"#, "edge.listen"),
        (r#"http.listen = ["0.0.0.0:443", "127.0.0.1:443"]"#, "http.listen"),
    ] {
        assert!(with(listeners).iter().any(|key| key == second), "{listeners}: {:?}", with(listeners));
    }
    for listeners in [
        r#"http.listen = ["127.0.0.1:8080", "[::1]:8080", "127.0.0.2:8080"]"#,
        "http.listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\ncore.grpc = [\"127.0.0.1:0\"]",
    ] {
        assert_eq!(with(listeners), Vec::<&str>::new(), "{listeners}");
    }
}

#[test]
fn addresses_of_nodes_have_ports_and_nodes_have_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    issue::cluster(&Order { out: dir.path().into(), nodes: vec!["edge-1".into()], ..Order::default() }).unwrap();
    let [ca, certificate, key] = ["ca.pem", "edge-1.pem", "edge-1.key"].map(|name| dir.path().join(name));
    let joined =
        format!("node = \"edge-1\"\ncluster.ca = {ca:?}\ncluster.certificate = {certificate:?}\ncluster.key = {key:?}");
    let with = |rest: &str| {
        let toml = format!("edge.certificate = {certificate:?}\nedge.key = {key:?}\n{joined}\n{rest}");
        keys(&toml)
    };
    let core = |name: &str, address: &str| format!("{{ name = {name:?}, address = {address:?} }}");
    let cores = |cores: &[String]| format!("roles = [\"edge\"]\ncluster.cores = [{}]", cores.join(", "));
    assert_eq!(with(&cores(&[core("core-1", "h:7443"), core("core-2", "[::1]:7443")])), Vec::<&str>::new());
    assert_eq!(with(&cores(&[core("core-1", "h")])), ["cluster.cores"]);
    assert_eq!(with(&cores(&[core("core-1", "h:7443"), core("core-1", "i:7443")])), ["cluster.cores"]);
    assert_eq!(with("cluster.listen = \"127.0.0.1:7443\"\ncluster.address = \"h\""), ["cluster.address"]);
}

#[test]
fn what_has_no_effect_is_said_and_refuses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = from_toml(&format!("{}\nedge.public = \"https://e.example.org\"", least(dir.path())));
    assert_eq!(check(&config), []);
    let advice = advice(&config);
    assert!(
        advice.len() == 1 && advice[0].key == "edge.public" && advice[0].advice.contains("no effect"),
        "{advice:?}"
    );
}

/// A link that would be in clear, though it is told whom to believe, and files that name nobody.
#[cfg(feature = "cluster")]
#[test]
fn what_is_said_of_tls_has_to_hold() {
    let dir = tempfile::tempdir().unwrap();
    let least = least(dir.path());
    let problems = |toml: &str| {
        let problems = check(&from_toml(&format!("{least}\n{toml}")));
        problems.into_iter().map(|problem| (problem.key, problem.advice)).collect::<Vec<_>>()
    };
    let one = |toml: &str, key: &str, says: &str| {
        let found = problems(toml);
        assert!(matches!(&found[..], [(of, advice)] if *of == key && advice.contains(says)), "{toml}: {found:?}");
    };
    let redis =
        |url: &str, ca: &str| format!("core.presence = \"redis\"\ncore.redis = {url:?}\ncore.redis_ca = {ca:?}");
    one(&redis("redis://a", "/dev/null"), "core.redis_ca", "rediss://");
    one(&redis("rediss://a", "/dev/null"), "core.redis_ca", "none inside");
    one(&redis("rediss://a", "/no-such.pem"), "core.redis_ca", "/no-such.pem");
    assert_eq!(problems(&redis("rediss://a", "")), []);
    let s3 = |url: &str| {
        format!(
            "core.blobs = \"s3://a\"\ncore.s3_access_key = \"a\"\ncore.s3_secret_key = \"b\"\ncore.s3_endpoint = {url:?}\n\
             core.s3_ca = \"/dev/null\""
        )
    };
    one(&s3("http://a"), "core.s3_ca", "https://");
    one(&s3("https://a"), "core.s3_ca", "none inside");
    one(&s3(""), "core.s3_ca", "none inside");
    issue::cluster(&Order { out: dir.path().into(), nodes: vec!["a".into()], ..Order::default() }).unwrap();
    let own = [("ca", "ca.pem"), ("certificate", "a.pem"), ("key", "a.key")];
    let own = own.map(|(key, file)| format!("cluster.{key} = {:?}\n", dir.path().join(file))).concat();
    let etcd = |urls: &str| {
        format!(
            "node = \"a\"\ncluster.discovery = \"etcd\"\ncluster.etcd = {urls}\ncluster.etcd_ca = \"/dev/null\"\n{own}"
        )
    };
    one(&etcd("[\"https://a:2379\", \"http://b:2379\"]"), "cluster.etcd_ca", "https://");
    one(&etcd("[\"https://a:2379\", \"https://b:2379\"]"), "cluster.etcd_ca", "none inside");
    let store = |query: &str| format!("core.store = \"mysql://a:secret@b/c?{query}\"");
    one(&store("ssl-ca=/dev/null"), "core.store", "ssl-mode=VERIFY_IDENTITY");
    one(&store("ssl-mode=REQUIRED&ssl-ca=/dev/null"), "core.store", "ssl-mode=VERIFY_IDENTITY");
    one(&store("ssl-mode=VERIFY_CA&ssl-ca=/dev/null"), "core.store", "none inside");
    one(&store("ssl-mode=VERIFY_CA&ssl-cert=/dev/null&ssl-key=/no-such.key"), "core.store", "ssl-key: /no-such.key");
    one(&store("ssl-mode=SOMETIMES"), "core.store", "SOMETIMES");
    assert_eq!(problems(&store("ssl-mode=VERIFY_IDENTITY")), []);
    let kafka = |properties: &str| {
        format!(
            "core.store = \"mysql://a@b/c\"\ncore.bus = \"kafka\"\ncore.kafka = [\"a:9092\"]\n\
             core.kafka_properties = {{ {properties} }}"
        )
    };
    let properties = "core.kafka_properties";
    one(&kafka("\"ssl.key.password\" = \"secret\""), properties, "\"sasl_ssl\"");
    one(&kafka("\"sasl.username\" = \"a\", \"security.protocol\" = \"SSL\""), properties, "\"sasl_plaintext\"");
    one(&kafka("\"security.protocol\" = \"ssl\", \"ssl.ca.location\" = \"/dev/null\""), properties, "none inside");
    one(&kafka("\"no.such.property\" = \"secret\""), properties, "no.such.property");
    one(&kafka("\"security.protocol\" = \"tls\""), properties, "security.protocol");
    assert_eq!(problems(&kafka("\"security.protocol\" = \"sasl_ssl\", \"sasl.mechanism\" = \"SCRAM-SHA-512\"")), []);
}

#[cfg(feature = "cluster")]
#[test]
fn every_file_has_to_be_readable_for_the_user_who_will_run_the_server() {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let least = least(dir.path());
    issue::cluster(&Order { out: dir.path().into(), nodes: vec!["a".into()], ..Order::default() }).unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (ca, key) = (file("ca.pem"), file("a.key"));
    let nobody = Runner::named("nobody").unwrap();
    let config = from_toml(&format!(
        "{least}\ndata = {:?}\ncore.presence = \"redis\"\ncore.redis = \"rediss://h\"\ncore.redis_ca = {ca:?}\n\
         core.store = \"mysql://u@h/d?ssl-mode=VERIFY_CA&ssl-ca={ca}&ssl-key={key}\"",
        dir.path()
    ));
    assert_eq!(check(&config), []);
    let found = crate::check::check(&config, Some(&nobody));
    let keys: Vec<_> = found.iter().map(|problem| &*problem.key).collect();
    assert_eq!(keys, ["edge.certificate", "edge.key", "core.store", "core.store", "core.redis_ca", "data"]);
    assert!(found.iter().all(|problem| problem.advice.contains("the user nobody cannot")), "{found:?}");
}
