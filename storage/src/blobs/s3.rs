//! Blobs in a bucket of an S3 store (the API of Amazon S3, which many others have).
//!
//! A small blob is one PUT and a large one a multipart upload; neither shows anything before its
//! end. `PREFIX/blobs/HASH` is a blob.

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, Error, GetOptions, GetRange, MultipartUpload, ObjectStore as _,
    ObjectStoreExt as _, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    list::{PaginatedListOptions, PaginatedListStore as _},
    path::Path,
};
use url::Url;

use super::{Blob, BlobError, BlobId, Blobs, Body, Listed, S3Config, body};
use crate::{
    causes::causes,
    tls::{self, NoAuthority},
};

/// Blobs in a bucket.
#[derive(Debug)]
pub struct S3Blobs {
    store: AmazonS3,
    /// What the names of blobs begin with.
    prefix: String,
}

/// Why the bucket was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    /// The settings do not make an address.
    #[error("{0}: {1}")]
    Settings(&'static str, String),
    /// The authority's file cannot be used.
    #[error("core.s3_ca: {0}")]
    Ca(#[from] NoAuthority),
    /// Its certificate is not believed.
    #[error(
        "core.s3_ca: the certificate of {place} is refused: {reason} (give the authority that signed it, and in core.s3_endpoint a host that it is for)"
    )]
    Untrusted {
        /// The endpoint, or Amazon's region.
        place: String,
        /// Why.
        reason: String,
    },
    /// There is no such bucket.
    #[error("core.blobs: there is no bucket {bucket:?} at {place}: make it, or name another")]
    NoBucket {
        /// Which.
        bucket: String,
        /// The endpoint, or Amazon's region.
        place: String,
    },
    /// The key does not open it.
    #[error(
        "core.blobs: {place} does not let core.s3_access_key and core.s3_secret_key write to the bucket {bucket:?}: {reason}"
    )]
    Refused {
        /// Which.
        bucket: String,
        /// The endpoint, or Amazon's region.
        place: String,
        /// What it says.
        reason: String,
    },
    /// It does not answer, or not as an S3 store does.
    #[error("core.blobs: no S3 store answers at {place} (core.s3_endpoint): {reason}")]
    Unreachable {
        /// The endpoint, or Amazon's region.
        place: String,
        /// What came of it.
        reason: String,
    },
}

impl S3Blobs {
    /// Looks whether the bucket is there and can be written to and listed.
    ///
    /// # Errors
    /// [`S3Error`].
    pub async fn open(config: &S3Config) -> Result<Self, S3Error> {
        check(config)?;
        let store =
            client(config, certificates(config)?).map_err(|error| S3Error::Settings("core.blobs", causes(&error)))?;
        let own = if config.prefix.is_empty() { String::new() } else { format!("{}/", config.prefix) };
        let blobs = Self { store, prefix: format!("{own}blobs/") };
        let tried = async {
            blobs.store.put(&Path::from(format!("{own}started")), PutPayload::new()).await?;
            blobs.page(None, 1).await
        };
        let place = if config.endpoint.is_empty() { config.region.clone() } else { config.endpoint.clone() };
        let bucket = config.bucket.clone();
        let Err(error) = tried.await else { return Ok(blobs) };
        let reason = causes(&error);
        Err(match error {
            _ if tls::is_untrusted(&reason) => S3Error::Untrusted { place, reason },
            Error::NotFound { .. } if reason.contains("NoSuchBucket") => S3Error::NoBucket { bucket, place },
            // Some say "not found" of the key.
            Error::NotFound { .. } | Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                S3Error::Refused { bucket, place, reason }
            }
            _ => S3Error::Unreachable { place, reason },
        })
    }

    fn key(&self, id: BlobId) -> Path {
        Path::from(format!("{}{id}", self.prefix))
    }

    async fn page(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, Error> {
        let options = PaginatedListOptions {
            offset: after.map(|after| format!("{}{after}", self.prefix)),
            max_keys: Some(limit.min(PAGE)),
            ..Default::default()
        };
        let page = self.store.list_paginated(Some(&self.prefix), options).await?;
        let listed = page.result.objects.into_iter().filter_map(|object| {
            let id = object.location.filename()?.parse().ok()?;
            Some(Listed { id, size: object.size, modified_ms: object.last_modified.timestamp_millis() })
        });
        Ok(listed.collect())
    }

    /// Puts more than one part; `first` is the first.
    async fn put_parts(&self, key: &Path, first: Vec<Bytes>, parts: &mut Parts) -> Result<(), BlobError> {
        let mut upload = Upload(Some(self.store.put_multipart(key).await.map_err(failed)?));
        let mut next = Some(first);
        while let Some(part) = next {
            upload.get()?.put_part(PutPayload::from_iter(part)).await.map_err(failed)?;
            next = parts.next().await?;
        }
        upload.get()?.complete().await.map_err(failed)?;
        upload.0 = None;
        Ok(())
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, id: BlobId, most: u64, body: Body) -> Result<u64, BlobError> {
        let mut parts =
            Parts { incoming: body::Incoming::new(id, most.min(MOST), body), rest: Bytes::new(), ended: false };
        let key = self.key(id);
        let first = parts.next().await?.unwrap_or_default();
        if parts.ended {
            self.store.put(&key, PutPayload::from_iter(first)).await.map_err(failed)?;
        } else {
            self.put_parts(&key, first, &mut parts).await?;
        }
        Ok(parts.incoming.size())
    }

    async fn get(&self, id: BlobId, range: Range<u64>) -> Result<Blob, BlobError> {
        let key = self.key(id);
        let mut options = GetOptions::default();
        if range.start > 0 || range.end < u64::MAX {
            // A range without a byte in the blob is refused by S3, and one of no bytes cannot be asked for.
            let size = self.size(id).await?;
            let (start, end) = (range.start.min(size), range.end.min(size));
            if start >= end && size > 0 {
                return Ok(Blob { size, body: Box::pin(futures_util::stream::empty()) });
            }
            options.range = ((start, end) != (0, size)).then_some(GetRange::Bounded(start..end));
        }
        let whole = options.range.is_none();
        let got = self.store.get_opts(&key, options).await.map_err(not_read)?;
        let size = got.meta.size;
        let pieces: Body = Box::pin(got.into_stream().map(|piece| piece.map_err(failed)));
        Ok(Blob { size, body: if whole { body::verified(id, pieces) } else { pieces } })
    }

    async fn size(&self, id: BlobId) -> Result<u64, BlobError> {
        Ok(self.store.head(&self.key(id)).await.map_err(not_read)?.size)
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        match self.store.delete(&self.key(id)).await {
            Err(Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, BlobError> {
        self.page(after, limit).await.map_err(failed)
    }
}

/// What is put, in parts of one size, as some stores want them.
struct Parts {
    incoming: body::Incoming,
    rest: Bytes,
    /// The part that was given last is the last.
    ended: bool,
}

impl Parts {
    async fn next(&mut self) -> Result<Option<Vec<Bytes>>, BlobError> {
        if self.ended {
            return Ok(None);
        }
        let (mut part, mut room) = (Vec::new(), PART);
        while room > 0 {
            if self.rest.is_empty() {
                match self.incoming.next().await? {
                    Some(piece) => self.rest = piece,
                    None => {
                        self.ended = true;
                        break;
                    }
                }
            }
            let piece = self.rest.split_to(room.min(self.rest.len()));
            room -= piece.len();
            part.push(piece);
        }
        Ok((!part.is_empty()).then_some(part))
    }
}

/// A multipart upload, whose parts are thrown away unless it is completed.
struct Upload(Option<Box<dyn MultipartUpload>>);

impl Upload {
    fn get(&mut self) -> Result<&mut Box<dyn MultipartUpload>, BlobError> {
        self.0.as_mut().ok_or_else(|| BlobError::Unavailable("the upload has ended".into()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
        // It ends by itself, within the time that a request may take.
        runtime.spawn(async move {
            if let Err(error) = upload.abort().await {
                tracing::warn!(error = causes(&error), "parts of a broken upload stay in the bucket");
            }
        });
    }
}

/// The library panics where these make no URL.
fn check(config: &S3Config) -> Result<(), S3Error> {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let http = Url::parse(&config.endpoint).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none()
    });
    let wrong = match () {
        () if !plain(&config.bucket) => ("core.blobs", format!("{:?} is no name of a bucket", config.bucket)),
        () if !plain(&config.region) => ("core.s3_region", format!("{:?} is no region", config.region)),
        () if !http && !config.endpoint.is_empty() => {
            ("core.s3_endpoint", format!("{:?} is no URL of a server: write https://HOST", config.endpoint))
        }
        () => return Ok(()),
    };
    Err(S3Error::Settings(wrong.0, wrong.1))
}

/// Those of the authority's file, for a client that takes no others.
fn certificates(config: &S3Config) -> Result<Vec<Certificate>, S3Error> {
    let Some(ca) = &config.ca else { return Ok(Vec::new()) };
    tls::authorities(ca)?;
    let no = |reason: String| S3Error::Ca(NoAuthority { file: ca.clone(), reason });
    let pem = std::fs::read(ca).map_err(|error| no(error.to_string()))?;
    Certificate::from_pem_bundle(&pem).map_err(|error| no(causes(&error)))
}

fn client(config: &S3Config, certificates: Vec<Certificate>) -> Result<AmazonS3, Error> {
    let mut options = ClientOptions::new()
        .with_allow_http(true)
        .with_connect_timeout(CONNECT)
        // Each read, not all of a blob.
        .with_read_timeout(ANSWER)
        .with_timeout_disabled()
        .with_no_system_certificates(!certificates.is_empty());
    for certificate in certificates {
        options = options.with_root_certificate(certificate);
    }
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(1), base: 2.0 };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_access_key_id(&config.access_key)
        .with_secret_access_key(&config.secret_key)
        .with_client_options(options)
        .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: PATIENCE });
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(&config.endpoint);
    }
    builder.build()
}

/// A blob that is not there is no fault of the place.
fn not_read(error: Error) -> BlobError {
    if matches!(error, Error::NotFound { .. }) { BlobError::NotFound } else { failed(error) }
}

#[allow(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
fn failed(error: Error) -> BlobError {
    let reason = causes(&error);
    // The library keeps the status to itself; stores say it in several ways.
    let full = ["status code: 507", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"];
    if full.iter().any(|word| reason.contains(word)) { BlobError::Full } else { BlobError::Unavailable(reason) }
}

/// 10,000 parts are the most of an upload; all but the last have to be of 5 MiB at least.
const PART: usize = 8 * 1024 * 1024;
const MOST: u64 = 10_000 * PART as u64;
const PAGE: usize = 1_000;
const CONNECT: Duration = Duration::from_secs(2);
/// How long a store may say nothing.
const ANSWER: Duration = Duration::from_secs(20);
const RETRIES: usize = 3;
/// After this it is not tried again.
const PATIENCE: Duration = Duration::from_secs(5);
