//! What administrators do: users, their sessions, invitations, and the log of all that. Nothing
//! here reads a conversation.

use std::{collections::HashMap, sync::Arc};

use gogochat_proto::{
    error::{ErrorCode, violation},
    ids::{DeviceId, UserId},
    limits::{MAX_NOTE, NAME},
    v1,
};
use gogochat_storage::store::{AccountStore, Act, AuditEntry, AuditFilter, By, Invitation, Millis, User};

use super::{shown, sign_out::SignOuts};
use crate::{
    auth::{Auth, one_time},
    authorize::Caller,
    failure::{self, id, limit},
    log::{
        page::{self, List, Room},
        person,
    },
    text,
};

/// The service of administrators.
pub(crate) struct Admin {
    store: Arc<dyn AccountStore>,
    auth: Arc<Auth>,
    sign_outs: Arc<SignOuts>,
}

impl Admin {
    pub(crate) fn new(store: Arc<dyn AccountStore>, auth: Arc<Auth>, sign_outs: Arc<SignOuts>) -> Self {
        Self { store, auth, sign_outs }
    }

    /// Lets administrators pass, as the store has it at this moment.
    ///
    /// # Errors
    /// `permission_denied`.
    pub(crate) async fn admit(&self, caller: Caller) -> Result<(), v1::Error> {
        let users = self.store.users(&[caller.user]).await.map_err(failure::store)?;
        match users.first() {
            Some(User { administrator_ms: Some(_), disabled_ms: None, .. }) => Ok(()),
            _ => Err(ErrorCode::PermissionDenied.with("this is for administrators")),
        }
    }

    pub(crate) async fn list_users(&self, request: v1::ListUsersRequest) -> Result<v1::ListUsersResponse, v1::Error> {
        let limit = limit(request.limit, 50, 200)?;
        let prefix = request.query.trim().trim_start_matches('@').to_lowercase();
        if prefix.chars().count() > *NAME.end() {
            return Err(violation("query", format!("at most {} characters", NAME.end())));
        }
        // Its place is a name, which says nothing that the page does not.
        let after = match request.page_token.as_str() {
            "" => String::new(),
            token => text::user_name(token).map_err(|_| violation("pageToken", "not from this list"))?,
        };
        let found = self.store.list_users(&prefix, &after, limit + 1).await.map_err(failure::store)?;
        let mut room = Room::page();
        let mut response = v1::ListUsersResponse::default();
        for user in &found {
            let shown = user_of(user);
            if response.users.len() == limit as usize || !room.take(&shown) {
                let last = response.users.last().and_then(|user| user.person.as_ref());
                response.next_page_token = last.map(|person| person.name.clone()).unwrap_or_default();
                break;
            }
            response.users.push(shown);
        }
        Ok(response)
    }

    pub(crate) async fn get_user(&self, request: v1::GetUserRequest) -> Result<v1::User, v1::Error> {
        self.user(id("userId", &request.user_id)?).await.map(|user| user_of(&user))
    }

    pub(crate) async fn disable(&self, by: By, request: v1::DisableUserRequest) -> Result<v1::User, v1::Error> {
        let user = id("userId", &request.user_id)?;
        let reason = match request.reason.trim() {
            "" => String::new(),
            given => text::line("reason", given, MAX_NOTE)?,
        };
        not_oneself(user, &by)?;
        let gone = self.store.set_disabled(user, true, &reason, &by).await.map_err(failure::store)?;
        self.signed_out(user, gone.ok_or_else(nobody)?).await;
        self.user(user).await.map(|user| user_of(&user))
    }

    pub(crate) async fn enable(&self, by: By, request: v1::EnableUserRequest) -> Result<v1::User, v1::Error> {
        let user = id("userId", &request.user_id)?;
        self.store.set_disabled(user, false, "", &by).await.map_err(failure::store)?.ok_or_else(nobody)?;
        self.user(user).await.map(|user| user_of(&user))
    }

    pub(crate) async fn set_administrator(
        &self,
        by: By,
        request: v1::SetAdministratorRequest,
    ) -> Result<v1::User, v1::Error> {
        let user = id("userId", &request.user_id)?;
        not_oneself(user, &by)?;
        if !self.store.set_administrator(user, request.administrator, &by).await.map_err(failure::store)? {
            return Err(nobody());
        }
        self.user(user).await.map(|user| user_of(&user))
    }

    pub(crate) async fn reset_access(
        &self,
        by: By,
        request: v1::ResetAccessRequest,
    ) -> Result<v1::ResetAccessResponse, v1::Error> {
        let user = id("userId", &request.user_id)?;
        not_oneself(user, &by)?;
        let (one_time_password, until_ms) = (one_time::draw(), by.now + one_time::LIVES_MS);
        let hash = self.auth.passwords.hash(one_time_password.clone()).await?;
        let gone = self.store.reset_access(user, &hash, until_ms, &by).await.map_err(failure::store)?;
        self.signed_out(user, gone.ok_or_else(nobody)?).await;
        Ok(v1::ResetAccessResponse { one_time_password, until_ms })
    }

    pub(crate) async fn list_devices(
        &self,
        request: v1::ListUserDevicesRequest,
    ) -> Result<v1::ListDevicesResponse, v1::Error> {
        let user = self.user(id("userId", &request.user_id)?).await?;
        let devices = self.store.devices(user.id).await.map_err(failure::store)?;
        let mut room = Room::page();
        let devices = devices.into_iter().map(|device| shown::device(device, DeviceId::from(uuid::Uuid::nil())));
        Ok(v1::ListDevicesResponse { devices: devices.take_while(|device| room.take(device)).collect() })
    }

    pub(crate) async fn sign_out(
        &self,
        by: By,
        request: v1::SignOutUserRequest,
    ) -> Result<v1::SignOutUserResponse, v1::Error> {
        let user = self.user(id("userId", &request.user_id)?).await?.id;
        let device = match request.device_id.as_str() {
            "" => None,
            given => Some(id("deviceId", given)?),
        };
        let gone = self.store.sign_out_user(user, device, &by).await.map_err(failure::store)?;
        let devices_signed_out = i32::try_from(gone.len()).unwrap_or(i32::MAX);
        self.signed_out(user, gone).await;
        Ok(v1::SignOutUserResponse { devices_signed_out })
    }

    pub(crate) async fn invite(
        &self,
        by: By,
        request: v1::CreateInvitationRequest,
    ) -> Result<v1::CreateInvitationResponse, v1::Error> {
        let uses = match u32::try_from(request.uses) {
            Ok(0) => 1,
            Ok(uses) if uses <= MAX_USES => uses,
            _ => return Err(violation("uses", format!("1 to {MAX_USES}"))),
        };
        let for_ms = match request.expires_in_ms {
            0 => INVITATION_MS,
            given if (1..=MAX_INVITATION_MS).contains(&given) => given,
            _ => return Err(violation("expiresInMs", "more than 0, and at most 30 days")),
        };
        let (code, kept) = self.auth.invitation();
        let until_ms = by.now + for_ms;
        let invitation = Invitation { code: kept, until_ms, uses };
        self.store.create_invitation(invitation, &by).await.map_err(failure::store)?;
        Ok(v1::CreateInvitationResponse { code, until_ms })
    }

    pub(crate) async fn list_audit(&self, request: v1::ListAuditRequest) -> Result<v1::ListAuditResponse, v1::Error> {
        let limit = limit(request.limit, 50, 200)?;
        let user = match request.user_id.as_str() {
            "" => None,
            given => Some(id("userId", given)?),
        };
        let act = match request.act {
            0 => None,
            given => Some(Act::numbered(given.into()).ok_or_else(|| violation("act", "no known one"))?),
        };
        let before = page::position(List::Audit, &request.page_token)?.map(|(_, id)| id);
        let page = self.store.audit(AuditFilter { user, act }, before, limit).await.map_err(failure::store)?;
        let people = self.people(&page.entries).await?;
        let mut room = Room::page();
        let mut response = v1::ListAuditResponse::default();
        let mut next = page.next;
        for entry in page.entries {
            let shown = entry_of(&entry, &people);
            if !room.take(&shown) {
                // The next page begins behind the last that is on this one.
                next = response.entries.last().and_then(|last: &v1::AuditEntry| last.id.parse().ok());
                break;
            }
            response.entries.push(shown);
        }
        response.next_page_token = next.map(|id| page::token(List::Audit, (0, id))).unwrap_or_default();
        Ok(response)
    }

    /// Who is named by entries.
    async fn people(&self, entries: &[AuditEntry]) -> Result<HashMap<UserId, v1::Person>, v1::Error> {
        let mut ids: Vec<_> = entries.iter().flat_map(|entry| [entry.by.actor, entry.subject]).flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        let users = self.store.users(&ids).await.map_err(failure::store)?;
        Ok(users.iter().map(|user| (user.id, person(user))).collect())
    }

    async fn user(&self, user: UserId) -> Result<User, v1::Error> {
        let users = self.store.users(&[user]).await.map_err(failure::store)?;
        users.into_iter().next().ok_or_else(nobody)
    }

    async fn signed_out(&self, user: UserId, devices: Vec<DeviceId>) {
        for device in devices {
            self.sign_outs.sign_out(user, device).await;
        }
    }
}

/// Nobody locks themselves out: another administrator, or the command line, can.
fn not_oneself(user: UserId, by: &By) -> Result<(), v1::Error> {
    if by.actor == Some(user) {
        return Err(ErrorCode::Yourself.with("another administrator has to do this"));
    }
    Ok(())
}

fn nobody() -> v1::Error {
    ErrorCode::NotFound.with("there is no such user")
}

fn user_of(user: &User) -> v1::User {
    v1::User {
        person: Some(person(user)),
        created_ms: user.created_ms,
        administrator_since_ms: user.administrator_ms.unwrap_or_default(),
        disabled_since_ms: user.disabled_ms.unwrap_or_default(),
        one_time_password_until_ms: user.one_time_until_ms.unwrap_or_default(),
    }
}

/// Whom it names, and who is not there any more, by their ids.
fn entry_of(entry: &AuditEntry, people: &HashMap<UserId, v1::Person>) -> v1::AuditEntry {
    let named = |user: UserId| {
        people.get(&user).cloned().unwrap_or_else(|| v1::Person { id: user.to_string(), ..v1::Person::default() })
    };
    v1::AuditEntry {
        id: entry.id.to_string(),
        time_ms: entry.by.now,
        act: i32::try_from(entry.act.number()).unwrap_or_default(),
        actor: entry.by.actor.map(named),
        subject: entry.subject.map(named),
        address: entry.by.address.clone(),
        detail: entry.detail.clone(),
    }
}

const INVITATION_MS: Millis = 7 * DAY_MS;
const MAX_INVITATION_MS: Millis = 30 * DAY_MS;
const DAY_MS: Millis = 24 * 3_600 * 1_000;
/// Accounts that an invitation may be for.
const MAX_USES: u32 = 1_000;
