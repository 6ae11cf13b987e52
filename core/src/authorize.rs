//! Who may call what: one row for each method. What a caller may see of a conversation is decided
//! where it is read or committed.

use gogochat_proto::ids::{DeviceId, UserId};

/// Who calls: a user, from a signed-in device of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    /// The user.
    pub(crate) user: UserId,
    /// The device.
    pub(crate) device: DeviceId,
}

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Administrators.
    Administrator,
}

/// The row of a method; `None`: nobody may call it, for there is no such method.
pub(crate) fn access(method: &str) -> Option<Access> {
    TABLE.iter().find(|(name, _)| *name == method).map(|(_, access)| *access)
}

const TABLE: &[(&str, Access)] = &[
    ("gogochat.v1.AccountService/Register", Access::Public),
    ("gogochat.v1.AccountService/LogIn", Access::Public),
    ("gogochat.v1.AccountService/Refresh", Access::Public),
    ("gogochat.v1.AccountService/LogOut", Access::SignedIn),
    ("gogochat.v1.AccountService/GetAccount", Access::SignedIn),
    ("gogochat.v1.AccountService/UpdateAccount", Access::SignedIn),
    ("gogochat.v1.AccountService/ChangePassword", Access::SignedIn),
    ("gogochat.v1.AccountService/GetSecondFactor", Access::SignedIn),
    ("gogochat.v1.AccountService/BeginSecondFactor", Access::SignedIn),
    ("gogochat.v1.AccountService/ConfirmSecondFactor", Access::SignedIn),
    ("gogochat.v1.AccountService/RemoveSecondFactor", Access::SignedIn),
    ("gogochat.v1.AccountService/ListDevices", Access::SignedIn),
    ("gogochat.v1.AccountService/RevokeDevice", Access::SignedIn),
    ("gogochat.v1.SocialService/FindPeople", Access::SignedIn),
    ("gogochat.v1.SocialService/GetPeople", Access::SignedIn),
    ("gogochat.v1.SocialService/RequestContact", Access::SignedIn),
    ("gogochat.v1.SocialService/AcceptContact", Access::SignedIn),
    ("gogochat.v1.SocialService/RemoveContact", Access::SignedIn),
    ("gogochat.v1.SocialService/ListContacts", Access::SignedIn),
    ("gogochat.v1.SocialService/BlockPerson", Access::SignedIn),
    ("gogochat.v1.SocialService/UnblockPerson", Access::SignedIn),
    ("gogochat.v1.SocialService/ListBlocks", Access::SignedIn),
    ("gogochat.v1.SocialService/GetPresence", Access::SignedIn),
    ("gogochat.v1.ChatService/SendMessage", Access::SignedIn),
    ("gogochat.v1.ChatService/CreateGroup", Access::SignedIn),
    ("gogochat.v1.ChatService/AddMembers", Access::SignedIn),
    ("gogochat.v1.ChatService/LeaveGroup", Access::SignedIn),
    ("gogochat.v1.ChatService/UpdateConversation", Access::SignedIn),
    ("gogochat.v1.ChatService/RemoveMembers", Access::SignedIn),
    ("gogochat.v1.ChatService/SetMemberRole", Access::SignedIn),
    ("gogochat.v1.ChatService/TransferGroup", Access::SignedIn),
    ("gogochat.v1.ChatService/MuteMember", Access::SignedIn),
    ("gogochat.v1.ChatService/DismissGroup", Access::SignedIn),
    ("gogochat.v1.ChatService/CreateInvite", Access::SignedIn),
    ("gogochat.v1.ChatService/ListInvites", Access::SignedIn),
    ("gogochat.v1.ChatService/RevokeInvite", Access::SignedIn),
    ("gogochat.v1.ChatService/GetInvite", Access::SignedIn),
    ("gogochat.v1.ChatService/JoinByInvite", Access::SignedIn),
    ("gogochat.v1.ChatService/ListOpenGroups", Access::SignedIn),
    ("gogochat.v1.ChatService/JoinGroup", Access::SignedIn),
    ("gogochat.v1.ChatService/Mark", Access::SignedIn),
    ("gogochat.v1.ChatService/ListConversations", Access::SignedIn),
    ("gogochat.v1.ChatService/GetConversation", Access::SignedIn),
    ("gogochat.v1.ChatService/ListMembers", Access::SignedIn),
    ("gogochat.v1.ChatService/ListEvents", Access::SignedIn),
    ("gogochat.v1.SyncService/Sync", Access::SignedIn),
    ("gogochat.v1.AdminService/ListUsers", Access::Administrator),
    ("gogochat.v1.AdminService/GetUser", Access::Administrator),
    ("gogochat.v1.AdminService/DisableUser", Access::Administrator),
    ("gogochat.v1.AdminService/EnableUser", Access::Administrator),
    ("gogochat.v1.AdminService/SetAdministrator", Access::Administrator),
    ("gogochat.v1.AdminService/ResetAccess", Access::Administrator),
    ("gogochat.v1.AdminService/ListUserDevices", Access::Administrator),
    ("gogochat.v1.AdminService/SignOutUser", Access::Administrator),
    ("gogochat.v1.AdminService/CreateInvitation", Access::Administrator),
    ("gogochat.v1.AdminService/ListAudit", Access::Administrator),
];

#[cfg(test)]
mod tests {
    use gogochat_proto::method;

    use super::*;

    #[test]
    fn every_method_of_the_contract_has_its_row_and_no_other() {
        for method in method::all() {
            let expected = match (method.public, method.administrator) {
                (true, _) => Access::Public,
                (false, true) => Access::Administrator,
                (false, false) => Access::SignedIn,
            };
            assert_eq!(access(&method.name), Some(expected), "{}", method.name);
        }
        assert_eq!(TABLE.len(), method::all().count());
        assert_eq!(access("gogochat.node.v1.NodeService/Attach"), None);
    }
}
