//! What every place of blobs does. Each test has a place of its own, which is empty.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gogochat_storage::blobs::{BlobError, BlobId, Blobs, Body};
use tokio::sync::Notify;

/// All of it.
pub(crate) const ALL: std::ops::Range<u64> = 0..u64::MAX;

/// Bytes that nothing compresses and no two seeds share.
pub(crate) fn bytes(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(size.div_ceil(8)).flatten().collect();
    bytes.truncate(size);
    bytes.into()
}

/// As they come over a network: in pieces of odd sizes.
pub(crate) fn body(bytes: &Bytes) -> Body {
    let mut left = bytes.clone();
    let mut size = 1;
    Box::pin(stream::iter(std::iter::from_fn(move || {
        size = (size * 3) % 100_003;
        (!left.is_empty()).then(|| Ok(left.split_to(size.min(left.len()))))
    })))
}

pub(crate) async fn put(blobs: &dyn Blobs, bytes: &Bytes) -> BlobId {
    let id = BlobId::of(bytes);
    let size = bytes.len() as u64;
    assert_eq!(blobs.put(id, size, body(bytes)).await, Ok(size));
    id
}

pub(crate) async fn read(
    blobs: &dyn Blobs,
    id: BlobId,
    range: std::ops::Range<u64>,
) -> Result<(u64, Vec<u8>), BlobError> {
    let blob = blobs.get(id, range).await?;
    let pieces: Vec<Bytes> = blob.body.try_collect().await?;
    Ok((blob.size, pieces.concat()))
}

async fn ids(blobs: &dyn Blobs) -> Vec<BlobId> {
    blobs.list(None, 1_000).await.unwrap().into_iter().map(|blob| blob.id).collect()
}

/// Of no byte, of few, around the size of a part of an upload, and of several parts.
pub(crate) async fn what_is_put_is_read(blobs: Arc<dyn Blobs>) {
    const PART: usize = 8 * 1024 * 1024;
    blobs.check().await.unwrap();
    for size in [0, 1, 300_000, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 77] {
        let bytes = bytes(size as u64, size);
        let id = BlobId::of(&bytes);
        assert_eq!(blobs.size(id).await, Err(BlobError::NotFound));
        assert_eq!(put(&*blobs, &bytes).await, id);
        assert_eq!(blobs.size(id).await, Ok(size as u64));
        let (said, back) = read(&*blobs, id, ALL).await.unwrap();
        assert!(said == size as u64 && back == bytes, "{size} bytes come back as {said}, {}", back.len());
        blobs.delete(id).await.unwrap();
        assert_eq!(blobs.get(id, ALL).await.err(), Some(BlobError::NotFound));
        assert_eq!(blobs.get(id, 1..2).await.err(), Some(BlobError::NotFound));
        // There is nothing to remove any more.
        blobs.delete(id).await.unwrap();
    }
}

pub(crate) async fn ranges_are_cut_to_what_there_is(blobs: Arc<dyn Blobs>) {
    let bytes = bytes(1, 700_000);
    let id = put(&*blobs, &bytes).await;
    for (start, end) in [(0, 1), (0, 700_000), (1, 700_000), (699_999, u64::MAX), (300_000, 300_001), (5, 600_000)] {
        let (size, back) = read(&*blobs, id, start..end).await.unwrap();
        assert_eq!(size, 700_000);
        assert!(back == bytes[start as usize..end.min(700_000) as usize], "{start}..{end}");
    }
    for nothing in [700_000..700_001, 700_001..u64::MAX, 4..4, 0..0] {
        assert_eq!(read(&*blobs, id, nothing).await.unwrap(), (700_000, Vec::new()));
    }
}

/// Whatever goes wrong as it is put, nothing of it is there.
pub(crate) async fn what_is_not_whole_is_not_there(blobs: Arc<dyn Blobs>) {
    for size in [10_usize, 9_000_000] {
        let bytes = bytes(2, size);
        let (id, all) = (BlobId::of(&bytes), size as u64);
        assert_eq!(blobs.put(id, all - 1, body(&bytes)).await, Err(BlobError::TooLarge { most: all - 1 }));
        // One byte is missing, or another has come.
        assert_eq!(blobs.put(id, all, body(&bytes.slice(..size - 1))).await, Err(BlobError::Mismatch));
        let other = [&bytes[..size - 1], &[!bytes[size - 1]]].concat().into();
        assert_eq!(blobs.put(id, all, body(&other)).await, Err(BlobError::Mismatch));
        let broken = || Err(BlobError::Sender("gone".into()));
        let body_that_breaks = Box::pin(body(&bytes).chain(stream::iter([broken()])));
        assert_eq!(blobs.put(id, all, body_that_breaks).await, Err(BlobError::Sender("gone".into())));
        // Who waits for it goes away.
        let waiting = Arc::new(Notify::new());
        let told = waiting.clone();
        let body_that_hangs = Box::pin(body(&bytes).chain(stream::once(async move {
            told.notify_one();
            std::future::pending().await
        })));
        tokio::select! {
            never = blobs.put(id, all, body_that_hangs) => panic!("{never:?}"),
            () = waiting.notified() => {}
        }
        assert_eq!(blobs.size(id).await, Err(BlobError::NotFound));
    }
    assert_eq!(ids(&*blobs).await, []);
}

/// Many at once, also of the same.
pub(crate) async fn the_same_is_there_once(blobs: Arc<dyn Blobs>) {
    let bytes = bytes(3, 200_000);
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    futures_util::future::join_all((0..8).map(|_| put(&*blobs, &bytes))).await;
    let [blob] = blobs.list(None, 10).await.unwrap()[..] else { panic!("not one") };
    assert_eq!((blob.id, blob.size), (BlobId::of(&bytes), 200_000));
    // S3 tells whole seconds.
    assert!((before - 2_000..before + 60_000).contains(&blob.modified_ms), "{blob:?}, put at {before}");
    // Who reads while it is put again reads all of it.
    for _ in 0..4 {
        let (back, _) = tokio::join!(read(&*blobs, blob.id, ALL), put(&*blobs, &bytes));
        assert!(back.unwrap().1 == bytes);
    }
}

pub(crate) async fn a_list_has_all_in_pages(blobs: Arc<dyn Blobs>) {
    assert_eq!(blobs.list(None, 10).await.unwrap(), []);
    let mut put_ids = Vec::new();
    for seed in 0..25 {
        put_ids.push(put(&*blobs, &bytes(seed, 10 + seed as usize)).await);
    }
    put_ids.sort_unstable();
    for limit in [1, 7, 25, 26] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = blobs.list(after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            seen.extend(page.iter().map(|blob| blob.id));
        }
        assert_eq!(seen, put_ids, "in pages of {limit}");
    }
    // From between two, and when the one it goes on from has been removed.
    blobs.delete(put_ids[5]).await.unwrap();
    assert_eq!(blobs.list(Some(put_ids[5]), 1).await.unwrap()[0].id, put_ids[6]);
}
