//! One-time passwords: drawn by the server, read by a person, typed once.

use gogochat_storage::store::Millis;

use super::{HashError, password};
use crate::config::Argon2Cost;

/// A password that logs in once, and with a new one beside it alone.
#[derive(Debug, Clone)]
pub struct OneTimePassword {
    /// What the person types.
    pub password: String,
    /// What is kept of it.
    pub hash: String,
    /// How long it can be used.
    pub lives_ms: Millis,
}

impl OneTimePassword {
    /// A new one, with its hash: for programs beside a core.
    ///
    /// # Errors
    /// The cost cannot be paid.
    pub fn draw(cost: Argon2Cost) -> Result<Self, HashError> {
        let password = draw();
        let hash = password::hash_alone(cost, &password)?;
        Ok(Self { password, hash, lives_ms: LIVES_MS })
    }
}

/// Four groups of five characters that are not taken for each other: 99 bits.
pub(crate) fn draw() -> String {
    let mut password = String::with_capacity(GROUPS * (GROUP + 1));
    while password.len() < GROUPS * (GROUP + 1) - 1 {
        if password.len() % (GROUP + 1) == GROUP {
            password.push('-');
            continue;
        }
        let byte: u8 = rand::random();
        // Each character is as likely: what is past the last whole alphabet is drawn again.
        if usize::from(byte) < 256 / ALPHABET.len() * ALPHABET.len() {
            let place = usize::from(byte) % ALPHABET.len();
            password.extend(ALPHABET.get(place).map(|c| char::from(*c)));
        }
    }
    password
}

const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS: usize = 4;
const GROUP: usize = 5;
/// How long one can be used: over a weekend.
pub(crate) const LIVES_MS: Millis = 3 * 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_can_be_read_aloud() {
        let mut drawn: Vec<_> = (0..100).map(|_| draw()).collect();
        for password in &drawn {
            let groups: Vec<_> = password.split('-').collect();
            assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [5; 4], "{password}");
            assert!(groups.concat().bytes().all(|byte| ALPHABET.contains(&byte)), "{password}");
        }
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), 100);
    }
}
