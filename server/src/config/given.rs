//! What an operator gave: defaults, a TOML file, the environment and flags, each over those before it.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use toml_edit::Value;

use super::{
    Config, Role, Service, check, env_file,
    environment::{self, Variable},
    file,
    known::{self, Known},
    problem::Problem,
    runner::Runner,
};

/// Where a configuration comes from, besides the environment of this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources<'a> {
    /// The TOML file.
    pub(crate) file: Option<&'a Path>,
    /// A file of variables, which are taken over those of this process.
    pub(crate) env_file: Option<&'a Path>,
    /// The flag `--roles`; empty: not given.
    pub(crate) roles: Vec<Role>,
    /// The flag `--services`; empty: not given.
    pub(crate) services: Vec<Service>,
}

/// The keys that were given, and what is wrong with how they were.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The TOML file, which the server reads as well.
    file: Option<PathBuf>,
    values: BTreeMap<String, Value>,
    places: BTreeMap<String, String>,
    /// Nothing is known of a source, so that what it may have given is not missing.
    unread: bool,
    /// Keys with a mistake, or for which a wrong name was meant: nothing else is said of them.
    suspects: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) advice: Vec<Problem>,
}

impl Given {
    /// Reads all sources, and goes on after each mistake.
    pub(crate) fn read(sources: &Sources<'_>) -> Self {
        let (known, mut given) = (Known::new(), Self::default());
        if let Some(path) = sources.file
            && let Some(text) = given.text(FILE, path)
        {
            // Relative to this process: the server may run in another folder.
            given.file = std::path::absolute(path).ok();
            file::read(path, &text, &known, &mut given);
        }
        environment::read(environment::own(), &known, &mut given);
        if let Some(path) = sources.env_file
            && let Some(text) = given.text("--env-file", path)
        {
            let mut variables = Vec::new();
            for (line, variable) in env_file::parse(&text) {
                let place = format!("{}:{line}", path.display());
                match variable {
                    Some((name, value)) => variables.push(Variable { place: format!("{place}: {name}"), name, value }),
                    None => given.wrong(place, String::new(), "this is not NAME=VALUE"),
                }
            }
            environment::read(variables, &known, &mut given);
        }
        given.flag("roles", sources.roles.iter().map(|role| format!("{role:?}")));
        given.flag("core.services", sources.services.iter().map(|service| format!("{service:?}")));
        given
    }

    /// The configuration, and what is worth saying of it.
    ///
    /// # Errors
    /// All mistakes. `runner`: who will run the server; `None`: the user of this process.
    pub(crate) fn check(self, runner: Option<&Runner>) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        let config = self.config();
        let place = |problem: Problem| Problem { place: self.places.get(&*problem.key).cloned(), ..problem };
        let mut problems = self.problems.clone();
        if let (Some(file), Some(runner)) = (&self.file, runner)
            && let Err(refusal) = runner.reads(file)
        {
            problems.push(Problem { place: Some(FILE.to_owned()), key: "".into(), advice: refusal });
        }
        // What hangs on a key that is not known to be right would be guessed at.
        if !self.unread && !self.suspects.iter().any(|key| DECISIVE.contains(&key.as_str())) {
            let found = check::check(&config, runner).into_iter();
            problems.extend(found.filter(|problem| !self.suspects.iter().any(|key| *key == problem.key)).map(place));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let advice = check::advice(&config).into_iter().map(place).chain(self.advice.iter().cloned()).collect();
        Ok((config, advice))
    }

    /// The defaults with all over them that is right.
    pub(super) fn config(&self) -> Config {
        // Each value fits by itself, and none stands in the way of another.
        known::config(self.values.iter().map(|(key, value)| (key.as_str(), value))).unwrap_or_default()
    }

    pub(super) fn set(&mut self, key: String, value: Value, place: String) {
        self.places.insert(key.clone(), place);
        self.values.insert(key, value);
    }

    pub(super) fn wrong(&mut self, place: String, key: String, advice: impl Into<String>) {
        self.suspects.push(key.clone());
        self.problems.push(Problem { place: Some(place), key: key.into(), advice: advice.into() });
    }

    pub(super) fn suspect(&mut self, keys: Vec<&str>) {
        self.suspects.extend(keys.into_iter().map(str::to_owned));
    }

    pub(super) fn unreadable(&mut self, place: String, advice: impl Into<String>) {
        self.unread = true;
        self.wrong(place, String::new(), advice);
    }

    pub(super) fn advise(&mut self, place: String, advice: &str) {
        self.advice.push(Problem { place: Some(place), key: "".into(), advice: advice.to_owned() });
    }

    fn text(&mut self, flag: &str, file: &Path) -> Option<String> {
        let said = match fs::read_to_string(file) {
            Ok(text) => return Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => "there is no such file".to_owned(),
            Err(error) => error.to_string(),
        };
        self.unreadable(format!("{flag} {}", file.display()), said);
        None
    }

    /// `names`: as in the structures; in the configuration they are in small letters.
    fn flag(&mut self, key: &str, names: impl Iterator<Item = String>) {
        let names: toml_edit::Array = names.map(|name| name.to_lowercase()).collect();
        if !names.is_empty() {
            let flag = format!("--{}", key.rsplit('.').next().unwrap_or(key));
            self.suspects.retain(|suspect| suspect != key);
            self.set(key.to_owned(), names.into(), flag);
        }
    }
}

const FILE: &str = "--config";
/// Keys that say which others count.
const DECISIVE: [&str; 5] = ["roles", "core.services", "core.bus", "core.presence", "cluster.discovery"];
