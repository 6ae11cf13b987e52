//! The second factor of log-ins: turned on with an authenticator, asked for, turned off.

use std::{net::IpAddr, sync::Arc};

use gogochat_proto::{error::ErrorCode, ids::UserId, v1};
use gogochat_storage::store::{AccountStore, FactorProof, SecondFactor, User};

use super::shown;
use crate::{
    auth::{
        Auth,
        factor::{self, Typed},
    },
    authorize::Caller,
    clock::now_ms,
    failure, text,
};

/// Second factors.
pub(super) struct SecondFactors {
    store: Arc<dyn AccountStore>,
    auth: Arc<Auth>,
}

impl SecondFactors {
    pub(super) fn new(store: Arc<dyn AccountStore>, auth: Arc<Auth>) -> Self {
        Self { store, auth }
    }

    pub(super) async fn get(&self, caller: Caller) -> Result<v1::SecondFactor, v1::Error> {
        let Some(since_ms) = self.store.second_factor(caller.user).await.map_err(failure::store)?.and_then(|f| f.on_ms)
        else {
            return Ok(v1::SecondFactor::default());
        };
        let left = self.store.recovery_codes_left(caller.user).await.map_err(failure::store)?;
        let recovery_codes_left = i32::try_from(left).unwrap_or(i32::MAX);
        Ok(v1::SecondFactor { on: true, since_ms, recovery_codes_left })
    }

    pub(super) async fn begin(
        &self,
        user: User,
        request: v1::BeginSecondFactorRequest,
    ) -> Result<v1::BeginSecondFactorResponse, v1::Error> {
        self.verify_password(&user, &request.current_password).await?;
        let secret = factor::secret();
        if !self.store.begin_second_factor(user.id, secret).await.map_err(failure::store)? {
            return Err(is_on());
        }
        Ok(v1::BeginSecondFactorResponse { secret: factor::base32(&secret), uri: factor::uri(&secret, &user.name) })
    }

    pub(super) async fn confirm(
        &self,
        caller: Caller,
        request: v1::ConfirmSecondFactorRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::ConfirmSecondFactorResponse, v1::Error> {
        let none = || ErrorCode::SecondFactorOff.with("begin a second factor first");
        let begun = self.store.second_factor(caller.user).await.map_err(failure::store)?.ok_or_else(none)?;
        if begun.on_ms.is_some() {
            return Err(is_on());
        }
        let Typed::Code(code) = factor::typed(&request.code) else { return Err(wrong()) };
        let step = self.step_of(caller.user, &begun, &code)?;
        let (recovery_codes, hashes) = factor::recovery_codes();
        let by = shown::by(caller, address);
        let turned = self.store.turn_second_factor_on(caller.user, begun.secret, step, &hashes, &by).await;
        if !turned.map_err(failure::store)? {
            // Another device has begun again, or was faster.
            return Err(none());
        }
        Ok(v1::ConfirmSecondFactorResponse { recovery_codes })
    }

    pub(super) async fn remove(
        &self,
        user: User,
        caller: Caller,
        request: v1::RemoveSecondFactorRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::SecondFactor, v1::Error> {
        self.verify_password(&user, &request.current_password).await?;
        self.pass(&user, &request.second_factor).await?;
        self.store.remove_second_factor(user.id, &shown::by(caller, address)).await.map_err(failure::store)?;
        Ok(v1::SecondFactor::default())
    }

    /// Lets those pass whom nobody has to ask, and those who give what is asked for.
    ///
    /// # Errors
    /// `second_factor_required`, `second_factor_wrong`, `rate_limited`.
    pub(super) async fn pass(&self, user: &User, given: &str) -> Result<(), v1::Error> {
        let found = self.store.second_factor(user.id).await.map_err(failure::store)?;
        let Some(factor) = found.filter(|factor| factor.on_ms.is_some()) else { return Ok(()) };
        if given.trim().is_empty() {
            let advice = "log in with a code of your authenticator, or a recovery code, beside the password";
            return Err(ErrorCode::SecondFactorRequired.with(advice));
        }
        let proof = match factor::typed(given) {
            Typed::Code(code) => FactorProof::Step(self.step_of(user.id, &factor, &code)?),
            Typed::RecoveryCode(hash) => FactorProof::RecoveryCode(hash),
        };
        if self.store.use_second_factor(user.id, proof).await.map_err(failure::store)? { Ok(()) } else { Err(wrong()) }
    }

    /// The step for which a code is right. Wrong ones are counted: there are but a million.
    fn step_of(&self, user: UserId, factor: &SecondFactor, code: &str) -> Result<i64, v1::Error> {
        self.auth.limits.factor(user)?;
        let step = factor::step(&factor.secret, code, now_ms()).filter(|step| *step > factor.step).ok_or_else(wrong)?;
        self.auth.limits.right_factor(user);
        Ok(step)
    }

    async fn verify_password(&self, user: &User, given: &str) -> Result<(), v1::Error> {
        self.auth.limits.password_change(user.id)?;
        let given = text::given_password(given);
        if self.auth.passwords.verify(given, Some(&user.password_hash)).await? {
            Ok(())
        } else {
            Err(failure::wrong_credentials())
        }
    }
}

fn wrong() -> v1::Error {
    ErrorCode::SecondFactorWrong.with("the code is wrong, was used before, or is not shown any more")
}

fn is_on() -> v1::Error {
    ErrorCode::SecondFactorOn.with("there is a second factor already: remove it first")
}
