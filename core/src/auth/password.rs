//! Password hashes: Argon2id, at most one on each core of the processor, with a bounded queue in front.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use gogochat_proto::{error::ErrorCode, v1};
use tokio::sync::Semaphore;

use crate::config::Argon2Cost;

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// The hash of a password that nobody has: an unknown user costs as much as a known one.
    nobody: Arc<str>,
}

/// The parameters cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("argon2: {0}")]
pub struct HashError(String);

impl Passwords {
    /// `queue` hashes may wait while one runs on each core.
    pub(crate) fn new(cost: Argon2Cost, queue: usize) -> Result<Self, HashError> {
        let params =
            Params::new(cost.memory_kib, cost.passes, cost.lanes, None).map_err(|e| HashError(e.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let secret: [u8; 16] = rand::random();
        let nobody = hash(&argon2, &secret).map_err(HashError)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            argon2,
            admitted: Arc::new(Semaphore::new(cores + queue)),
            running: Arc::new(Semaphore::new(cores)),
            nobody: nobody.into(),
        })
    }

    /// The hash of a password, as a PHC string.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub(crate) async fn hash(&self, password: String) -> Result<String, v1::Error> {
        self.run(move |argon2| hash(argon2, password.as_bytes())).await?.map_err(|error| {
            tracing::error!(error, "a password could not be hashed");
            ErrorCode::Internal.with("a fault of the server")
        })
    }

    /// Whether it is the password of `expected`. Without one it is not, and that takes as long to find out.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub(crate) async fn verify(&self, password: String, expected: Option<&str>) -> Result<bool, v1::Error> {
        let known = expected.is_some();
        let expected = expected.unwrap_or(&self.nobody).to_owned();
        self.run(move |argon2| {
            let Ok(expected) = PasswordHash::new(&expected) else { return false };
            argon2.verify_password(password.as_bytes(), &expected).is_ok() && known
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T, v1::Error> {
        let overloaded = || ErrorCode::Overloaded.with("too many passwords are being hashed");
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| overloaded())?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| overloaded())?;
        let argon2 = self.argon2.clone();
        // The permits go with the work: a caller who gives up does not make room before the processor has.
        tokio::task::spawn_blocking(move || {
            let _permits = (admitted, running);
            work(&argon2)
        })
        .await
        .map_err(|_| ErrorCode::Unavailable.with("the server is going away"))
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, String> {
    argon2.hash_password(password).map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap(queue: usize) -> Passwords {
        Passwords::new(Argon2Cost { memory_kib: 64, passes: 1, lanes: 1 }, queue).unwrap()
    }

    #[tokio::test]
    async fn right_wrong_and_nobody() {
        let passwords = cheap(8);
        let kept = passwords.hash("correct horse".into()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert!(passwords.verify("correct horse".into(), Some(&kept)).await.unwrap());
        assert!(!passwords.verify("wrong horse".into(), Some(&kept)).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), Some("no hash")).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let passwords = cheap(0);
        let all = passwords.admitted.available_permits() as u32;
        let held = passwords.admitted.clone().try_acquire_many_owned(all).unwrap();
        assert_eq!(passwords.hash("x".into()).await.unwrap_err().code, "overloaded");
        drop(held);
        assert!(passwords.hash("x".into()).await.is_ok());
    }
}
