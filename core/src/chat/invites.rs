//! Invites to groups, and groups that are open, as they are read.

use std::net::IpAddr;

use gogochat_proto::{error::ErrorCode, ids::LogId, v1};
use gogochat_storage::store::{GroupInvite, OpenGroup, Role};
use uuid::Uuid;

use super::{Chat, commands::code, not_a_member};
use crate::{
    authorize::Caller,
    clock::now_ms,
    failure::{self, id, limit},
    log::{
        page::{self, List, Room},
        person,
    },
};

impl Chat {
    pub(crate) async fn list_invites(
        &self,
        caller: Caller,
        request: v1::ListInvitesRequest,
    ) -> Result<v1::ListInvitesResponse, v1::Error> {
        let log: LogId = id("conversationId", &request.conversation_id)?;
        let member = self.store.member(log, caller.user).await.map_err(failure::store)?.ok_or_else(not_a_member)?;
        if member.role < Role::Admin {
            return Err(ErrorCode::PermissionDenied.with("for the owner and admins"));
        }
        let found = self.store.invites(log, now_ms()).await.map_err(failure::store)?;
        let creators: Vec<_> = found.iter().map(|invite| invite.creator).collect();
        let creators = self.people.users(&creators).await.map_err(failure::store)?;
        let shown = |invite: &GroupInvite| v1::GroupInvite {
            code: invite.code.simple().to_string(),
            until_ms: invite.until_ms,
            uses_left: invite.uses_left.map_or(0, |uses| i32::try_from(uses).unwrap_or(i32::MAX)),
            creator: creators.iter().find(|user| user.id == invite.creator).map(person),
        };
        Ok(v1::ListInvitesResponse { invites: found.iter().map(shown).collect() })
    }

    /// Answers that there is no such invite are counted by network: codes are too long to be guessed, and
    /// nobody is to try for long.
    pub(crate) async fn get_invite(
        &self,
        caller: Caller,
        request: v1::GetInviteRequest,
        address: Option<IpAddr>,
    ) -> Result<v1::Invite, v1::Error> {
        self.auth.limits.invites(address)?;
        let code = code(&request.code)?;
        let found = self.store.invite(code, now_ms()).await.map_err(failure::store)?;
        let Some(group) = found else {
            self.auth.limits.unknown_invite(address);
            return Err(ErrorCode::NotFound.with("no such invite"));
        };
        let member = self.store.member(group.log, caller.user).await.map_err(failure::store)?.is_some();
        Ok(shown(&group, member))
    }

    pub(crate) async fn list_open_groups(
        &self,
        caller: Caller,
        request: v1::ListOpenGroupsRequest,
    ) -> Result<v1::ListOpenGroupsResponse, v1::Error> {
        let limit = limit(request.limit, 100, 200)?;
        let mut last = page::position(List::OpenGroups, &request.page_token)?;
        let after = last.map(|(_, id)| LogId::from(id));
        let found = self.store.open_groups(after, limit + 1).await.map_err(failure::store)?;
        let logs: Vec<_> = found.iter().map(|group| group.log).collect();
        let mine = self.store.conversations(caller.user, &logs).await.map_err(failure::store)?;
        let mut room = Room::page();
        let mut response = v1::ListOpenGroupsResponse::default();
        for group in &found {
            let shown = shown(group, mine.iter().any(|one| one.log == group.log));
            if response.groups.len() == limit as usize || !room.take(&shown) {
                response.next_page_token = page::token(List::OpenGroups, last.unwrap_or((0, Uuid::nil())));
                break;
            }
            response.groups.push(shown);
            last = Some((0, group.log.uuid()));
        }
        Ok(response)
    }
}

fn shown(group: &OpenGroup, member: bool) -> v1::Invite {
    v1::Invite {
        conversation_id: group.log.to_string(),
        title: group.title.clone(),
        member_count: i32::try_from(group.member_count).unwrap_or(i32::MAX),
        member,
    }
}
