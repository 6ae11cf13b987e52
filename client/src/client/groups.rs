//! Groups, as their owners and admins change them: calls over the session that stands. All name the state
//! in which they end, and are repeated under an id of their own.

use gogochat_proto::{
    ids::{ClientMsgId, LogId, UserId},
    v1,
};

use super::Client;
use crate::CallError;

impl Client {
    /// Changes how a group is: what is `None` in `change` stays as it is. Its ids are filled in here.
    ///
    /// # Errors
    /// `permission_denied` to members who are no admins, `not_a_member`, `not_a_group`, `group_dismissed`,
    /// `invalid_argument`; as [`Client::call`].
    pub async fn update_group(&self, group: LogId, change: v1::UpdateConversationRequest) -> Result<(), CallError> {
        let (conversation_id, client_msg_id) = (group.to_string(), new_id());
        let request = v1::UpdateConversationRequest { conversation_id, client_msg_id, ..change };
        self.call("gogochat.v1.ChatService/UpdateConversation", &group.to_string(), &request)
            .await
            .map(|_: v1::UpdateConversationResponse| ())
    }

    /// Removes members from a group, at most 1,000.
    ///
    /// # Errors
    /// As [`Client::update_group`], and `yourself`.
    pub async fn remove_members(&self, group: LogId, users: &[UserId]) -> Result<v1::RemoveMembersResponse, CallError> {
        let user_ids = users.iter().map(UserId::to_string).collect();
        let request =
            v1::RemoveMembersRequest { conversation_id: group.to_string(), client_msg_id: new_id(), user_ids };
        self.call("gogochat.v1.ChatService/RemoveMembers", &group.to_string(), &request).await
    }

    /// Gives a member a role: for the owner. [`v1::MemberRole::Owner`] makes the caller an admin.
    ///
    /// # Errors
    /// As [`Client::update_group`], `not_found` where there is no such member, and `yourself`.
    pub async fn set_member_role(&self, group: LogId, user: UserId, role: v1::MemberRole) -> Result<(), CallError> {
        let request = v1::SetMemberRoleRequest {
            conversation_id: group.to_string(),
            user_id: user.to_string(),
            role: role.into(),
            client_msg_id: new_id(),
        };
        self.call("gogochat.v1.ChatService/SetMemberRole", &group.to_string(), &request)
            .await
            .map(|_: v1::SetMemberRoleResponse| ())
    }

    /// Forbids a member to write for so many ms; 0: permits it again.
    ///
    /// # Errors
    /// As [`Client::set_member_role`].
    pub async fn mute_member(&self, group: LogId, user: UserId, for_ms: i64) -> Result<(), CallError> {
        let (conversation_id, user_id) = (group.to_string(), user.to_string());
        let request = v1::MuteMemberRequest { conversation_id, user_id, for_ms, client_msg_id: new_id() };
        self.call("gogochat.v1.ChatService/MuteMember", &group.to_string(), &request)
            .await
            .map(|_: v1::MuteMemberResponse| ())
    }

    /// Ends a group: for its owner.
    ///
    /// # Errors
    /// As [`Client::update_group`].
    pub async fn dismiss_group(&self, group: LogId) -> Result<(), CallError> {
        let request = v1::DismissGroupRequest { conversation_id: group.to_string(), client_msg_id: new_id() };
        self.call("gogochat.v1.ChatService/DismissGroup", &group.to_string(), &request)
            .await
            .map(|_: v1::DismissGroupResponse| ())
    }
}

fn new_id() -> String {
    ClientMsgId::new_v7().to_string()
}
