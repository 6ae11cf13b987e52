//! What this binary was built with.

use gogochat_storage::services::MISSING;

macro_rules! lacks {
    () => {
        "This build has no clients of MySQL, Kafka, Redis, etcd and S3, which only a cluster needs: \
         use a release, or build one with `make build`."
    };
}

/// What a build for one process lacks, and how to get it; `None`: nothing is missing.
pub(crate) const LACKS: Option<&str> = if MISSING.is_empty() { None } else { Some(lacks!()) };

/// The version, and what the build lacks.
pub(crate) const VERSION: &str =
    if MISSING.is_empty() { env!("CARGO_PKG_VERSION") } else { concat!(env!("CARGO_PKG_VERSION"), "\n", lacks!()) };

#[cfg(test)]
mod tests {
    #[test]
    fn it_names_what_is_missing() {
        let missing = gogochat_storage::services::MISSING;
        assert_eq!(super::VERSION.contains('\n'), !missing.is_empty());
        assert!(missing.iter().all(|service| lacks!().contains(service)));
    }
}
