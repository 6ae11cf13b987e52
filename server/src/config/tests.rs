//! The example file, the structures and the advice agree.

use super::*;
use crate::issue::{self, Order};

const EXAMPLE: &str = include_str!("../../../docs/gogochat.example.toml");

fn from_toml(text: &str) -> Result<Config, Box<figment::Error>> {
    Figment::from(Serialized::defaults(Config::default())).merge(Toml::string(text)).extract().map_err(Box::new)
}

#[test]
fn the_example_says_the_defaults() {
    assert_eq!(from_toml(EXAMPLE).unwrap(), Config::default());
}

#[test]
fn the_example_has_every_key() {
    let defaults = toml::Value::try_from(Config::default()).unwrap();
    let mut missing = Vec::new();
    for (section, value) in defaults.as_table().unwrap() {
        match value.as_table() {
            Some(keys) => {
                let body = EXAMPLE.split(&format!("[{section}]")).nth(1).unwrap_or_default();
                let body = body.split("\n[").next().unwrap_or_default();
                missing.extend(
                    keys.keys()
                        .filter(|key| !body.contains(&format!("\n{key} =")))
                        .map(|key| format!("{section}.{key}")),
                );
            }
            None if !EXAMPLE.contains(&format!("\n{section} =")) => missing.push(section.clone()),
            None => {}
        }
    }
    // Left out of the structure's default because they are optional.
    for optional in ["# listen = ", "# cores = "] {
        assert!(EXAMPLE.contains(optional));
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn a_wrong_key_or_value_is_named() {
    let unknown = from_toml("[edge]\nlistne = []").unwrap_err().to_string();
    assert!(unknown.contains("listne") && unknown.contains("listen"), "{unknown}");
    let wrong = from_toml("[core]\nbus_queue = \"many\"").unwrap_err().to_string();
    assert!(wrong.contains("core.bus_queue"), "{wrong}");
}

#[test]
fn the_environment_overrides_the_file() {
    #[allow(clippy::result_large_err)]
    figment::Jail::expect_with(|jail| {
        jail.create_file("g.toml", "node = \"from-file\"\n[edge]\norigins = [\"https://a\"]")?;
        jail.set_env("GOGOCHAT__EDGE__LISTEN", "[\"127.0.0.1:9443\"]");
        jail.set_env("GOGOCHAT_BIN", "not a key");
        let config = Config::load(Some(Path::new("g.toml"))).map_err(|error| *error)?;
        assert_eq!(config.node, "from-file");
        assert_eq!(config.edge.listen, ["127.0.0.1:9443".parse().unwrap()]);
        assert_eq!(config.edge.origins, ["https://a"]);
        jail.set_env("GOGOCHAT__EDGE__LISTNE", "x");
        assert!(Config::load(None).is_err());
        Ok(())
    });
}

/// With what an edge and a core in one process need at least.
fn least(dir: &Path) -> String {
    issue::dev(dir).unwrap();
    format!("edge.certificate = {:?}\nedge.key = {:?}", dir.join("cert.pem"), dir.join("key.pem"))
}

fn keys(toml: &str) -> Vec<&'static str> {
    check(&from_toml(toml).unwrap()).into_iter().map(|problem| problem.key).collect()
}

/// All that is said, for a configuration with one problem.
fn only(toml: &str) -> String {
    let problems = check(&from_toml(toml).unwrap());
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

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
    for (number, problems) in
        [("0", &["edge.sessions"][..]), ("1", &[]), ("1_000_000", &[]), ("1_000_001", &["edge.sessions"])]
    {
        assert_eq!(sessions(number), problems, "{number}");
    }
    let blobs = |rest: &str| keys(&format!("{least}\ncore.{rest}"));
    for good in [
        "blobs = \"folder:/srv/blobs\"",
        "blobs = \"s3://chat\"\ncore.s3_access_key = \"a\"\ncore.s3_secret_key = \"b\"",
    ] {
        assert_eq!(blobs(good), Vec::<&str>::new());
    }
    for bad in ["", "folder:", "/srv/blobs", "ftp://host"] {
        assert_eq!(blobs(&format!("blobs = {bad:?}")), ["core.blobs"]);
    }
    assert_eq!(
        blobs("blobs = \"s3://chat?key=secret\"\ncore.s3_endpoint = \"localhost:9000\"\ncore.s3_access_key = \"a\""),
        ["core.blobs", "core.s3_endpoint", "core.s3_secret_key"]
    );
}

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
        ("mysql://chat:secret#1@db/chat", "%23"),
        ("sqlite:/nonexistent/dir/x.db", "/nonexistent/dir"),
    ] {
        let said = store(url);
        assert!(said.starts_with("core.store: ") && said.contains(says) && !said.contains("secret"), "{url}: {said}");
    }
    let data = dir.path().join("not yet");
    let named = format!("data = {data:?}\ncore.store = \"sqlite:{}\"\n{least}", data.join("chat.db").display());
    assert_eq!(keys(&named), Vec::<&str>::new(), "the data folder is made");
    let shared = only(&format!("{least}\ncore.bus = \"kafka\"\ncore.kafka = [\"k:9092\"]"));
    assert!(shared.starts_with("core.bus: ") && shared.contains("core.store"), "{shared}");
}

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
        let problems = check(&from_toml(&toml).unwrap());
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
        assert!(with(listeners).contains(&second), "{listeners}: {:?}", with(listeners));
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
    let config = from_toml(&format!("{}\nedge.public = \"https://e.example.org\"", least(dir.path()))).unwrap();
    assert_eq!(check(&config), []);
    let advice = advice(&config);
    assert!(
        advice.len() == 1 && advice[0].key == "edge.public" && advice[0].advice.contains("no effect"),
        "{advice:?}"
    );
}

/// A link that would be in clear, though it is told whom to believe, and files that name nobody.
#[test]
fn what_is_said_of_tls_has_to_hold() {
    let dir = tempfile::tempdir().unwrap();
    let least = least(dir.path());
    let problems = |toml: &str| {
        let problems = check(&from_toml(&format!("{least}\n{toml}")).unwrap());
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
