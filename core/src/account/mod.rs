//! Accounts: registering, logging in, passwords, devices and their tokens.

pub(crate) mod admin;
mod failed;
pub(crate) mod follow;
mod profile;
mod second_factor;
pub(crate) mod shown;
pub(crate) mod sign_out;

use std::{net::IpAddr, sync::Arc, time::Duration};

use gogochat_proto::{
    error::{ErrorCode, violation},
    ids::{DeviceId, UserId},
    limits::MAX_TITLE,
    v1,
};
use gogochat_storage::store::{Hash, Invited, NewDevice, NewUser, Rotation, Store, User};

use self::{failed::FailedLogIns, profile::Profiles, second_factor::SecondFactors, sign_out::SignOuts};
use crate::{
    auth::{Auth, Issued},
    authorize::Caller,
    clock::now_ms,
    config::{CoreConfig, Registration},
    failure,
    fanout::Fanout,
    log::{page::Room, person},
    text,
};

/// The account service.
pub(crate) struct Account {
    store: Arc<dyn Store>,
    auth: Arc<Auth>,
    sign_outs: Arc<SignOuts>,
    profiles: Profiles,
    second_factors: SecondFactors,
    registration: Registration,
    refresh_grace: Duration,
    failed: FailedLogIns,
}

impl Account {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        auth: Arc<Auth>,
        sign_outs: Arc<SignOuts>,
        fanout: Arc<Fanout>,
        config: &CoreConfig,
    ) -> Self {
        let CoreConfig { registration, refresh_grace, .. } = *config;
        let profiles = Profiles::new(store.clone(), auth.clone(), fanout);
        let second_factors = SecondFactors::new(store.clone(), auth.clone());
        let failed = FailedLogIns::default();
        Self { store, auth, sign_outs, profiles, second_factors, registration, refresh_grace, failed }
    }

    pub(crate) async fn register(
        &self,
        request: v1::RegisterRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::Session, v1::Error> {
        if self.registration == Registration::Closed {
            return Err(ErrorCode::RegistrationClosed.with("nobody can register here"));
        }
        let name = text::user_name(&request.name)?;
        let password = text::new_password("password", &request.password, &name)?;
        let display_name = profile::display_name(&request.display_name, &name)?;
        let device_name = device_name(&request.device_name)?;
        self.auth.limits.register(address)?;
        let now = now_ms();
        let invitation = match self.registration {
            Registration::Invitation => Some(self.invitation(&request.invitation, now).await?),
            _ => None,
        };
        let taken = || ErrorCode::NameTaken.with("the name belongs to somebody else");
        if self.store.user_by_name(&name).await.map_err(failure::store)?.is_some() {
            return Err(taken());
        }
        let password_hash = self.auth.passwords.hash(password).await?;
        let user = NewUser::new(UserId::new_v7(), name, display_name, password_hash, now);
        let issued = self.auth.issue(now);
        let device = new_device(user.id, device_name, &issued, now, address);
        let id = device.id;
        let created = match &invitation {
            Some(code) => self.store.create_invited_user(user.clone(), device, code).await.map_err(failure::store)?,
            None if self.store.create_user(user.clone(), device).await.map_err(failure::store)? => Invited::Created,
            None => Invited::NameTaken,
        };
        match created {
            Invited::Created => Ok(session(&user, id, issued)),
            Invited::NameTaken => Err(taken()),
            Invited::Invalid => Err(not_invited()),
        }
    }

    pub(crate) async fn log_in(
        &self,
        request: v1::LogInRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::Session, v1::Error> {
        let given = request.name.clone();
        let session = self.try_log_in(request, address).await;
        if let Err(error) = &session {
            self.failed.log(&given, address, &error.code);
        }
        session
    }

    async fn try_log_in(&self, request: v1::LogInRequest, address: Option<IpAddr>) -> Result<v1::Session, v1::Error> {
        let device_name = device_name(&request.device_name)?;
        // What can be no name is nobody's, and costs as much.
        let name = text::user_name(&request.name).unwrap_or_default();
        let attempt = self.auth.limits.log_in(address, &name)?;
        let known = self.by_password(&name, &request.password).await;
        if !matches!(known, Ok(None)) {
            // It is right, or nobody could tell.
            attempt.did_not_fail();
        }
        let user = known?.ok_or_else(failure::wrong_credentials)?;
        if user.disabled_ms.is_some() {
            return Err(ErrorCode::AccountDisabled.with("an administrator has disabled this account"));
        }
        self.second_factors.pass(&user, &request.second_factor).await?;
        let now = now_ms();
        let issued = self.auth.issue(now);
        let device = new_device(user.id, device_name, &issued, now, address);
        let id = device.id;
        let admitted = match user.one_time_until_ms {
            None => self.store.create_device(device, &user.password_hash).await,
            Some(until) if until <= now => Ok(false),
            Some(_) => {
                let new = own_password(&request, &user.name)?;
                let new = self.auth.passwords.hash(new).await?;
                self.store.redeem_one_time_password(device, &user.password_hash, &new).await
            }
        };
        if !admitted.map_err(failure::store)? {
            // It was the right one as this began.
            return Err(failure::wrong_credentials());
        }
        Ok(session(&user, id, issued))
    }

    /// The user of this name, when the password is theirs.
    async fn by_password(&self, name: &str, password: &str) -> Result<Option<User>, v1::Error> {
        let user = if name.is_empty() { None } else { self.store.user_by_name(name).await.map_err(failure::store)? };
        let hash = user.as_ref().map(|user| user.password_hash.as_str());
        let is_right = self.auth.passwords.verify(text::given_password(password), hash).await?;
        Ok(user.filter(|_| is_right))
    }

    /// An invitation that is good at this moment: nobody without one learns whose a name is, or has a password
    /// hashed.
    async fn invitation(&self, given: &str, now: i64) -> Result<Hash, v1::Error> {
        let code = self.auth.invitation_hash(given).ok_or_else(not_invited)?;
        if self.store.knows_invitation(&code, now).await.map_err(failure::store)? {
            Ok(code)
        } else {
            Err(not_invited())
        }
    }

    pub(crate) async fn refresh(
        &self,
        request: v1::RefreshRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::Session, v1::Error> {
        let hash = self.auth.refresh_hash(&request.refresh_token)?;
        self.auth.limits.refresh(address)?;
        let unknown = || ErrorCode::TokenInvalid.with("the refresh token is unknown, lapsed or was revoked");
        // Anybody can draw one. None but a device's costs a writer.
        if !self.store.knows_refresh(&hash).await.map_err(failure::store)? {
            self.auth.limits.unknown_refresh(address);
            return Err(unknown());
        }
        let now = now_ms();
        let issued = self.auth.issue(now);
        let grace = i64::try_from(self.refresh_grace.as_millis()).unwrap_or(i64::MAX);
        match self.store.rotate_tokens(&hash, issued.kept, now, grace).await.map_err(failure::store)? {
            Rotation::Rotated(device) => {
                let user = self.user(device.user).await?;
                Ok(session(&user, device.id, issued))
            }
            Rotation::Reused { user, device } => {
                self.sign_outs.sign_out(user, device).await;
                Err(ErrorCode::TokenReused.with("this refresh token was used before; the device has been signed out"))
            }
            Rotation::Expired | Rotation::Unknown => Err(unknown()),
        }
    }

    pub(crate) async fn log_out(&self, caller: Caller) -> Result<v1::LogOutResponse, v1::Error> {
        self.store.revoke_device(caller.user, caller.device, now_ms()).await.map_err(failure::store)?;
        self.sign_outs.sign_out(caller.user, caller.device).await;
        Ok(v1::LogOutResponse {})
    }

    pub(crate) async fn get(&self, caller: Caller) -> Result<v1::Account, v1::Error> {
        Ok(profile::account(&self.user(caller.user).await?, caller))
    }

    pub(crate) async fn update(
        &self,
        caller: Caller,
        request: v1::UpdateAccountRequest,
    ) -> Result<v1::Account, v1::Error> {
        let before = self.user(caller.user).await?;
        self.profiles.update(before, caller, request).await
    }

    pub(crate) async fn change_password(
        &self,
        caller: Caller,
        request: v1::ChangePasswordRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::ChangePasswordResponse, v1::Error> {
        self.auth.limits.password_change(caller.user)?;
        let user = self.user(caller.user).await?;
        let new = text::new_password("newPassword", &request.new_password, &user.name)?;
        let current = text::given_password(&request.current_password);
        if !self.auth.passwords.verify(current, Some(&user.password_hash)).await? {
            return Err(failure::wrong_credentials());
        }
        let new = self.auth.passwords.hash(new).await?;
        let revoked = self
            .store
            .change_password(user.id, &user.password_hash, &new, caller.device, &shown::by(caller, address))
            .await
            .map_err(failure::store)?
            // Another device has changed it in this moment.
            .ok_or_else(failure::wrong_credentials)?;
        for device in &revoked {
            self.sign_outs.sign_out(user.id, *device).await;
        }
        Ok(v1::ChangePasswordResponse { devices_signed_out: i32::try_from(revoked.len()).unwrap_or(i32::MAX) })
    }

    pub(crate) async fn second_factor(&self, caller: Caller) -> Result<v1::SecondFactor, v1::Error> {
        self.second_factors.get(caller).await
    }

    pub(crate) async fn begin_second_factor(
        &self,
        caller: Caller,
        request: v1::BeginSecondFactorRequest,
    ) -> Result<v1::BeginSecondFactorResponse, v1::Error> {
        self.second_factors.begin(self.user(caller.user).await?, request).await
    }

    pub(crate) async fn confirm_second_factor(
        &self,
        caller: Caller,
        request: v1::ConfirmSecondFactorRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::ConfirmSecondFactorResponse, v1::Error> {
        self.second_factors.confirm(caller, request, address).await
    }

    pub(crate) async fn remove_second_factor(
        &self,
        caller: Caller,
        request: v1::RemoveSecondFactorRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::SecondFactor, v1::Error> {
        self.second_factors.remove(self.user(caller.user).await?, caller, request, address).await
    }

    pub(crate) async fn list_devices(&self, caller: Caller) -> Result<v1::ListDevicesResponse, v1::Error> {
        let devices = self.store.devices(caller.user).await.map_err(failure::store)?;
        let mut room = Room::page();
        let devices = devices.into_iter().map(|device| shown::device(device, caller.device));
        Ok(v1::ListDevicesResponse { devices: devices.take_while(|device| room.take(device)).collect() })
    }

    pub(crate) async fn revoke_device(
        &self,
        caller: Caller,
        request: v1::RevokeDeviceRequest,
    ) -> Result<v1::RevokeDeviceResponse, v1::Error> {
        let device = failure::id("deviceId", &request.device_id)?;
        if !self.store.revoke_device(caller.user, device, now_ms()).await.map_err(failure::store)? {
            return Err(ErrorCode::NotFound.with("you have no such device"));
        }
        self.sign_outs.sign_out(caller.user, device).await;
        Ok(v1::RevokeDeviceResponse {})
    }

    async fn user(&self, id: UserId) -> Result<User, v1::Error> {
        let users = self.store.users(&[id]).await.map_err(failure::store)?;
        users.into_iter().next().ok_or_else(|| ErrorCode::TokenInvalid.with("the account is gone"))
    }
}

fn session(user: &User, device: DeviceId, issued: Issued) -> v1::Session {
    v1::Session {
        user: Some(person(user)),
        device_id: device.to_string(),
        access_token: issued.access,
        access_expires_ms: issued.kept.access_expires_ms,
        refresh_token: issued.refresh,
        refresh_expires_ms: issued.kept.refresh_expires_ms,
        administrator: user.administrator_ms.is_some(),
    }
}

fn new_device(user: UserId, name: String, issued: &Issued, now: i64, address: Option<IpAddr>) -> NewDevice {
    let address = shown::address(address);
    NewDevice { id: DeviceId::new_v7(), user, name, tokens: issued.kept, created_ms: now, address }
}

/// What takes the place of a one-time password.
///
/// # Errors
/// `password_change_required` without one, `invalid_argument`.
fn own_password(request: &v1::LogInRequest, name: &str) -> Result<String, v1::Error> {
    if request.new_password.is_empty() {
        return Err(ErrorCode::PasswordChangeRequired.with("this password logs in once, with a new one beside it"));
    }
    let new = text::new_password("newPassword", &request.new_password, name)?;
    if new == text::given_password(&request.password) {
        return Err(violation("newPassword", "another one than the one-time password"));
    }
    Ok(new)
}

fn not_invited() -> v1::Error {
    ErrorCode::InvitationInvalid.with("the code is missing, unknown, used up or has lapsed")
}

fn device_name(given: &str) -> Result<String, v1::Error> {
    if given.trim().is_empty() {
        return Ok(NAMELESS.to_owned());
    }
    text::line("deviceName", given, MAX_TITLE)
}

/// What the list shows for a device that gave no name.
const NAMELESS: &str = "device";
