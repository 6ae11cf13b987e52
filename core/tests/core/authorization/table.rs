//! The rows: a method, what it is asked about, and what each caller is answered.

use serde_json::{Value, json};

use super::people::{Place, Who};
use crate::support::{PASSWORD, new_id};

/// A method, asked about one thing.
pub(super) struct Row {
    /// "ChatService/SendMessage".
    pub(super) name: &'static str,
    /// "the group".
    pub(super) about: &'static str,
    /// In the order of [`Who::ALL`]: [`YES`], [`ABSENT`] or an error code.
    pub(super) answers: [&'static str; Who::ALL.len()],
    /// The request as JSON.
    pub(super) request: fn(&Place, Who) -> Value,
    /// What has to be in the reply for [`YES`].
    pub(super) shows: Option<fn(&Place, Who) -> String>,
}

impl Row {
    /// The method's name in the contract.
    pub(super) fn method(&self) -> String {
        format!("gogochat.v1.{}", self.name)
    }

    fn shows(self, shown: fn(&Place, Who) -> String) -> Self {
        Self { shows: Some(shown), ..self }
    }
}

/// It is done.
pub(super) const YES: &str = "yes";
/// It is answered, and the reply does not have what was asked about.
pub(super) const ABSENT: &str = "left out";

fn row(
    name: &'static str,
    about: &'static str,
    answers: [&'static str; Who::ALL.len()],
    request: fn(&Place, Who) -> Value,
) -> Row {
    Row { name, about, answers, request, shows: None }
}

/// The answers of a method that takes a token: to the stranger, the former contact, the contact, the
/// member, who is muted or an admin or not, the removed member, and Ann.
fn signed_in(answers: [&'static str; 6]) -> [&'static str; Who::ALL.len()] {
    let [stranger, former_contact, contact, member, removed_member, ann] = answers;
    // The devices of who is disabled are signed out, and an administrator is a stranger as others are.
    let [signed_out, disabled, administrator] = ["token_invalid", "token_invalid", stranger];
    let anonymous = "unauthenticated";
    let [muted, admin] = [member, member];
    // Who is blocked is answered as one whose contact has ended.
    let blocked = former_contact;
    [
        anonymous,
        signed_out,
        stranger,
        former_contact,
        blocked,
        contact,
        member,
        muted,
        admin,
        removed_member,
        ann,
        disabled,
        administrator,
    ]
}

/// The same with another answer to one.
fn but(mut answers: [&'static str; Who::ALL.len()], who: Who, answer: &'static str) -> [&'static str; Who::ALL.len()] {
    answers[who as usize] = answer;
    answers
}

/// What members of the group may do who are its admins.
fn of_admins() -> [&'static str; Who::ALL.len()] {
    but(of_owner(), Who::Admin, YES)
}

/// What its owner may do.
fn of_owner() -> [&'static str; Who::ALL.len()] {
    signed_in([NOT_A_MEMBER, NOT_A_MEMBER, NOT_A_MEMBER, "permission_denied", NOT_A_MEMBER, YES])
}

/// What concerns the caller alone.
fn own() -> [&'static str; Who::ALL.len()] {
    signed_in([YES; 6])
}

/// What administrators alone may do, and what they are answered.
fn administration(answer: &'static str) -> [&'static str; Who::ALL.len()] {
    let mut answers = signed_in(["permission_denied"; 6]);
    answers[Who::Administrator as usize] = answer;
    answers
}

/// What concerns the members of the group.
fn of_group() -> [&'static str; Who::ALL.len()] {
    signed_in([NOT_A_MEMBER, NOT_A_MEMBER, NOT_A_MEMBER, YES, NOT_A_MEMBER, YES])
}

/// What concerns the two of a direct conversation, also when they are contacts no more.
fn of_direct() -> [&'static str; Who::ALL.len()] {
    signed_in([NOT_A_MEMBER, YES, YES, YES, YES, YES])
}

const NOT_A_MEMBER: &str = "not_a_member";

pub(super) fn rows() -> Vec<Row> {
    [account(), people(), direct(), group(), lists(), administrators()].into_iter().flatten().collect()
}

fn account() -> Vec<Row> {
    vec![
        row("AccountService/Register", "a new account", [YES; Who::ALL.len()], |_, _| {
            let name: String = new_id().replace('-', "").chars().rev().collect();
            json!({ "name": name, "password": PASSWORD })
        }),
        row(
            "AccountService/LogIn",
            "the caller, by the password",
            but_disabled(YES, "account_disabled"),
            |place, who| json!({ "name": place.name(who), "password": PASSWORD }),
        ),
        row(
            "AccountService/Refresh",
            "the caller's device",
            but(own(), Who::Anonymous, "token_invalid"),
            |place, who| {
                let token = if who == Who::Anonymous { "" } else { &place.user(who).refresh };
                json!({ "refreshToken": token })
            },
        ),
        row("AccountService/LogOut", "the caller's device", own(), |_, _| json!({})),
        row("AccountService/GetAccount", "the caller", own(), |_, _| json!({}))
            .shows(|place, who| place.user(who).id.to_string()),
        row("AccountService/UpdateAccount", "the caller", own(), |_, _| json!({ "signature": "x" })),
        row(
            "AccountService/ChangePassword",
            "the caller",
            own(),
            |_, _| json!({ "currentPassword": PASSWORD, "newPassword": "another horse" }),
        ),
        row("AccountService/GetSecondFactor", "the caller", own(), |_, _| json!({})),
        row("AccountService/BeginSecondFactor", "the caller", own(), |_, _| json!({ "currentPassword": PASSWORD })),
        row(
            "AccountService/ConfirmSecondFactor",
            "the caller, who has begun none",
            signed_in(["second_factor_off"; 6]),
            |_, _| json!({ "code": "123456" }),
        ),
        row("AccountService/RemoveSecondFactor", "the caller", own(), |_, _| json!({ "currentPassword": PASSWORD })),
        row("AccountService/ListDevices", "the caller", own(), |_, _| json!({}))
            .shows(|place, who| place.user(who).device.to_string()),
        row(
            "AccountService/RevokeDevice",
            "the caller's device",
            own(),
            |place, who| json!({ "deviceId": place.user(who).device.to_string() }),
        ),
        row(
            "AccountService/RevokeDevice",
            "Ann's device",
            signed_in(["not_found", "not_found", "not_found", "not_found", "not_found", YES]),
            |place, _| json!({ "deviceId": place.user(Who::Creator).device.to_string() }),
        ),
    ]
}

fn people() -> Vec<Row> {
    let ann = |place: &Place, _: Who| json!({ "userId": place.ann() });
    vec![
        row("SocialService/FindPeople", "Ann", own(), |place, _| json!({ "query": place.name(Who::Creator) }))
            .shows(|place, _| place.ann()),
        row("SocialService/GetPeople", "Ann", own(), |place, _| json!({ "userIds": [place.ann()] }))
            .shows(|place, _| place.ann()),
        row(
            "SocialService/RequestContact",
            "Ann",
            signed_in([YES, YES, "already_contact", "already_contact", "already_contact", "yourself"]),
            ann,
        ),
        row(
            "SocialService/AcceptContact",
            "Ann, who has not asked",
            signed_in(["not_found", "not_found", YES, YES, YES, "yourself"]),
            ann,
        ),
        row(
            "SocialService/RemoveContact",
            "Ann",
            signed_in(["not_found", "not_found", YES, YES, YES, "yourself"]),
            ann,
        ),
        row("SocialService/BlockPerson", "Ann", signed_in([YES, YES, YES, YES, YES, "yourself"]), ann),
        row("SocialService/UnblockPerson", "Ann", signed_in([YES, YES, YES, YES, YES, "yourself"]), ann),
        row(
            "SocialService/ListBlocks",
            "the blocked",
            signed_in([ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, YES]),
            |_, _| json!({}),
        )
        .shows(|place, _| place.user(Who::Blocked).id.to_string()),
        row("SocialService/ListContacts", "Ann", signed_in([ABSENT, ABSENT, YES, YES, YES, YES]), |_, _| json!({}))
            .shows(Place::friend),
        row(
            "SocialService/GetPresence",
            "Ann",
            signed_in([ABSENT, ABSENT, YES, YES, YES, YES]),
            |place, who| json!({ "userIds": [place.friend(who)] }),
        )
        .shows(Place::friend),
    ]
}

fn direct() -> Vec<Row> {
    let about = "a direct conversation with Ann";
    vec![
        row(
            "ChatService/SendMessage",
            about,
            signed_in([NOT_A_MEMBER, "not_a_contact", YES, YES, YES, YES]),
            |place, who| json!({ "conversationId": place.direct(who), "clientMsgId": new_id(), "text": "x" }),
        ),
        row(
            "ChatService/Mark",
            about,
            of_direct(),
            |place, who| json!({ "conversationId": place.direct(who), "readSeq": "1", "deliveredSeq": "1" }),
        ),
        row(
            "ChatService/GetConversation",
            about,
            of_direct(),
            |place, who| json!({ "conversationId": place.direct(who) }),
        ),
        row("ChatService/ListMembers", about, of_direct(), |place, who| json!({ "conversationId": place.direct(who) })),
        row(
            "ChatService/ListEvents",
            about,
            of_direct(),
            |place, who| json!({ "conversationId": place.direct(who), "afterSeq": "0" }),
        ),
        row(
            "ChatService/AddMembers",
            about,
            signed_in([NOT_A_MEMBER, "not_a_group", "not_a_group", "not_a_group", "not_a_group", "not_a_group"]),
            |place, who| {
                json!({
                    "conversationId": place.direct(who), "clientMsgId": new_id(), "userIds": [place.friend(who)]
                })
            },
        ),
        row(
            "ChatService/LeaveGroup",
            about,
            signed_in([NOT_A_MEMBER, "not_a_group", "not_a_group", "not_a_group", "not_a_group", "not_a_group"]),
            |place, who| json!({ "conversationId": place.direct(who), "clientMsgId": new_id() }),
        ),
    ]
}

fn group() -> Vec<Row> {
    let about = "Ann's group";
    let of = |place: &Place, _: Who| json!({ "conversationId": place.group.to_string() });
    let named = |place: &Place, _: Who| json!({ "conversationId": place.group.to_string(), "clientMsgId": new_id() });
    vec![
        row(
            "ChatService/CreateGroup",
            "a group with Ann",
            signed_in(["not_a_contact", "not_a_contact", YES, YES, YES, YES]),
            |place, who| json!({ "clientMsgId": new_id(), "title": "x", "memberIds": [place.friend(who)] }),
        ),
        row(
            "ChatService/SendMessage",
            about,
            but(of_group(), Who::MutedMember, "muted"),
            |place, _| json!({ "conversationId": place.group.to_string(), "clientMsgId": new_id(), "text": "x" }),
        ),
        row(
            "ChatService/UpdateConversation",
            about,
            of_admins(),
            |place, _| json!({ "conversationId": place.group.to_string(), "notice": "x" }),
        ),
        row("ChatService/RemoveMembers", "the disabled member", of_admins(), |place, _| {
            let gone = place.user(Who::Disabled).id.to_string();
            json!({ "conversationId": place.group.to_string(), "userIds": [gone] })
        }),
        row(
            "ChatService/RemoveMembers",
            "Ann",
            but(of_owner(), Who::Creator, "yourself"),
            |place, _| json!({ "conversationId": place.group.to_string(), "userIds": [place.ann()] }),
        ),
        row("ChatService/SetMemberRole", "a member", of_owner(), |place, who| {
            json!({
                "conversationId": place.group.to_string(),
                "userId": place.another_member(who),
                "role": "MEMBER_ROLE_ADMIN"
            })
        }),
        row(
            "ChatService/TransferGroup",
            about,
            of_owner(),
            |place, who| json!({ "conversationId": place.group.to_string(), "userId": place.another_member(who) }),
        ),
        row("ChatService/MuteMember", "a member", of_admins(), |place, who| {
            json!({
                "conversationId": place.group.to_string(), "userId": place.another_member(who), "forMs": "1000"
            })
        }),
        row("ChatService/CreateInvite", about, of_admins(), of),
        row("ChatService/ListInvites", about, of_admins(), of).shows(|place, _| place.code.clone()),
        row(
            "ChatService/RevokeInvite",
            about,
            of_admins(),
            |place, _| json!({ "conversationId": place.group.to_string(), "code": place.code }),
        ),
        row("ChatService/GetInvite", about, own(), |place, _| json!({ "code": place.code })),
        row("ChatService/JoinByInvite", about, own(), |place, _| json!({ "code": place.code })),
        row("ChatService/JoinGroup", "Ann's group, which is not open", signed_in(["not_found"; 6]), of),
        row("ChatService/ListOpenGroups", "Ann's group, which is not open", signed_in([ABSENT; 6]), |_, _| json!({}))
            .shows(|place, _| place.group.to_string()),
        row("ChatService/DismissGroup", about, of_owner(), of),
        row("ChatService/AddMembers", about, of_group(), |place, who| {
            json!({
                "conversationId": place.group.to_string(), "clientMsgId": new_id(), "userIds": [place.friend(who)]
            })
        }),
        row(
            "ChatService/Mark",
            about,
            of_group(),
            |place, _| json!({ "conversationId": place.group.to_string(), "readSeq": "1", "deliveredSeq": "1" }),
        ),
        row("ChatService/GetConversation", about, of_group(), of),
        row("ChatService/ListMembers", about, of_group(), of),
        row(
            "ChatService/ListEvents",
            about,
            of_group(),
            |place, _| json!({ "conversationId": place.group.to_string(), "afterSeq": "0" }),
        ),
        row("ChatService/LeaveGroup", about, of_group(), named),
    ]
}

fn lists() -> Vec<Row> {
    let members = || signed_in([ABSENT, ABSENT, ABSENT, YES, ABSENT, YES]);
    vec![
        row("ChatService/ListConversations", "Ann's group", members(), |_, _| json!({}))
            .shows(|place, _| place.group.to_string()),
        row("SyncService/Sync", "Ann's group, on a new device", members(), |_, _| json!({}))
            .shows(|place, _| format!("\"id\":\"{}\"", place.group)),
        row(
            "ChatService/ListEvents",
            "the caller's own log",
            own(),
            |place, who| json!({ "conversationId": place.user(who).id.to_string(), "afterSeq": "0" }),
        ),
        row(
            "ChatService/ListEvents",
            "Ann's own log",
            signed_in([NOT_A_MEMBER, NOT_A_MEMBER, NOT_A_MEMBER, NOT_A_MEMBER, NOT_A_MEMBER, YES]),
            |place, _| json!({ "conversationId": place.ann(), "afterSeq": "0" }),
        ),
        row(
            "ChatService/SendMessage",
            "the caller's own log",
            signed_in([NOT_A_MEMBER; 6]),
            |place, who| json!({ "conversationId": place.user(who).id.to_string(), "clientMsgId": new_id(), "text": "x" }),
        ),
    ]
}

/// What everybody may do but who is disabled.
fn but_disabled(answer: &'static str, disabled: &'static str) -> [&'static str; Who::ALL.len()] {
    let mut answers = [answer; Who::ALL.len()];
    answers[Who::Disabled as usize] = disabled;
    answers
}

fn administrators() -> Vec<Row> {
    let ann = |place: &Place, _: Who| json!({ "userId": place.ann() });
    vec![
        row(
            "AdminService/ListUsers",
            "Ann",
            administration(YES),
            |place, _| json!({ "query": place.name(Who::Creator) }),
        )
        .shows(|place, _| place.ann()),
        row("AdminService/GetUser", "Ann", administration(YES), ann),
        row("AdminService/DisableUser", "Ann", administration(YES), ann),
        row(
            "AdminService/DisableUser",
            "the caller",
            administration("yourself"),
            |place, who| json!({ "userId": place.user(who).id.to_string() }),
        ),
        row("AdminService/EnableUser", "Ann", administration(YES), ann),
        row(
            "AdminService/SetAdministrator",
            "Ann",
            administration(YES),
            |place, _| json!({ "userId": place.ann(), "administrator": true }),
        ),
        row(
            "AdminService/SetAdministrator",
            "the caller",
            administration("yourself"),
            |place, who| json!({ "userId": place.user(who).id.to_string(), "administrator": true }),
        ),
        row("AdminService/ResetAccess", "Ann", administration(YES), ann),
        row("AdminService/ListUserDevices", "Ann", administration(YES), ann)
            .shows(|place, _| place.user(Who::Creator).device.to_string()),
        row("AdminService/SignOutUser", "Ann", administration(YES), ann),
        row("AdminService/CreateInvitation", "a new account", administration(YES), |_, _| json!({})),
        row("AdminService/ListAudit", "Ann", administration(YES), ann).shows(|place, _| place.ann()),
    ]
}
