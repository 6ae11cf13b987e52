//! The files that the build of the page has left.

use std::borrow::Cow;

use rust_embed::RustEmbed;

use crate::hex::hex;

/// A release build embeds the folder. A debug build reads it at each look-up.
#[derive(RustEmbed)]
#[folder = "../web/app/dist/page"]
#[allow_missing = true]
struct Dist;

/// A file, or a compressed variant of one.
pub(super) struct File {
    pub(super) bytes: Cow<'static, [u8]>,
    /// SHA-256 of the bytes.
    pub(super) hash: [u8; 32],
}

impl File {
    /// A strong entity tag, quoted. It is one of these bytes, so each variant has its own
    /// (RFC 9110 section 8.8.3.3).
    pub(super) fn etag(&self) -> String {
        format!("\"{}\"", hex(&self.hash))
    }
}

/// A file of the page, by its name in the folder.
pub(super) fn built(name: &str) -> Option<File> {
    Dist::get(name).map(|file| File { bytes: file.data, hash: file.metadata.sha256_hash() })
}
