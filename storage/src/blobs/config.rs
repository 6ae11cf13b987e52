//! Where a bucket is, and how it is reached.

use std::{fmt, path::PathBuf};

/// Which bucket, and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Config {
    /// The bucket. It has to be there.
    pub bucket: String,
    /// What its keys begin with, without a slash at the end; may be empty. Clusters that share a bucket
    /// have one each.
    pub prefix: String,
    /// `http://HOST:PORT` or `https://HOST`; empty: Amazon's for the region.
    pub endpoint: String,
    /// With `https`: a PEM file of the authority that signed its certificate, alone; `None`: the
    /// system's authorities.
    pub ca: Option<PathBuf>,
    /// The region; stores that have none take any.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// And its secret.
    pub secret_key: String,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .finish()
    }
}
