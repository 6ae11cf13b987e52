//! Writes a file that gets its name only when it is complete.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::BackupError;

/// What is written, beside where it will be. Removed with this, unless it was kept; left by a process that
/// was killed, it is removed by the next one.
#[derive(Debug)]
pub(super) struct Part {
    to: PathBuf,
    path: PathBuf,
    /// Locked for as long as this is written.
    file: File,
}

impl Part {
    /// An empty one, for nobody else to read: it will have password hashes and messages.
    pub(super) fn begin(to: &Path) -> Result<Self, BackupError> {
        let mut name: OsString = to.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let failed = |error: io::Error| BackupError::file(&path, &error);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(left) => {
                lock(&left, &path)?;
                fs::remove_file(&path).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(failed)?;
        lock(&file, &path)?;
        Ok(Self { to: to.to_owned(), path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// To write it.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives it to who has the folder, where this process may: root makes it for another user's server.
    pub(super) fn give_to_owner_of_folder(&self) -> Result<(), BackupError> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt as _, fchown};
            let failed = |error| BackupError::file(&self.path, &error);
            let (own, folder) = (self.file.metadata().map_err(failed)?, folder(&self.path).metadata().map_err(failed)?);
            if own.uid() == 0 && folder.uid() != 0 {
                fchown(&self.file, Some(folder.uid()), Some(folder.gid())).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Has it there under its name, whole and on disk. Nobody has it open any more.
    pub(super) fn keep(self) -> Result<(), BackupError> {
        let failed = |error| BackupError::file(&self.path, &error);
        self.file.sync_all().map_err(failed)?;
        fs::rename(&self.path, &self.to).map_err(failed)?;
        File::open(folder(&self.to)).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Once it was kept, there is none.
        let _ = fs::remove_file(&self.path);
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn lock(file: &File, path: &Path) -> Result<(), BackupError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => BackupError::Busy { path: path.to_owned() },
        TryLockError::Error(error) => BackupError::file(path, &error),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn it_is_there_when_it_is_whole_and_one_alone_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("copy.db");
        let part = Part::begin(&to).unwrap();
        assert!(!to.exists() && part.path().exists());
        let second = Part::begin(&to).unwrap_err();
        assert!(matches!(second, BackupError::Busy { .. }), "{second}");
        drop(part);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        // What a process that was killed has left is no part of it.
        fs::write(dir.path().join("copy.db.part"), "half").unwrap();
        let part = Part::begin(&to).unwrap();
        (&part.file).write_all(b"whole").unwrap();
        part.keep().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&to).unwrap().permissions()) & 0o777, 0o600);
    }
}
