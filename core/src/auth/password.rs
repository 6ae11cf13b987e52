//! Password hashes: Argon2id, at most one on each core of the processor, with a bounded queue in
//! front.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use gogochat_proto::{error::ErrorCode, v1};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{config::Argon2Cost, failure::fault};

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// What hashes work in, 19 MiB each, one for each that runs: kept and used again. Were it given
    /// back, each thread that ever hashed would keep as much in its own part of the allocator.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
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
        let mut memory = Vec::new();
        let nobody = hash(&argon2, &mut memory, &secret).map_err(|e| HashError(e.to_string()))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            argon2,
            admitted: Arc::new(Semaphore::new(cores + queue)),
            running: Arc::new(Semaphore::new(cores)),
            memory: Arc::new(Mutex::new(vec![memory])),
            nobody: nobody.into(),
        })
    }

    /// The hash of a password, as a PHC string.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub(crate) async fn hash(&self, password: String) -> Result<String, v1::Error> {
        let hashed = self.run(move |argon2, memory| hash(argon2, memory, password.as_bytes())).await?;
        hashed.map_err(|error| fault("a password could not be hashed", &error))
    }

    /// Whether it is the password of `expected`. Without one it is not, and that takes as long to find out.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub(crate) async fn verify(&self, password: String, expected: Option<&str>) -> Result<bool, v1::Error> {
        let known = expected.is_some();
        let expected = expected.unwrap_or(&self.nobody).to_owned();
        self.run(move |_, memory| {
            let Ok(expected) = PasswordHash::new(&expected) else { return false };
            verify(memory, password.as_bytes(), &expected).is_ok_and(|same| same) && known
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>, &mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, v1::Error> {
        let overloaded = || ErrorCode::Overloaded.with("too many passwords are being hashed");
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| overloaded())?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| overloaded())?;
        let (argon2, kept) = (self.argon2.clone(), Arc::clone(&self.memory));
        // The permits go with the work: a caller who gives up does not make room before the processor has.
        tokio::task::spawn_blocking(move || {
            let _permits = (admitted, running);
            let mut memory = kept.lock().pop().unwrap_or_default();
            let done = work(&argon2, &mut memory);
            kept.lock().push(memory);
            done
        })
        .await
        .map_err(|_| ErrorCode::Unavailable.with("the server is going away"))
    }
}

/// The hash of a password, for a program that hashes one.
pub(super) fn hash_alone(cost: Argon2Cost, password: &str) -> Result<String, HashError> {
    let Argon2Cost { memory_kib, passes, lanes } = cost;
    let params = Params::new(memory_kib, passes, lanes, None).map_err(|e| HashError(e.to_string()))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    hash(&argon2, &mut Vec::new(), password.as_bytes()).map_err(|e| HashError(e.to_string()))
}

fn hash(argon2: &Argon2<'_>, memory: &mut Vec<Block>, password: &[u8]) -> Result<String, argon2::Error> {
    let salt: [u8; 16] = rand::random();
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).map_err(|_| argon2::Error::OutputTooLong)?,
        salt: Some(Salt::new(&salt).map_err(|_| argon2::Error::SaltTooShort)?),
        hash: Some(derive(argon2, memory, password, &salt)?),
    };
    Ok(hash.to_string())
}

/// Whether the password has this hash, by the cost that the hash names.
fn verify(memory: &mut Vec<Block>, password: &[u8], expected: &PasswordHash) -> Result<bool, argon2::Error> {
    let (Some(salt), Some(output)) = (&expected.salt, &expected.hash) else { return Ok(false) };
    let algorithm = Algorithm::try_from(expected.algorithm.as_str()).map_err(|_| argon2::Error::AlgorithmInvalid)?;
    let version = Version::try_from(expected.version.unwrap_or_default())?;
    let params = Params::try_from(expected).map_err(|_| argon2::Error::ThreadsTooMany)?;
    // In constant time: Output compares so.
    Ok(derive(&Argon2::new(algorithm, version, params), memory, password, salt)? == *output)
}

fn derive(argon2: &Argon2<'_>, memory: &mut Vec<Block>, password: &[u8], salt: &[u8]) -> Result<Output, argon2::Error> {
    memory.resize(argon2.params().block_count(), Block::new());
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    argon2.hash_password_into_with_memory(password, salt, &mut out, memory)?;
    Output::new(&out).map_err(|_| argon2::Error::OutputTooShort)
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

    #[tokio::test]
    async fn hashes_work_in_memory_that_is_kept() {
        let passwords = cheap(64);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let hashes = (0..40).map(|n| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.hash(n.to_string()).await })
        });
        for hash in hashes.collect::<Vec<_>>() {
            hash.await.unwrap().unwrap();
        }
        let kept = passwords.memory.lock();
        assert!((1..=cores).contains(&kept.len()), "{}", kept.len());
        assert!(kept.iter().all(|memory| memory.len() == 64));
    }

    #[tokio::test]
    async fn other_costs_and_other_writers() {
        use argon2::password_hash::PasswordHasher as _;
        let params = Params::new(128, 2, 1, None).unwrap();
        let dearer = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let kept = dearer.hash_password(b"correct horse").unwrap().to_string();
        let passwords = cheap(8);
        assert!(passwords.verify("correct horse".into(), Some(&kept)).await.unwrap());
        assert!(!passwords.verify("wrong horse".into(), Some(&kept)).await.unwrap());
        let own = passwords.hash("correct horse".into()).await.unwrap();
        use argon2::password_hash::PasswordVerifier as _;
        assert!(dearer.verify_password(b"correct horse", own.as_str()).is_ok(), "what we write, others read");
    }
}
