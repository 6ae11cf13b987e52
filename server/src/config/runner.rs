//! The user who will run the server, where another user checks the configuration. What that user
//! may read and write follows from the permission bits of a file and of each folder on its path.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf, absolute},
    process::Command,
};

use anyhow::{Context as _, ensure};

mod unit;

use unit::Unit;

/// A user of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runner {
    /// The user's name.
    pub(crate) name: String,
    uid: u32,
    groups: Vec<u32>,
    unit: Unit,
}

impl Runner {
    /// The user that the installed systemd unit names; `None`: there is no such unit, or it names none.
    ///
    /// # Errors
    /// There is no such user.
    pub(crate) fn of_unit() -> anyhow::Result<Option<Self>> {
        let unit = Unit::installed(&unit::FOLDERS);
        unit.and_then(|unit| unit.user).map(|user| Self::named(&user).context("User= of gogochat.service")).transpose()
    }

    /// The user of this name. What the installed unit says of its folders and groups holds for the
    /// unit's own user.
    ///
    /// # Errors
    /// There is no such user.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let ask = |what| numbers("id", &[what, "--", name]).with_context(|| format!("there is no user {name:?}"));
        let (uid, mut groups) = (*ask("-u")?.first().context("it has no number")?, ask("-G")?);
        let unit =
            Unit::installed(&unit::FOLDERS).filter(|unit| unit.user.as_deref() == Some(name)).unwrap_or_default();
        for group in &unit.groups {
            let found = numbers("getent", &["group", group]);
            groups.extend(found.with_context(|| format!("gogochat.service names a group {group:?}"))?);
        }
        Ok(Self { name: name.to_owned(), uid, groups, unit })
    }

    /// Whether this user can read a file that is there.
    ///
    /// # Errors
    /// Names what stands in the way, and what to do.
    pub(crate) fn reads(&self, file: &Path) -> Result<(), String> {
        let file = self.absolute(file);
        self.reaches(&file)?;
        match fs::metadata(&file) {
            Ok(about) if !self.may(&file, &about, READ) => Err(format!(
                "the user {} cannot read {} ({}): give it to a group of that user's, with mode 640",
                self.name,
                file.display(),
                owners(&about)
            )),
            _ => Ok(()),
        }
    }

    /// Whether this user can make files in a folder, or the folder itself in `there`, the nearest before it.
    ///
    /// # Errors
    /// Names what stands in the way, and what to do.
    pub(crate) fn writes(&self, folder: &Path, there: &Path) -> Result<(), String> {
        self.reaches(there)?;
        match fs::metadata(there) {
            Ok(about) if !self.may(there, &about, WRITE | PASS) => Err(format!(
                "the user {} cannot write in {} ({}): give {} to that user",
                self.name,
                there.display(),
                owners(&about),
                folder.display()
            )),
            _ => Ok(()),
        }
    }

    /// The path from where the server will run.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        let path = self.unit.folder.as_ref().map_or_else(|| path.to_owned(), |folder| folder.join(path));
        absolute(&path).unwrap_or(path)
    }

    /// Whether systemd makes a folder, or one that it is in, before the server starts.
    pub(crate) fn is_made(&self, folder: &Path) -> bool {
        self.unit.state.iter().any(|made| folder.starts_with(made))
    }

    /// Through each folder before it, also where links lead.
    fn reaches(&self, path: &Path) -> Result<(), String> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        for folder in path.ancestors().skip(1).chain(target.ancestors().skip(1)) {
            if let Ok(about) = fs::metadata(folder)
                && !self.may(folder, &about, PASS)
            {
                return Err(format!(
                    "the user {} cannot go through {} ({}) to {}: let the folder have mode 755, or put it elsewhere",
                    self.name,
                    folder.display(),
                    owners(&about),
                    path.display()
                ));
            }
        }
        Ok(())
    }

    /// As the kernel decides it: by the bits of the owner, else of the group, else of all others.
    /// Where a list of access rights says more than the bits, nothing is held against it.
    fn may(&self, path: &Path, about: &Metadata, bits: u32) -> bool {
        let shift = match about.uid() == self.uid {
            true => 6,
            false if self.groups.contains(&about.gid()) => 3,
            false => 0,
        };
        let has_list = || rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0; 1024][..]).is_ok();
        self.uid == 0 || about.mode() >> shift & bits == bits || has_list()
    }
}

/// The numbers that a program says, apart from words between them.
fn numbers(program: &str, args: &[&str]) -> anyhow::Result<Vec<u32>> {
    let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program} does not find it");
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split([' ', ':', '\n']).filter_map(|word| word.parse().ok()).collect())
}

fn owners(about: &Metadata) -> String {
    format!("mode {:o}, of user {} and group {}", about.mode() & 0o7777, about.uid(), about.gid())
}

const READ: u32 = 4;
const WRITE: u32 = 2;
const PASS: u32 = 1;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn bits_are_taken_of_the_owner_the_group_or_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("a"), dir.path().join("a/key.pem"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        mode(dir.path(), 0o755);
        let about = fs::metadata(&file).unwrap();
        let of =
            |uid: u32, groups: &[u32]| Runner { name: "u".into(), uid, groups: groups.into(), ..Runner::default() };
        let (owner, group) = (of(about.uid(), &[]), of(12_345, &[7, about.gid()]));
        let (other, root) = (of(12_345, &[7]), of(0, &[]));
        for (on_folder, on_file, reads) in [
            (0o755, 0o644, [true, true, true]),
            (0o755, 0o640, [true, true, false]),
            (0o755, 0o600, [true, false, false]),
            (0o755, 0o044, [about.uid() == 0, true, true]),
            (0o750, 0o644, [true, true, false]),
            (0o700, 0o644, [true, false, false]),
        ] {
            mode(&folder, on_folder);
            mode(&file, on_file);
            let found = [&owner, &group, &other].map(|runner| runner.reads(&file).is_ok());
            assert_eq!(found, reads, "{on_folder:o} {on_file:o}");
            assert!(root.reads(&file).is_ok());
        }
        mode(&folder, 0o700);
        let refusal = other.reads(&file).unwrap_err();
        assert!(refusal.contains("the user u cannot go through") && refusal.contains("mode 700"), "{refusal}");
        mode(&folder, 0o755);
        assert!(owner.writes(&folder, &folder).is_ok() && group.writes(&folder, &folder).is_err());
        mode(&folder, 0o770);
        assert!(group.writes(&folder, &folder).is_ok() && other.writes(&folder, &folder).is_err());
    }

    #[test]
    fn users_are_looked_up() {
        let root = Runner::named("root").unwrap();
        assert!(root.uid == 0 && root.groups.contains(&0), "{root:?}");
        let none = format!("{:#}", Runner::named("no-such-user").unwrap_err());
        assert!(none.contains("there is no user \"no-such-user\""), "{none}");
    }
}
