//! Blobs as files of a folder, for one machine, or for several that share a file system.
//!
//! `ab/abcd...` is a blob; `new/...` are those under way. A blob is written there, synced, and gets
//! its name by a rename, which is atomic.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::stream;
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
    task::spawn_blocking,
};
use uuid::Uuid;

use super::{Blob, BlobError, BlobId, Blobs, Body, Listed, body};

/// Blobs in a folder.
#[derive(Debug)]
pub struct FolderBlobs {
    root: PathBuf,
}

/// The folder cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("core.blobs: the folder {} cannot be used: {reason}", folder.display())]
pub struct FolderError {
    /// Which.
    folder: PathBuf,
    /// What came of it.
    reason: String,
}

impl FolderBlobs {
    /// Makes the folder where it is missing, looks whether it can be written to, and removes what a
    /// process that was killed has left half-written.
    ///
    /// # Errors
    /// [`FolderError`].
    pub async fn open(root: &Path) -> Result<Self, FolderError> {
        let blobs = Self { root: root.to_owned() };
        let prepared = async {
            fs::create_dir_all(blobs.under_way()).await?;
            blobs.remove_leftovers().await?;
            blobs.begin().await?.1.sync_all().await?;
            sync_folder(root).await
        };
        match prepared.await {
            Ok(()) => Ok(blobs),
            Err(error) => Err(FolderError { folder: root.to_owned(), reason: error.to_string() }),
        }
    }

    fn under_way(&self) -> PathBuf {
        self.root.join("new")
    }

    /// The folder of a blob and the blob.
    fn place(&self, id: BlobId) -> (PathBuf, PathBuf) {
        let name = id.to_string();
        let folder = self.root.join(name.get(..2).unwrap_or_default());
        let file = folder.join(name);
        (folder, file)
    }

    /// Another process may write here too: what is young may be its own.
    async fn remove_leftovers(&self) -> io::Result<()> {
        let mut files = fs::read_dir(self.under_way()).await?;
        while let Some(file) = files.next_entry().await? {
            // Another's may be gone by now.
            let Ok(about) = file.metadata().await else { continue };
            if SystemTime::now().duration_since(about.modified()?).is_ok_and(|age| age > LEFTOVER) {
                fs::remove_file(file.path()).await?;
            }
        }
        Ok(())
    }

    async fn begin(&self) -> io::Result<(UnderWay, File)> {
        let path = self.under_way().join(Uuid::new_v4().to_string());
        let file = File::create_new(&path).await?;
        Ok((UnderWay(path), file))
    }
}

/// A file that is not a blob yet: it goes unless it becomes one.
struct UnderWay(PathBuf);

impl Drop for UnderWay {
    fn drop(&mut self) {
        // After the rename there is none.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn put(&self, id: BlobId, most: u64, body: Body) -> Result<u64, BlobError> {
        let mut incoming = body::Incoming::new(id, most, body);
        let (under_way, mut file) = self.begin().await.map_err(failed)?;
        while let Some(piece) = incoming.next().await? {
            file.write_all(&piece).await.map_err(failed)?;
        }
        let (folder, place) = self.place(id);
        let keep = async {
            file.flush().await?;
            file.sync_all().await?;
            drop(file);
            fs::create_dir_all(&folder).await?;
            // Though it was there: another may have made it just now, and not synced it yet.
            sync_folder(&self.root).await?;
            fs::rename(&under_way.0, &place).await?;
            sync_folder(&folder).await
        };
        keep.await.map_err(failed)?;
        Ok(incoming.size())
    }

    async fn get(&self, id: BlobId, range: Range<u64>) -> Result<Blob, BlobError> {
        let mut file = File::open(self.place(id).1).await.map_err(not_read)?;
        let size = file.metadata().await.map_err(failed)?.len();
        let (start, end) = (range.start.min(size), range.end.min(size));
        let whole = start == 0 && end == size;
        if start > 0 {
            file.seek(io::SeekFrom::Start(start)).await.map_err(failed)?;
        }
        let pieces = pieces(file, end.saturating_sub(start));
        Ok(Blob { size, body: if whole { body::verified(id, pieces) } else { pieces } })
    }

    async fn size(&self, id: BlobId) -> Result<u64, BlobError> {
        Ok(fs::metadata(self.place(id).1).await.map_err(not_read)?.len())
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        match fs::remove_file(self.place(id).1).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, BlobError> {
        let root = self.root.clone();
        let listed = spawn_blocking(move || list(&root, after, limit.min(PAGE))).await;
        listed.map_err(|error| BlobError::Unavailable(error.to_string()))?.map_err(failed)
    }
}

/// The next `left` bytes of a file.
fn pieces(file: File, left: u64) -> Body {
    Box::pin(stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        let read = (&mut file).take(left).read_buf(&mut piece).await.map_err(failed)? as u64;
        // It is shorter than it was: who checks the hash says so.
        Ok((read > 0).then(|| (piece.freeze(), (file, left - read))))
    }))
}

fn list(root: &Path, after: Option<BlobId>, limit: usize) -> io::Result<Vec<Listed>> {
    // A place that is gone is not an empty one.
    std::fs::metadata(root)?;
    let mut page = Vec::new();
    for first in after.map_or(0, |BlobId([first, ..])| first)..=u8::MAX {
        if page.len() == limit {
            break;
        }
        let folder = match std::fs::read_dir(root.join(format!("{first:02x}"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            folder => folder?,
        };
        let mut here = Vec::new();
        for file in folder {
            let file = file?;
            let id = file.file_name().to_str().and_then(|name| name.parse::<BlobId>().ok());
            here.extend(id.filter(|id| after.is_none_or(|after| *id > after)).map(|id| (id, file.path())));
        }
        here.sort_unstable();
        for (id, path) in here {
            if page.len() == limit {
                break;
            }
            // It may have been removed meanwhile.
            if let Ok(about) = std::fs::metadata(path) {
                let modified = about.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let modified_ms = i64::try_from(modified.as_millis()).unwrap_or(i64::MAX);
                page.push(Listed { id, size: about.len(), modified_ms });
            }
        }
    }
    Ok(page)
}

/// Makes the names in a folder last, which the sync of a file does not.
async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

#[allow(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
fn failed(error: io::Error) -> BlobError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::Full,
        _ => BlobError::Unavailable(error.to_string()),
    }
}

/// A blob that is not there is no fault of the place.
fn not_read(error: io::Error) -> BlobError {
    if error.kind() == io::ErrorKind::NotFound { BlobError::NotFound } else { failed(error) }
}

/// What is read at a time.
const PIECE: usize = 256 * 1024;
const PAGE: usize = 1_000;
/// Nobody writes one blob for so long.
const LEFTOVER: Duration = Duration::from_secs(24 * 3_600);
