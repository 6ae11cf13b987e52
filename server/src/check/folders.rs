//! The folders that a core writes to: there, or such that they can be made.

use std::path::{Path, absolute};

use rustix::fs::{Access, access};

use crate::config::{Config, Problems};

/// `data`, where it is used, and folders that other keys name.
pub(super) fn check(config: &Config, problems: &mut Problems) {
    let blobs = &config.core.blobs;
    if config.keeps_store_in_data() || blobs == "folder" {
        writable("data", &config.data, problems);
    }
    if let Some(folder) = config.core.store.strip_prefix("sqlite:").and_then(|path| Path::new(path).parent())
        && !config.keeps_store_in_data()
        && !problems.has(&["core.store"])
    {
        writable("core.store", folder, problems);
    }
    if let Some(folder) = blobs.strip_prefix("folder:").filter(|folder| !folder.is_empty()) {
        writable("core.blobs", Path::new(folder), problems);
    }
}

/// The folder, or the nearest before it that is there, has to take files.
fn writable(key: &'static str, folder: &Path, problems: &mut Problems) {
    let runner = problems.runner.as_ref();
    let path = runner.map_or_else(|| absolute(folder).unwrap_or_default(), |runner| runner.absolute(folder));
    let Some(there) = path.ancestors().find(|path| path.symlink_metadata().is_ok()) else { return };
    if !there.is_dir() {
        let which = if there == path { String::new() } else { format!("{}: ", path.display()) };
        return problems.add(key, format!("{which}{} is no folder: name a folder, which is made", there.display()));
    }
    if runner.is_some_and(|runner| runner.is_made(&path)) {
        return;
    }
    let writes = match runner {
        Some(runner) => runner.writes(&path, there),
        None => access(there, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| format!("{}: {error}: name a folder that this user may write to", there.display())),
    };
    if let Err(refusal) = writes {
        problems.add(key, refusal);
    }
}
