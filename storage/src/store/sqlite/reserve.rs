//! Reserves the room on disk that a start needs, while the disk has some.
//!
//! When a process was killed, or lost power, its store is opened by way of its write-ahead log.
//! SQLite then writes the log's index anew, 32 KiB. On a full disk these could not be written, and
//! a server that can still read would not come back.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// Keeps the room: a file beside the store. Without it a start works as well, while the disk has room.
pub(super) fn keep(store: &Path) {
    let path = file(store);
    if fs::metadata(&path).is_ok_and(|found| found.len() == ROOM as u64) {
        return;
    }
    if let Err(error) = write(&path) {
        let _ = fs::remove_file(&path);
        tracing::warn!(%error, "{}: a start on a full disk may fail", path.display());
    }
}

/// Gives it up, to be opened the store with. `false`: there is none.
pub(super) fn give_up(store: &Path) -> bool {
    fs::remove_file(file(store)).is_ok()
}

fn file(store: &Path) -> PathBuf {
    let mut name: OsString = store.as_os_str().to_owned();
    name.push(".reserve");
    name.into()
}

/// Bytes that no file system makes nothing of.
fn write(path: &Path) -> io::Result<()> {
    let bytes: Vec<u8> = (0..ROOM / 16).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
    fs::write(path, bytes)?;
    fs::File::open(path)?.sync_all()
}

/// The index of a log of usual length, and as much again.
const ROOM: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_once_and_given_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("gogochat.db");
        assert!(!give_up(&store));
        keep(&store);
        let written = fs::metadata(file(&store)).unwrap();
        assert_eq!(written.len(), ROOM as u64);
        keep(&store);
        assert_eq!(fs::metadata(file(&store)).unwrap().modified().unwrap(), written.modified().unwrap());
        assert!(give_up(&store) && !give_up(&store));
        // Half of one, from a disk that was full then, is none.
        fs::write(file(&store), "x").unwrap();
        keep(&store);
        assert_eq!(fs::metadata(file(&store)).unwrap().len(), ROOM as u64);
    }
}
