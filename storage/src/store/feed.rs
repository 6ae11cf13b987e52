//! The change feed: what was committed, in the order in which commits reached the store. Whoever
//! follows it keeps a position of their own. They read each commit at least once, and each log's in
//! its order.

use async_trait::async_trait;
use bytes::{Buf as _, BufMut as _};
use gogochat_proto::ids::LogId;
use prost::encoding::{decode_varint, encode_varint};

use super::{Millis, StoreError};

/// The feed.
#[async_trait]
pub trait Feed: Send + Sync + 'static {
    /// Brings into the feed what the release before has written, which writes no feed. Then raises
    /// the floor over everything that has been committed, unless another core has done so since
    /// `since`. Cores call it once in a while. It waits for the commits that are under way, and
    /// later commits wait for it. The result is the floor: at or below it no further commit appears
    /// in the feed.
    ///
    /// # Errors
    /// Nothing was changed: another commit stood in the way for too long.
    async fn raise_floor(&self, now: Millis, since: Millis) -> Result<i64, StoreError>;
    /// The commits behind a position, in order: at most `limit`, and none below which another could
    /// still appear.
    async fn commits(&self, after: i64, limit: u32) -> Result<Vec<FeedCommit>, StoreError>;
    /// The last position that was given; `None`: none is there. Commits below it may still be under way.
    async fn last_position(&self) -> Result<Option<i64>, StoreError>;
    /// Drops commits up to a position that is not above the floor. The newest commit stays, and what a
    /// follower has not handled yet, but `kept` positions at most: a follower that is further behind
    /// begins anew.
    async fn trim_feed(&self, up_to: i64, kept: i64) -> Result<(), StoreError>;
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCommit {
    /// Where it stands in the feed.
    pub position: i64,
    /// What it has appended, a log each.
    pub entries: Vec<FeedEntry>,
}

/// What a commit has appended to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedEntry {
    /// The log.
    pub log: LogId,
    /// The first event.
    pub from_seq: i64,
    /// The last one.
    pub to_seq: i64,
}

/// A commit's entries in a column: id, first seq and number of further ones of each.
pub(super) fn encode(entries: &[FeedEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * 20);
    for entry in entries {
        bytes.put_slice(entry.log.as_bytes());
        encode_varint(entry.from_seq.unsigned_abs(), &mut bytes);
        encode_varint(entry.to_seq.abs_diff(entry.from_seq), &mut bytes);
    }
    bytes
}

/// The entries of a column; `None` where it holds none.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<FeedEntry>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let log = LogId::from_slice(bytes.get(..16)?)?;
        bytes.advance(16);
        let from_seq = i64::try_from(decode_varint(&mut bytes).ok()?).ok()?;
        let further = i64::try_from(decode_varint(&mut bytes).ok()?).ok()?;
        entries.push(FeedEntry { log, from_seq, to_seq: from_seq.checked_add(further)? });
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_come_back(entries in prop::collection::vec((any::<u128>(), 1..i64::MAX / 2, 0..1_000_i64), 0..20)) {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(id, from_seq, further)| FeedEntry { log: uuid::Uuid::from_u128(id).into(), from_seq, to_seq: from_seq + further })
                .collect();
            prop_assert_eq!(decode(&encode(&entries)), Some(entries));
        }

        #[test]
        fn damaged_columns_are_none(bytes in prop::collection::vec(any::<u8>(), 1..16)) {
            prop_assert_eq!(decode(&bytes), None);
        }
    }
}
