//! A mistake in a configuration: where it stands, which key it is about, and what to do.

use std::{borrow::Cow, fmt, fs, path::Path};

use gogochat_edge::Network;

use super::runner::Runner;

/// A key that cannot stay as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where it was given: "gogochat.toml:12", "GOGOCHAT__EDGE__LISTEN", "--roles"; `None`: nowhere.
    pub(crate) place: Option<String>,
    /// The key's path: "edge.certificate". Empty where it is about no key.
    pub(crate) key: Cow<'static, str>,
    /// What is wrong and what to do.
    pub(crate) advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.place.as_deref().unwrap_or_default(), &self.key, &self.advice];
        f.write_str(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": "))
    }
}

/// What was found so far, for the user who will run the server.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// `None`: the user of this process.
    pub(crate) runner: Option<Runner>,
    pub(crate) found: Vec<Problem>,
}

impl Problems {
    pub(crate) fn add(&mut self, key: impl Into<Cow<'static, str>>, advice: impl Into<String>) {
        self.found.push(Problem { place: None, key: key.into(), advice: advice.into() });
    }

    /// Takes over an error whose message may begin with the key at fault, which may be another than `key`.
    pub(crate) fn said(&mut self, key: &'static str, message: &str) {
        let keys = [key, "edge.certificate", "edge.key", "cluster.ca", "cluster.certificate", "cluster.key", "node"];
        let found = keys.into_iter().find_map(|key| Some((key, message.strip_prefix(key)?)));
        let (key, rest) = found.unwrap_or((key, message));
        self.add(key, rest.trim_start_matches([':', ' ']));
    }

    pub(crate) fn has(&self, keys: &[&str]) -> bool {
        self.found.iter().any(|problem| keys.contains(&&*problem.key))
    }

    /// The file has to be given and readable.
    pub(crate) fn file(&mut self, key: &'static str, path: &Path, what: &str) {
        if path.as_os_str().is_empty() {
            self.add(key, format!("missing: give {what}"));
        } else if let Err(error) = fs::read(path) {
            self.add(key, format!("{}: {error}: give {what}", path.display()));
        } else {
            self.readable(key, path);
        }
    }

    /// The user who will run the server has to be able to read a file that is there.
    pub(crate) fn readable(&mut self, key: &'static str, path: &Path) {
        if let Some(Err(refusal)) = self.runner.as_ref().map(|runner| runner.reads(path)) {
            self.add(key, refusal);
        }
    }

    /// Each has to be an address or a network.
    pub(crate) fn networks(&mut self, key: &'static str, networks: &[String]) {
        for error in networks.iter().filter_map(|network| network.parse::<Network>().err()) {
            self.add(key, error.to_string());
        }
    }
}
