//! Bytes on their way, checked against their hash.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::{BlobError, BlobId, Body};

/// What is put, piece by piece.
pub(super) struct Incoming {
    id: BlobId,
    most: u64,
    body: Body,
    hash: Sha256,
    size: u64,
}

impl Incoming {
    pub(super) fn new(id: BlobId, most: u64, body: Body) -> Self {
        Self { id, most, body, hash: Sha256::new(), size: 0 }
    }

    /// The next piece. `None`: that was all, and it has the right hash.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let Some(piece) = self.body.next().await.transpose()? else {
            let hash = std::mem::take(&mut self.hash).finalize();
            return if self.id == BlobId(hash.into()) { Ok(None) } else { Err(BlobError::Mismatch) };
        };
        self.size += piece.len() as u64;
        if self.size > self.most {
            return Err(BlobError::TooLarge { most: self.most });
        }
        self.hash.update(&piece);
        Ok(Some(piece))
    }

    /// The bytes so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// A whole blob as it is read. The last piece is held back until the hash is known, so that nobody takes
/// a damaged blob for a whole one.
pub(super) fn verified(id: BlobId, body: Body) -> Body {
    let begin = Some((body, Sha256::new(), None::<Bytes>));
    Box::pin(stream::unfold(begin, move |state| async move {
        let (mut body, mut hash, mut held) = state?;
        loop {
            match body.next().await {
                Some(Ok(piece)) => {
                    hash.update(&piece);
                    if let Some(before) = held.replace(piece) {
                        return Some((Ok(before), Some((body, hash, held))));
                    }
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None if id != BlobId(hash.finalize().into()) => return Some((Err(BlobError::Corrupt(id)), None)),
                None => return held.map(|last| (Ok(last), None)),
            }
        }
    }))
}
