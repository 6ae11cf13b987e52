//! The people of a row, and how they stand to Ann, who made the group.

use gogochat_proto::{ids::LogId, v1};
use gogochat_storage::store::By;

use crate::support::{Node, User, new_id};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Without a token.
    Anonymous,
    /// With the token of a device that was signed out.
    SignedOut,
    /// Has nothing to do with Ann.
    Stranger,
    /// Was a contact of Ann's.
    FormerContact,
    /// Was a contact of Ann's until Ann blocked them.
    Blocked,
    /// Is a contact of Ann's, and in no group.
    Contact,
    /// Is a contact, and in Ann's group.
    Member,
    /// The same, and muted there.
    MutedMember,
    /// The same, and an admin there.
    Admin,
    /// Is a contact, and was removed from Ann's group.
    RemovedMember,
    /// Ann.
    Creator,
    /// Was a contact and a member as [`Who::Member`], until an administrator disabled the account.
    Disabled,
    /// Is an administrator, and has nothing to do with Ann.
    Administrator,
}

impl Who {
    pub(super) const ALL: [Self; 13] = [
        Self::Anonymous,
        Self::SignedOut,
        Self::Stranger,
        Self::FormerContact,
        Self::Blocked,
        Self::Contact,
        Self::Member,
        Self::MutedMember,
        Self::Admin,
        Self::RemovedMember,
        Self::Creator,
        Self::Disabled,
        Self::Administrator,
    ];

    /// What a column is headed by.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::SignedOut => "signed out",
            Self::Stranger => "stranger",
            Self::FormerContact => "former contact",
            Self::Blocked => "blocked",
            Self::Contact => "contact",
            Self::Member => "member",
            Self::MutedMember => "muted member",
            Self::Admin => "admin",
            Self::RemovedMember => "removed member",
            Self::Creator => "Ann",
            Self::Disabled => "disabled",
            Self::Administrator => "administrator",
        }
    }
}

/// The people of one row: what one call changes concerns no other row.
pub(super) struct Place {
    /// In the order of [`Who`]. Nobody stands for the anonymous.
    people: Vec<(String, User)>,
    /// The direct conversation of each with Ann, as far as there is one.
    directs: Vec<Option<LogId>>,
    /// Ann's group.
    pub(super) group: LogId,
    /// A code that leads there.
    pub(super) code: String,
}

impl Place {
    pub(super) async fn make(node: &Node, row: usize) -> Self {
        let mut people = Vec::new();
        for (n, who) in Who::ALL.into_iter().enumerate() {
            let name = format!("{}.{row}.{n}", who.name().split(' ').next_back().unwrap().to_lowercase());
            let user = node.register(&name).await;
            people.push((name, user));
        }
        let mut place =
            Self { people, directs: vec![None; Who::ALL.len()], group: LogId::new_v7(), code: String::new() };
        let ann = place.user(Who::Creator).clone();
        for who in [Who::FormerContact, Who::Blocked, Who::Contact, Who::Disabled].into_iter().chain(IN_GROUP) {
            let direct = node.befriend(place.user(who), &ann).await;
            place.directs[who as usize] = Some(direct);
        }
        place.group = place.group(node, &ann).await;
        place.govern(node, &ann).await;
        let invite = v1::CreateInviteRequest { conversation_id: place.group.to_string(), ..Default::default() };
        let made: v1::CreateInviteResponse =
            node.call("ChatService/CreateInvite", Some(&ann.token), &invite).await.unwrap();
        place.code = made.code;
        let remove = v1::RemoveContactRequest { user_id: ann.id.to_string() };
        let former = &place.user(Who::FormerContact).token;
        let _: v1::RemoveContactResponse =
            node.call("SocialService/RemoveContact", Some(former), &remove).await.unwrap();
        let block = v1::BlockPersonRequest { user_id: place.user(Who::Blocked).id.to_string() };
        let _: v1::BlockPersonResponse =
            node.call("SocialService/BlockPerson", Some(&ann.token), &block).await.unwrap();
        let by = By { actor: None, address: String::new(), now: 1 };
        let administrator = place.user(Who::Administrator).id;
        assert!(node.store.set_administrator(administrator, true, &by).await.unwrap());
        node.store.set_disabled(place.user(Who::Disabled).id, true, "", &by).await.unwrap().unwrap();
        let out = &place.user(Who::SignedOut).token;
        let _: v1::LogOutResponse = node.call("AccountService/LogOut", Some(out), &v1::LogOutRequest {}).await.unwrap();
        place
    }

    async fn group(&self, node: &Node, ann: &User) -> LogId {
        let members = IN_GROUP.into_iter().chain([Who::Disabled]).map(|who| self.user(who).id.to_string());
        let request =
            v1::CreateGroupRequest { client_msg_id: new_id(), title: "Group".into(), member_ids: members.collect() };
        let made: v1::CreateGroupResponse =
            node.call("ChatService/CreateGroup", Some(&ann.token), &request).await.unwrap();
        made.conversation_id.parse().unwrap()
    }

    /// Gives the members of the group their roles.
    async fn govern(&self, node: &Node, ann: &User) {
        let conversation_id = self.group.to_string();
        let id = |who: Who| self.user(who).id.to_string();
        let token = Some(ann.token.as_str());
        let set = v1::SetMemberRoleRequest {
            conversation_id: conversation_id.clone(),
            user_id: id(Who::Admin),
            role: v1::MemberRole::Admin.into(),
            ..Default::default()
        };
        let _: v1::SetMemberRoleResponse = node.call("ChatService/SetMemberRole", token, &set).await.unwrap();
        let (user_id, for_ms) = (id(Who::MutedMember), 3_600_000);
        let mute =
            v1::MuteMemberRequest { conversation_id: conversation_id.clone(), user_id, for_ms, ..Default::default() };
        let _: v1::MuteMemberResponse = node.call("ChatService/MuteMember", token, &mute).await.unwrap();
        let user_ids = vec![id(Who::RemovedMember)];
        let remove = v1::RemoveMembersRequest { conversation_id, user_ids, ..Default::default() };
        let _: v1::RemoveMembersResponse = node.call("ChatService/RemoveMembers", token, &remove).await.unwrap();
    }

    /// The user; for the anonymous one who has nothing to do with it.
    pub(super) fn user(&self, who: Who) -> &User {
        &self.people[who as usize].1
    }

    pub(super) fn name(&self, who: Who) -> &str {
        &self.people[who as usize].0
    }

    /// What the caller shows.
    pub(super) fn token(&self, who: Who) -> Option<String> {
        (who != Who::Anonymous).then(|| self.user(who).token.clone())
    }

    /// Ann's id.
    pub(super) fn ann(&self) -> String {
        self.user(Who::Creator).id.to_string()
    }

    /// Whom a caller who is a contact of Ann's knows: Ann, or for Ann the contact.
    pub(super) fn friend(&self, who: Who) -> String {
        let friend = if who == Who::Creator { Who::Contact } else { Who::Creator };
        self.user(friend).id.to_string()
    }

    /// A member of the group who is no more than that, and another than the caller.
    pub(super) fn another_member(&self, who: Who) -> String {
        let other = if who == Who::Member { Who::MutedMember } else { Who::Member };
        self.user(other).id.to_string()
    }

    /// The caller's direct conversation with Ann. For who has none, the contact's, and so for Ann.
    pub(super) fn direct(&self, who: Who) -> String {
        let log = self.directs[who as usize].or(self.directs[Who::Contact as usize]);
        log.unwrap().to_string()
    }
}

/// Who is in Ann's group, or was.
const IN_GROUP: [Who; 4] = [Who::Member, Who::MutedMember, Who::Admin, Who::RemovedMember];
