//! Blobs in a folder.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt as _, stream};
use gogochat_storage::blobs::{BlobError, BlobId, Blobs, folder::FolderBlobs};
use tempfile::TempDir;

use crate::contract::blobs::{self, ALL, body, bytes, put, read};

async fn open() -> (TempDir, Arc<FolderBlobs>) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(&folder.path().join("deep/blobs")).await.unwrap();
    (folder, Arc::new(blobs))
}

#[tokio::test]
async fn what_is_put_is_read() {
    let (_folder, place) = open().await;
    blobs::what_is_put_is_read(place).await;
}

#[tokio::test]
async fn ranges_are_cut_to_what_there_is() {
    let (_folder, place) = open().await;
    blobs::ranges_are_cut_to_what_there_is(place).await;
}

#[tokio::test]
async fn what_is_not_whole_is_not_there() {
    let (folder, place) = open().await;
    blobs::what_is_not_whole_is_not_there(place).await;
    assert_eq!(files(folder.path()), [] as [PathBuf; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_there_once() {
    let (folder, place) = open().await;
    blobs::the_same_is_there_once(place).await;
    assert_eq!(files(folder.path()).len(), 1);
}

#[tokio::test]
async fn a_list_has_all_in_pages() {
    let (folder, place) = open().await;
    // What is no blob is none, wherever it lies.
    fs::write(folder.path().join("deep/blobs/README"), "no blob").unwrap();
    blobs::a_list_has_all_in_pages(place).await;
}

#[tokio::test]
async fn damage_is_noticed_and_mended() {
    let (folder, place) = open().await;
    let bytes = bytes(1, 600_000);
    let id = put(&*place, &bytes).await;
    let [file] = &files(folder.path())[..] else { panic!("not one file") };
    let mut damaged = bytes.to_vec();
    damaged[300_000] ^= 1;
    for damaged in [&damaged[..], &bytes[..599_999], &[]] {
        fs::write(file, damaged).unwrap();
        let mut pieces = place.get(id, ALL).await.unwrap().body;
        let mut read_before = 0;
        let end = loop {
            match pieces.next().await.expect("a damaged blob ends as a whole one does") {
                Ok(piece) => read_before += piece.len(),
                Err(error) => break error,
            }
        };
        assert_eq!(end, BlobError::Corrupt(id));
        assert!(read_before < bytes.len() && pieces.next().await.is_none());
    }
    put(&*place, &bytes).await;
    assert_eq!(read(&*place, id, ALL).await.unwrap().1, bytes);
}

#[tokio::test]
async fn says_which_key_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for place in [file.clone(), file.join("below")] {
        let error = FolderBlobs::open(&place).await.unwrap_err().to_string();
        assert!(error.starts_with("core.blobs: the folder /") && error.contains("file"), "{error}");
    }
}

#[tokio::test]
async fn a_folder_that_goes_is_noticed() {
    let (folder, place) = open().await;
    place.check().await.unwrap();
    fs::remove_dir_all(folder.path().join("deep/blobs")).unwrap();
    assert!(matches!(place.check().await, Err(BlobError::Unavailable(_))));
    let new = bytes(1, 10);
    assert!(matches!(place.put(BlobId::of(&new), 10, body(&new)).await, Err(BlobError::Unavailable(_))));
}

/// The folder may be another process's too: what is young stays.
#[tokio::test]
async fn what_was_left_half_written_goes() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new");
    fs::create_dir_all(&new).unwrap();
    let hours_ago = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3_600);
    for (name, at) in [("old", hours_ago(25)), ("young", hours_ago(23))] {
        File::create(new.join(name)).unwrap().set_modified(at).unwrap();
    }
    FolderBlobs::open(folder.path()).await.unwrap();
    assert_eq!(files(folder.path()), [new.join("young")]);
}

/// Killed in the middle of it, as a power failure would but for what the system has in memory.
#[tokio::test]
async fn killed_while_it_is_put_it_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program("child_puts_without_end", folder.path(), &[]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while files(folder.path()).iter().all(|file| fs::metadata(file).map_or(0, |about| about.len()) < 1_000_000) {
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "nothing is written");
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let place = FolderBlobs::open(folder.path()).await.unwrap();
    assert_eq!(place.list(None, 10).await.unwrap(), []);
    assert_eq!(place.size(BlobId::of(b"never")).await, Err(BlobError::NotFound));
}

#[tokio::test]
#[ignore = "a program of killed_while_it_is_put_it_is_not_there"]
async fn child_puts_without_end() {
    let place = FolderBlobs::open(Path::new(&std::env::var(FOLDER).unwrap())).await.unwrap();
    let endless = Box::pin(stream::repeat(bytes(1, 100_000)).map(Ok));
    panic!("{:?}", place.put(BlobId::of(b"never"), 10_000_000_000, endless).await);
}

/// In a file system of 2 MiB, in a mount namespace of its own.
#[test]
fn a_full_disk_is_said() {
    const SMALL: &[&str] =
        &["--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs -o size=2m tmpfs \"$FOLDER\" && exec \"$@\"", "sh"];
    let folder = tempfile::tempdir().unwrap();
    let done = program("child_fills_its_folder", folder.path(), SMALL).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
#[ignore = "a program of a_full_disk_is_said"]
async fn child_fills_its_folder() {
    let place = FolderBlobs::open(Path::new(&std::env::var(FOLDER).unwrap())).await.unwrap();
    let small = bytes(1, 500_000);
    let id = put(&place, &small).await;
    let large = bytes(2, 3_000_000);
    assert_eq!(place.put(BlobId::of(&large), 3_000_000, body(&large)).await, Err(BlobError::Full));
    // What is there can be read, and what was half-written takes no space.
    assert_eq!(read(&place, id, ALL).await.unwrap().1, small);
    put(&place, &bytes(3, 1_000_000)).await;
}

/// A test of this file as a program, which is given a folder; below `unshare` with these arguments, if there are any.
fn program(test: &str, folder: &Path, below: &[&str]) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut program = if below.is_empty() { Command::new(&own) } else { Command::new("unshare") };
    if !below.is_empty() {
        program.args(below).arg(&own);
    }
    program.args(["--exact", &format!("folder::{test}"), "--ignored", "--test-threads=1"]).env(FOLDER, folder);
    program
}

/// Every file below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let below = |entry: fs::DirEntry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] };
    fs::read_dir(folder).unwrap().flat_map(|entry| below(entry.unwrap())).collect()
}

const FOLDER: &str = "FOLDER";
