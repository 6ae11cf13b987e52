//! What the installed systemd unit says of who runs the server, and where.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The part of a unit that check-config goes by (systemd.exec(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// `User=`.
    pub(super) user: Option<String>,
    /// `Group=` and `SupplementaryGroups=`.
    pub(super) groups: Vec<String>,
    /// `WorkingDirectory=`.
    pub(super) folder: Option<PathBuf>,
    /// `StateDirectory=`: systemd makes these for the user.
    pub(super) state: Vec<PathBuf>,
}

impl Unit {
    /// The unit in the first of these folders that has it, with its additions in any of them;
    /// `None`: none has it.
    pub(super) fn installed(folders: &[impl AsRef<Path>]) -> Option<Self> {
        let folders = || folders.iter().map(AsRef::as_ref);
        let text = folders().find_map(|folder| fs::read_to_string(folder.join(NAME)).ok())?;
        let additions = folders().filter_map(|folder| fs::read_dir(folder.join(format!("{NAME}.d"))).ok()).flatten();
        let mut additions: Vec<_> = additions.flatten().map(|entry| entry.path()).collect();
        additions.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        additions.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        let mut unit = Self::default();
        unit.take(&text);
        for text in additions.iter().filter_map(|path| fs::read_to_string(path).ok()) {
            unit.take(&text);
        }
        Some(unit)
    }

    fn take(&mut self, text: &str) {
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let value = value.trim();
            let words = value.split_whitespace();
            match key.trim() {
                "User" => self.user = Some(value.to_owned()).filter(|user| !user.is_empty()),
                "Group" | "SupplementaryGroups" => self.groups.extend(words.map(str::to_owned)),
                "WorkingDirectory" => self.folder = Some(PathBuf::from(value)).filter(|folder| folder.is_absolute()),
                "StateDirectory" => {
                    self.state.extend(
                        words.filter_map(|name| name.split(':').next()).map(|name| Path::new(STATE).join(name)),
                    );
                }
                _ => {}
            }
        }
    }
}

/// Where units are installed, the first over the later ones (systemd.unit(5)).
pub(super) const FOLDERS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];
const NAME: &str = "gogochat.service";
const STATE: &str = "/var/lib";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_that_is_delivered_names_its_user_and_folder() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [first.path(), second.path()];
        assert_eq!(Unit::installed(&folders), None);
        let delivered = include_str!("../../../../deploy/gogochat.service");
        fs::write(second.path().join(NAME), delivered).unwrap();
        let unit = Unit {
            user: Some("gogochat".into()),
            groups: vec!["gogochat".into()],
            folder: Some("/var/lib/gogochat".into()),
            state: vec!["/var/lib/gogochat".into()],
        };
        assert_eq!(Unit::installed(&folders), Some(unit.clone()));
        let additions = first.path().join(format!("{NAME}.d"));
        fs::create_dir(&additions).unwrap();
        fs::write(additions.join("10-user.conf"), "[Service]\nUser=chat\nSupplementaryGroups=ssl-cert\n").unwrap();
        fs::write(additions.join("note"), "User=nobody\n").unwrap();
        let groups = vec!["gogochat".into(), "ssl-cert".into()];
        assert_eq!(Unit::installed(&folders), Some(Unit { user: Some("chat".into()), groups, ..unit }));
    }
}
