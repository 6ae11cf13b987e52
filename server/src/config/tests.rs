//! The example file, the structures and the advice agree.

use super::*;

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

const CORE: &str = "edge.certificate = \"/dev/null\"\nedge.key = \"/dev/null\"";

#[test]
fn each_problem_names_its_key() {
    let keys = |toml: &str| check(&from_toml(toml).unwrap()).into_iter().map(|p| p.key).collect::<Vec<_>>();
    assert_eq!(keys(""), ["edge.certificate", "edge.key"]);
    assert_eq!(keys("roles = []"), ["roles"]);
    assert_eq!(keys("roles = [\"core\"]\nnode = \"a b\""), ["node", "cluster.listen"]);
    assert_eq!(
        keys("roles = [\"core\"]\ncluster.listen = \"127.0.0.1:1\""),
        ["cluster.ca", "cluster.certificate", "cluster.key"]
    );
    assert_eq!(
        keys(
            "roles = [\"core\", \"edge\"]\nedge.certificate = \"/dev/null\"\nedge.key = \"/dev/null\"\nedge.origins = [\"chat.example.org/\"]\ncore.store = \"postgres:x\"\nlog.level = \"a=b=c\""
        ),
        ["edge.origins", "core.store", "log.level"]
    );
    for key in ["http.proxy_protocol_from", "edge.proxy_protocol_from"] {
        let keys = |networks: &str| keys(&format!("{CORE}\n{key} = [{networks}]"));
        assert_eq!(keys(r#""10.0.0.5", "10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0""#), Vec::<&str>::new());
        for bad in [r#""10.0.0.0/33""#, r#""10.0.0.0/8", "10.0.0.1/8""#, r#""gateway""#, "''"] {
            assert_eq!(keys(bad), [key]);
        }
    }
    let core = "roles = [\"core\"]\ncluster.listen = \"127.0.0.1:1\"\nhttp.proxy_protocol_from = [\"10.0.0.5\"]";
    assert_eq!(keys(core)[0], "http.proxy_protocol_from");
    let sessions = |number: &str| keys(&format!("{CORE}\nedge.sessions = {number}"));
    for (number, problems) in
        [("0", &["edge.sessions"][..]), ("1", &[]), ("1_000_000", &[]), ("1_000_001", &["edge.sessions"])]
    {
        assert_eq!(sessions(number), problems, "{number}");
    }
    let blobs = |rest: &str| keys(&format!("{CORE}\ncore.{rest}"));
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
