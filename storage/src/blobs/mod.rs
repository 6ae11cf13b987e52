//! Blobs: bytes that are named by their own hash, as files of messages and their thumbnails are.
//!
//! A blob is there whole or not at all, also when the process is killed as it writes, and what was
//! put is on disk. As the name is the hash, there are no two versions of a blob: who puts it again
//! writes the same bytes, which mends a damaged copy and makes the blob young again (see
//! [`Listed::modified_ms`]). Who may see a blob is not decided here.

mod body;
mod config;
pub mod folder;
#[cfg(feature = "cluster")]
pub mod s3;

use std::{fmt, ops::Range, pin::Pin, str::FromStr};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use sha2::{Digest as _, Sha256};

pub use self::config::S3Config;

/// A place for blobs. Memory is bounded, however large a blob is.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Keeps what `body` gives, at most `most` bytes; their number. Nothing is kept when it fails or is
    /// dropped.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], [`BlobError::Mismatch`], [`BlobError::Full`],
    /// [`BlobError::Unavailable`], and what `body` fails with.
    async fn put(&self, id: BlobId, most: u64, body: Body) -> Result<u64, BlobError>;

    /// The bytes of `range`, as far as there are any; `0..u64::MAX` is all of it. All of it is checked
    /// against the hash: a damaged blob ends with [`BlobError::Corrupt`] in place of its last piece.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Unavailable`]; these and [`BlobError::Corrupt`] in the body.
    async fn get(&self, id: BlobId, range: Range<u64>) -> Result<Blob, BlobError>;

    /// How large it is, which also says that it is there.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Unavailable`].
    async fn size(&self, id: BlobId) -> Result<u64, BlobError>;

    /// Removes it, if it is there.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    async fn delete(&self, id: BlobId) -> Result<(), BlobError>;

    /// Up to `limit` blobs, 1,000 at most, in the order of their ids, from the one that follows `after`.
    /// None: that was all.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, BlobError>;

    /// Whether the place answers.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    async fn check(&self) -> Result<(), BlobError> {
        self.list(None, 1).await.map(drop)
    }
}

/// Bytes as they come.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// The SHA-256 of a blob: its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl BlobId {
    /// The name of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a blob's id has 64 hexadecimal digits in lower case")]
pub struct NotAnId;

impl FromStr for BlobId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotAnId),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NotAnId) };
        let bytes =
            pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?)).collect::<Result<Vec<_>, _>>()?;
        bytes.try_into().map(Self).map_err(|_| NotAnId)
    }
}

/// A blob that is read.
pub struct Blob {
    /// How large all of it is.
    pub size: u64,
    /// What was asked for.
    pub body: Body,
}

/// A blob in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: BlobId,
    /// Its bytes.
    pub size: u64,
    /// When it was put last, in milliseconds since 1970 by the clock of the place. A blob is put before
    /// anything refers to it: who removes what nothing refers to spares the young ones.
    pub modified_ms: i64,
}

/// Why there is no blob, or not what was put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// There is none of this id.
    #[error("there is no such blob")]
    NotFound,
    /// More came than was allowed.
    #[error("the blob is larger than {most} bytes")]
    TooLarge {
        /// What was allowed.
        most: u64,
    },
    /// What came has another hash.
    #[error("what came has another hash than its id")]
    Mismatch,
    /// What is kept has another hash: it was damaged where it lies.
    #[error("the blob {0} is damaged")]
    Corrupt(BlobId),
    /// There is no space for it (507 in HTTP).
    #[error("there is no space for blobs")]
    Full,
    /// The place does not answer, or not as it should.
    #[error("blobs are unavailable: {0}")]
    Unavailable(String),
    /// Who sent it broke off.
    #[error("the sender broke off: {0}")]
    Sender(String),
}
