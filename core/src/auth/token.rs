//! Opaque tokens: 32 random bytes in base64url, behind a prefix by which a leaked one is
//! recognised. The store keeps only their hash.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gogochat_storage::store::Hash;
use sha2::{Digest as _, Sha256};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For calls and sessions.
    Access,
    /// For new tokens, once.
    Refresh,
    /// For a registration.
    Invitation,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Access => "gga_",
            Self::Refresh => "ggr_",
            Self::Invitation => "ggi_",
        }
    }
}

/// A new token: what the client is given, and what is kept.
pub(crate) fn new(kind: Kind) -> (String, Hash) {
    let secret: [u8; SECRET] = rand::random();
    let token = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(secret));
    let hash = digest(&token);
    (token, hash)
}

/// What is kept of a token; `None` when it is none of this kind.
pub(crate) fn hash(kind: Kind, token: &str) -> Option<Hash> {
    let secret = token.strip_prefix(kind.prefix())?;
    let mut bytes = [0; SECRET + 1];
    let length = URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes).ok()?;
    (length == SECRET).then(|| digest(token))
}

/// What is kept of a token.
pub(super) fn digest(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

const SECRET: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_is_not_the_other_and_one_token_has_one_form() {
        let (token, kept) = new(Kind::Access);
        assert_eq!(hash(Kind::Access, &token), Some(kept));
        assert_eq!(hash(Kind::Refresh, &token), None);
        for wrong in
            ["", "gga_", "gga_x", &token[..20], &format!("{token}A"), &format!("{token}="), &"gga_".repeat(5_000)]
        {
            assert_eq!(hash(Kind::Access, wrong), None);
        }
        assert_ne!(new(Kind::Refresh).0, new(Kind::Refresh).0);
    }
}
