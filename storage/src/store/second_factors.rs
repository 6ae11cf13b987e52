//! What a log-in asks for beside the password.

use async_trait::async_trait;
use gogochat_proto::ids::UserId;

use super::{By, FactorSecret, Hash, Millis, StoreError};

/// Second factors of users.
#[async_trait]
pub trait SecondFactors: Send + Sync + 'static {
    /// A user's, also one that was only begun.
    async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>, StoreError>;
    /// How many recovery codes a user has not used yet.
    async fn recovery_codes_left(&self, user: UserId) -> Result<u64, StoreError>;
    /// Keeps a secret that is not asked for yet, in place of one that was begun before. `false`: one is on.
    async fn begin_second_factor(&self, user: UserId, secret: FactorSecret) -> Result<bool, StoreError>;
    /// Turns on what was begun, with these recovery codes; `step` is that of the code that showed it. `false`:
    /// that secret is not what was begun.
    async fn turn_second_factor_on(
        &self,
        user: UserId,
        secret: FactorSecret,
        step: i64,
        recovery_codes: &[Hash],
        by: &By,
    ) -> Result<bool, StoreError>;
    /// Uses up a proof. `false`: it was used before, or is none.
    async fn use_second_factor(&self, user: UserId, proof: FactorProof) -> Result<bool, StoreError>;
    /// Forgets it and its recovery codes. `false`: none was on.
    async fn remove_second_factor(&self, user: UserId, by: &By) -> Result<bool, StoreError>;
}

/// A user's second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondFactor {
    /// What the authenticator computes with.
    pub secret: FactorSecret,
    /// Since when log-ins ask for it; `None`: it was only begun.
    pub on_ms: Option<Millis>,
    /// The step of the code that was used last, in 30 s since 1970.
    pub step: i64,
}

/// What shows that one has the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorProof {
    /// A code of the authenticator, right for this step, in 30 s since 1970.
    Step(i64),
    /// The hash of a recovery code.
    RecoveryCode(Hash),
}
