//! The real services of a cluster under test: MySQL, Redis, Kafka, etcd, S3, as `scripts/services`
//! starts them or the environment names them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::ports;

/// A service, and where it answers. S3 is started where it does not: few tests need it.
///
/// # Errors
/// It does not; the message says how to start it.
pub fn address(name: &str) -> anyhow::Result<String> {
    let (key, port) = match name {
        "mysql" => ("GOGOCHAT_TEST_MYSQL", 33_306),
        "redis" => ("GOGOCHAT_TEST_REDIS", 36_379),
        "kafka" => ("GOGOCHAT_TEST_KAFKA", 39_092),
        "etcd" => ("GOGOCHAT_TEST_ETCD", 32_379),
        "s3" => ("GOGOCHAT_TEST_S3", 39_000),
        other => anyhow::bail!("there is no service {other}"),
    };
    let given = std::env::var(key).ok();
    let address = given.clone().unwrap_or_else(|| format!("127.0.0.1:{port}"));
    if name == "s3" && given.is_none() && TcpStream::connect(&address).is_err() {
        run(Command::new(script(name)).arg("up").env("GOGOCHAT_S3_PORT", port.to_string()))?;
    }
    TcpStream::connect(&address)
        .with_context(|| format!("no {name} at {address}; start it: scripts/services {name}"))?;
    Ok(address)
}

/// What starts and stops a service.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/service").join(name)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let done = command.output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{}: {said}", command.get_program().display());
    Ok(())
}

/// Where a service speaks TLS.
///
/// # Errors
/// It does not; the message says how to start it so.
pub fn tls_address(name: &str) -> anyhow::Result<String> {
    let (key, port) = match name {
        // At one port, as its protocol has it.
        "mysql" => return address(name),
        "redis" => ("GOGOCHAT_TEST_REDIS_TLS", 36_380),
        "kafka" => ("GOGOCHAT_TEST_KAFKA_TLS", 39_094),
        "etcd" => ("GOGOCHAT_TEST_ETCD_TLS", 32_381),
        other => anyhow::bail!("there is no service {other} with TLS"),
    };
    let address = std::env::var(key).unwrap_or_else(|_| format!("127.0.0.1:{port}"));
    TcpStream::connect(&address).with_context(|| {
        format!(
            "no {name} with TLS at {address}: start it with scripts/services up {name}, or set {key} to where it is"
        )
    })?;
    Ok(address)
}

/// The certificate that services show, with its key, for 127.0.0.1 and no other name; and that of the
/// authority that signed it. PEM files.
///
/// # Errors
/// There is no home folder.
pub fn certificate() -> anyhow::Result<(PathBuf, PathBuf)> {
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let dir = Path::new(&home).join(".cache/gogochat/services/tls");
    Ok((dir.join("server.pem"), dir.join("ca.pem")))
}

/// Kafka's user where it speaks TLS, and the password.
pub const KAFKA_USER: (&str, &str) = ("gogochat", "secret-of-kafka");

/// A database of a test's own in MySQL, dropped with this.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// An empty one of this name.
    ///
    /// # Errors
    /// MySQL is not there, or root needs a password.
    pub fn create(name: &str) -> anyhow::Result<Self> {
        let database = Self { server: address("mysql")?, name: name.to_owned() };
        query(&database.server, &format!("CREATE DATABASE {name}"))?;
        Ok(database)
    }

    /// Runs a statement in it that answers with no rows.
    ///
    /// # Errors
    /// MySQL refuses it.
    pub fn run(&self, statement: &str) -> anyhow::Result<()> {
        query_in(&self.server, &self.name, statement)
    }

    /// The end of the database's name, which sets it apart: users have names of 32 characters at most.
    fn user(&self) -> &str {
        self.name.get(self.name.len().saturating_sub(32)..).unwrap_or_default()
    }

    /// The store's URL for a user of its own, whom the server lets in by TLS alone, and who believes
    /// this authority.
    ///
    /// # Errors
    /// MySQL refuses it.
    pub fn url_over_tls(&self, authority: &Path) -> anyhow::Result<String> {
        let (Self { server, name }, user) = (self, self.user());
        query(server, &format!("CREATE USER IF NOT EXISTS {user} IDENTIFIED BY 'secret of mysql' REQUIRE SSL"))?;
        query(server, &format!("GRANT ALL ON {name}.* TO {user}"))?;
        let authority = authority.display();
        Ok(format!("mysql://{user}:secret%20of%20mysql@{server}/{name}?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}"))
    }

    /// The store's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://root@{}/{}", self.server, self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test that has failed is not to fail by this too.
        let _ = query(&self.server, &format!("DROP USER IF EXISTS {}", self.user()));
        let _ = query(&self.server, &format!("DROP DATABASE {}", self.name));
    }
}

/// Makes a topic in Kafka, by its protocol (CreateTopics, version 2).
///
/// # Errors
/// Kafka is not there, or refuses it.
pub fn make_topic(name: &str, partitions: i32) -> anyhow::Result<()> {
    let text = |text: &str| [(text.len() as i16).to_be_bytes().as_slice(), text.as_bytes()].concat();
    let one = 1_i32.to_be_bytes();
    let (key, version, correlation) = (19_i16.to_be_bytes(), 2_i16.to_be_bytes(), one);
    let header = [key.as_slice(), &version, &correlation, &text("test")].concat();
    let (copies, none, timeout) = (1_i16.to_be_bytes(), 0_i32.to_be_bytes(), 10_000_i32.to_be_bytes());
    // One topic, without assignments and settings of its own; not only to see whether it could be made.
    let topic =
        [one.as_slice(), &text(name), &partitions.to_be_bytes(), &copies, &none, &none, &timeout, &[0]].concat();
    let request = [header, topic].concat();
    let mut connection = TcpStream::connect(address("kafka")?)?;
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    connection.write_all(&[(request.len() as i32).to_be_bytes().as_slice(), &request].concat())?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    connection.read_exact(&mut answer)?;
    // Correlation, throttling, how many topics, the name.
    let code = answer.get(14 + name.len()..16 + name.len()).context("Kafka's answer is short")?;
    ensure!(code == [0, 0], "Kafka refuses the topic {name}: error {code:?}");
    Ok(())
}

/// A service of one test's own, ended with this.
#[derive(Debug)]
pub struct Private {
    script: PathBuf,
    run: TempDir,
    address: SocketAddr,
    arguments: Vec<String>,
}

impl Private {
    /// Starts it, with arguments of its own.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let script = script(name);
        let [address] = ports::free()?;
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let private = Self { script, run: tempfile::tempdir()?, address, arguments };
        private.start_again()?;
        Ok(private)
    }

    /// Stops it; what it holds on disk stays.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.run("down", &[])
    }

    /// Starts it as it was, where it was.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&self) -> anyhow::Result<()> {
        self.run("up", &self.arguments)
    }

    /// HOST:PORT.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn run(&self, verb: &str, arguments: &[String]) -> anyhow::Result<()> {
        let name = self.script.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        run(Command::new(&self.script)
            .arg(verb)
            .args(arguments)
            .env("GOGOCHAT_RUN", self.run.path())
            .env(format!("GOGOCHAT_{name}_PORT"), self.address.port().to_string())
            // Where those that all tests share speak TLS.
            .env_remove(format!("GOGOCHAT_{name}_TLS_PORT")))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// One statement by the client/server protocol, as root without a password: a machine with a MySQL
/// server need not have its client.
fn query(server: &str, statement: &str) -> anyhow::Result<()> {
    query_in(server, "", statement)
}

/// The same in a database; empty: in none.
fn query_in(server: &str, database: &str, statement: &str) -> anyhow::Result<()> {
    let mut connection = TcpStream::connect(server)?;
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    receive(&mut connection)?;
    // HandshakeResponse41: CLIENT_PROTOCOL_41, SECURE_CONNECTION and PLUGIN_AUTH, CONNECT_WITH_DB; an
    // empty password has an empty answer.
    let mut hello = Vec::new();
    let with_database = if database.is_empty() { 0 } else { 8 };
    hello.extend((0x0008_8200_u32 | with_database).to_le_bytes());
    hello.extend((1_u32 << 24).to_le_bytes());
    hello.push(45);
    hello.extend([0; 23]);
    hello.extend(b"root\0\0");
    if !database.is_empty() {
        hello.extend(database.as_bytes());
        hello.push(0);
    }
    hello.extend(b"caching_sha2_password\0");
    send(&mut connection, 1, &hello)?;
    let welcome = receive(&mut connection)?;
    ensure!(welcome.first() == Some(&0), "MySQL does not let root in without a password: {}", text(&welcome));
    send(&mut connection, 0, &[b"\x03", statement.as_bytes()].concat())?;
    let answer = receive(&mut connection)?;
    ensure!(answer.first() == Some(&0), "{statement}: {}", text(&answer));
    Ok(())
}

fn send(connection: &mut TcpStream, sequence: u8, payload: &[u8]) -> std::io::Result<()> {
    let length = (payload.len() as u32).to_le_bytes();
    let mut packet = length.into_iter().take(3).collect::<Vec<u8>>();
    packet.push(sequence);
    packet.extend(payload);
    connection.write_all(&packet)
}

fn receive(connection: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut header = [0; 4];
    connection.read_exact(&mut header)?;
    let [low, middle, high, _] = header;
    let mut payload = vec![0; u32::from_le_bytes([low, middle, high, 0]) as usize];
    connection.read_exact(&mut payload)?;
    Ok(payload)
}

fn text(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer.get(3..).unwrap_or_default()).into_owned()
}
