//! Where a configuration comes from: defaults, a TOML file, the environment and flags, each over
//! those before it.

use std::{fs, io::ErrorKind, path::Path};

use super::{
    Role, Service, env_file,
    environment::{self, Variable},
    file,
    given::Given,
    known::Known,
};

/// What an operator named, besides the environment of this process.
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

impl Sources<'_> {
    /// Reads all of them, and goes on after each mistake.
    pub(crate) fn read(&self) -> Given {
        let (known, mut given) = (Known::new(), Given::default());
        if let Some(path) = self.file
            && let Some(text) = text(Given::FILE, path, &mut given)
        {
            // Relative to this process: the server may run in another folder.
            given.file = std::path::absolute(path).ok();
            file::read(path, &text, &known, &mut given);
        }
        environment::read(environment::own(), &known, &mut given);
        if let Some(path) = self.env_file
            && let Some(text) = text("--env-file", path, &mut given)
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
        given.set_flag("roles", self.roles.iter().map(|role| format!("{role:?}")));
        given.set_flag("core.services", self.services.iter().map(|service| format!("{service:?}")));
        given
    }
}

fn text(flag: &str, file: &Path, given: &mut Given) -> Option<String> {
    let said = match fs::read_to_string(file) {
        Ok(text) => return Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => "there is no such file".to_owned(),
        Err(error) => error.to_string(),
    };
    given.unreadable(format!("{flag} {}", file.display()), said);
    None
}
