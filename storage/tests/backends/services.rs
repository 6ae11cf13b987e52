//! The real services that these tests run against.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Where a shared service answers: from the environment, or where `scripts/services` starts it. S3 is
/// started where it does not: few tests need it.
pub(crate) fn address(name: &str) -> String {
    let (key, port) = match name {
        "redis" => ("GOGOCHAT_TEST_REDIS", 36_379),
        "kafka" => ("GOGOCHAT_TEST_KAFKA", 39_092),
        "etcd" => ("GOGOCHAT_TEST_ETCD", 32_379),
        "s3" => ("GOGOCHAT_TEST_S3", 39_000),
        other => panic!("there is no service {other}"),
    };
    let given = std::env::var(key).ok();
    let address = given.clone().unwrap_or_else(|| format!("127.0.0.1:{port}"));
    if name == "s3" && given.is_none() && TcpStream::connect(&address).is_err() {
        run(script(name).arg("up").env("GOGOCHAT_S3_PORT", port.to_string()));
    }
    assert!(TcpStream::connect(&address).is_ok(), "no {name} at {address}; start it: scripts/services {name}");
    address
}

/// What starts and stops a service.
fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/service").join(name))
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {said}", command.get_program().display());
}

/// A name of its own for each test: what others leave behind does not matter.
pub(crate) fn unique(test: &str) -> String {
    format!("test-{test}-{}", uuid::Uuid::new_v4().simple())
}

/// A service of one test's own, which it may kill.
pub(crate) struct Private {
    name: &'static str,
    run: TempDir,
    port: u16,
}

impl Private {
    /// Starts it, with arguments of its own.
    pub(crate) fn start(name: &'static str, arguments: &[&str]) -> Self {
        Self::start_at(name, free_port(), arguments)
    }

    /// The same, at this port and the next.
    pub(crate) fn start_at(name: &'static str, port: u16, arguments: &[&str]) -> Self {
        let private = Self { name, run: tempfile::tempdir().unwrap(), port };
        private.up(arguments);
        private
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it again after [`Self::kill`], with what it had on disk.
    pub(crate) fn up(&self, arguments: &[&str]) {
        self.run("up", arguments);
    }

    /// As a power failure would, but for what the system has in memory.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder().join("pid")).unwrap();
        let killed = Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
        assert!(killed.success());
        while Path::new("/proc").join(pid.trim()).exists() && TcpStream::connect(self.address()).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Its data, log and pid.
    pub(crate) fn folder(&self) -> PathBuf {
        self.run.path().join(self.name)
    }

    fn run(&self, verb: &str, arguments: &[&str]) {
        run(script(self.name)
            .arg(verb)
            .args(arguments)
            .env("GOGOCHAT_RUN", self.run.path())
            .env(format!("GOGOCHAT_{}_PORT", self.name.to_uppercase()), self.port.to_string())
            // Where those that all tests share speak TLS.
            .env_remove(format!("GOGOCHAT_{}_TLS_PORT", self.name.to_uppercase())));
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.run("down", &[]);
    }
}

/// A port that is free, and so is the next one.
pub(crate) fn free_port() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two free ports");
}
