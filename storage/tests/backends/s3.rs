//! Blobs in an S3 store.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_storage::blobs::{
    BlobError, BlobId, Blobs as _, S3Config,
    s3::{S3Blobs, S3Error},
};

use crate::{
    contract::blobs::{self, ALL, body, bytes, put, read},
    services::{Private, address, unique},
};

/// The bucket that scripts/service/s3 makes, and its key.
fn config(address: &str, prefix: String) -> S3Config {
    S3Config {
        bucket: "gogochat".into(),
        prefix,
        endpoint: format!("http://{address}"),
        ca: None,
        region: "us-east-1".into(),
        access_key: "test".into(),
        secret_key: "testsecret".into(),
    }
}

async fn open(test: &str) -> Arc<S3Blobs> {
    Arc::new(S3Blobs::open(&config(&address("s3"), unique(test))).await.unwrap())
}

#[tokio::test]
async fn what_is_put_is_read() {
    blobs::what_is_put_is_read(open("read").await).await;
}

#[tokio::test]
async fn ranges_are_cut_to_what_there_is() {
    blobs::ranges_are_cut_to_what_there_is(open("ranges").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_there_once() {
    blobs::the_same_is_there_once(open("same").await).await;
}

#[tokio::test]
async fn a_list_has_all_in_pages() {
    blobs::a_list_has_all_in_pages(open("list").await).await;
}

#[tokio::test]
async fn what_is_not_whole_is_not_there() {
    let s3 = Private::start("s3", &[]);
    let place = S3Blobs::open(&config(&s3.address(), String::new())).await.unwrap();
    blobs::what_is_not_whole_is_not_there(Arc::new(place)).await;
    // Nor are parts of it, a moment later.
    let until = Instant::now() + Duration::from_secs(30);
    while let parts @ 1.. = large_files(s3.folder().join("data")) {
        assert!(Instant::now() < until, "{parts} parts of uploads are left");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn damage_is_noticed_and_mended() {
    let s3 = Private::start("s3", &[]);
    let place = S3Blobs::open(&config(&s3.address(), "one/two".into())).await.unwrap();
    let bytes = bytes(1, 600_000);
    let id = put(&place, &bytes).await;
    let file = s3.folder().join("data/gogochat/one/two/blobs").join(id.to_string());
    let mut damaged = fs::read(&file).unwrap();
    damaged[599_999] ^= 1;
    fs::write(&file, damaged).unwrap();
    assert_eq!(read(&place, id, ALL).await, Err(BlobError::Corrupt(id)));
    put(&place, &bytes).await;
    assert_eq!(read(&place, id, ALL).await.unwrap().1, bytes);
}

#[tokio::test]
async fn a_bucket_that_goes_is_noticed() {
    let s3 = Private::start("s3", &[]);
    let place = S3Blobs::open(&config(&s3.address(), String::new())).await.unwrap();
    fs::remove_dir_all(s3.folder().join("data/gogochat")).unwrap();
    assert!(matches!(place.check().await, Err(BlobError::Unavailable(_))));
    let new = bytes(1, 10);
    assert!(matches!(place.put(BlobId::of(&new), 10, body(&new)).await, Err(BlobError::Unavailable(_))));
}

#[tokio::test]
async fn prefixes_are_apart() {
    let [one, other] = [open("one").await, open("other").await];
    let id = put(&*one, &bytes(1, 10)).await;
    assert_eq!(other.size(id).await, Err(BlobError::NotFound));
    assert_eq!(other.list(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn says_which_key_is_wrong() {
    let s3 = Private::start("s3", &[]);
    let good = config(&s3.address(), String::new());
    let refused = async |config: S3Config| {
        let error = S3Blobs::open(&config).await.unwrap_err();
        let said = format!("{error} {config:?}");
        assert!(said.starts_with("core.blobs") && !said.contains("secret1"), "{said}");
        error
    };

    for wrong in [
        S3Config { secret_key: "secret1".into(), ..good.clone() },
        S3Config { access_key: "nobody".into(), secret_key: "secret1".into(), ..good.clone() },
    ] {
        let error = refused(wrong).await;
        assert!(
            matches!(error, S3Error::Refused { .. }) && error.to_string().contains("core.s3_secret_key"),
            "{error}"
        );
    }
    let error = refused(S3Config { bucket: "nowhere".into(), ..good.clone() }).await;
    assert!(matches!(error, S3Error::NoBucket { .. }) && error.to_string().contains("\"nowhere\""), "{error}");
    for endpoint in ["http://", "localhost:9000", "http://a b", "https://host?key=secret"] {
        let error = S3Blobs::open(&S3Config { endpoint: endpoint.into(), ..good.clone() }).await.unwrap_err();
        assert!(error.to_string().starts_with("core.s3_endpoint"), "{error}");
    }
    for name in ["", "a b", "a/b", "a?b", "ä"] {
        let error = S3Blobs::open(&S3Config { bucket: name.into(), ..good.clone() }).await.unwrap_err();
        assert!(error.to_string().starts_with("core.blobs"), "{error}");
        let error = S3Blobs::open(&S3Config { region: name.into(), ..good.clone() }).await.unwrap_err();
        assert!(error.to_string().starts_with("core.s3_region"), "{error}");
    }

    drop(s3);
    let asked = Instant::now();
    let error = refused(good).await;
    assert!(matches!(error, S3Error::Unreachable { .. }) && error.to_string().contains("core.s3_endpoint"), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(15), "it takes {:?} to say that it is gone", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived() {
    let s3 = Private::start("s3", &[]);
    let place = S3Blobs::open(&config(&s3.address(), String::new())).await.unwrap();
    let bytes = bytes(1, 9_000_000);
    let id = put(&place, &bytes).await;

    s3.kill();
    let asked = Instant::now();
    let new = blobs::bytes(2, 10);
    for error in [
        place.check().await.unwrap_err(),
        place.put(BlobId::of(&new), 10, body(&new)).await.unwrap_err(),
        read(&place, id, ALL).await.unwrap_err(),
    ] {
        assert!(matches!(error, BlobError::Unavailable(_)), "{error}");
    }
    assert!(asked.elapsed() < Duration::from_secs(30), "it takes {:?} to say that it is gone", asked.elapsed());

    s3.up(&[]);
    place.check().await.unwrap();
    assert!(read(&place, id, ALL).await.unwrap().1 == bytes);
    assert_eq!(place.size(BlobId::of(&new)).await, Err(BlobError::NotFound));
    put(&place, &new).await;
}

/// The files of more than a MB below it.
fn large_files(folder: PathBuf) -> usize {
    let large = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => large_files(entry.path()),
        Ok(about) => usize::from(about.len() > 1_000_000),
        // It has just been removed.
        Err(_) => 0,
    };
    fs::read_dir(folder).map_or(0, |folder| folder.flatten().map(large).sum())
}
