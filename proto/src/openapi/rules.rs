//! What the server asks of a request's fields beyond their types: lengths, ranges and patterns, from the limits of
//! the contract. A field of a response has none: a newer server may send more.

use prost_reflect::FieldDescriptor;
use serde_json::{Value, json};

use crate::limits::{
    MAX_KNOWN, MAX_MARKS, MAX_MEMBERS_PER_CALL, MAX_NOTE, MAX_NOTICE, MAX_PAGE, MAX_SIGNATURE, MAX_TEXT, MAX_TITLE,
    NAME, PASSWORD,
};

/// What is asked of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A UUID.
    Id,
    /// From so many UUIDs to so many.
    Ids(usize, usize),
    /// Text of this many characters. Longer than so many bytes it is refused as well.
    Text(usize, usize),
    /// Text of this many characters that matches.
    Matching(usize, usize, &'static str),
    /// A number from 0 on; 0 is the default.
    Limit(i32),
    /// A seq or a time from 0 on.
    Seq,
    /// At most so many items.
    Items(usize),
    /// What the server gave out, or what has no shape of its own.
    Opaque,
}

/// The rule of a field of a request.
pub(super) fn of(field: &FieldDescriptor) -> Option<Rule> {
    let message = field.parent_message();
    let rule = match (message.name(), field.name()) {
        ("RegisterRequest", "name") => Rule::Matching(*NAME.start(), *NAME.end(), USER_NAME),
        ("RegisterRequest", "password") | ("ChangePasswordRequest", "new_password") => {
            Rule::Text(*PASSWORD.start(), *PASSWORD.end())
        }
        // What is compared with what there is.
        ("LogInRequest", "name" | "password") | (_, "current_password") => Rule::Opaque,
        // Of either kind, as people type it.
        ("ConfirmSecondFactorRequest", "code") | (_, "second_factor") => Rule::Opaque,
        ("RegisterRequest" | "LogInRequest", "display_name" | "device_name") => Rule::Text(0, MAX_TITLE),
        ("UpdateAccountRequest", "display_name") => Rule::Text(0, MAX_TITLE),
        ("UpdateAccountRequest", "signature") => Rule::Text(0, MAX_SIGNATURE),
        ("UpdateAccountRequest", "birthday") => Rule::Opaque,
        // Most sign-ins have none; where there is one, it is held to the rule of a new password.
        ("LogInRequest", "new_password") | ("RegisterRequest", "invitation") => Rule::Opaque,
        ("ListUsersRequest", "query") => Rule::Text(0, *NAME.end()),
        ("DisableUserRequest", "reason") => Rule::Text(0, MAX_NOTE),
        ("ListUsersRequest" | "ListAuditRequest", "limit") => Rule::Limit(MAX_LISTED),
        ("CreateInvitationRequest", "uses") => Rule::Limit(MAX_INVITED),
        ("CreateInvitationRequest", "expires_in_ms") => Rule::Opaque,
        ("SignOutUserRequest", "device_id") | ("ListAuditRequest", "user_id") => Rule::Opaque,
        ("RefreshRequest", "refresh_token") | (_, "page_token") => Rule::Opaque,
        ("FindPeopleRequest", "query") => Rule::Text(MIN_QUERY, MAX_TITLE),
        ("RequestContactRequest", "note") => Rule::Text(0, MAX_NOTE),
        ("CreateGroupRequest" | "UpdateConversationRequest", "title") => Rule::Text(1, MAX_TITLE),
        ("UpdateConversationRequest", "notice") => Rule::Text(0, MAX_NOTICE),
        ("UpdateConversationRequest", "slow_mode_ms") | ("MuteMemberRequest", "for_ms") => Rule::Seq,
        ("CreateInviteRequest", "expires_in_ms") => Rule::Seq,
        ("CreateInviteRequest", "uses") => Rule::Limit(MAX_JOINING),
        ("RevokeInviteRequest" | "GetInviteRequest" | "JoinByInviteRequest", "code") => {
            Rule::Matching(CODE, CODE, "^[0-9a-f]{32}$")
        }
        ("ListOpenGroupsRequest", "limit") => Rule::Limit(MAX_LISTED),
        ("ListBlocksRequest", "limit") => Rule::Limit(MAX_PAGE),
        ("SendMessageRequest", "text") => Rule::Text(1, MAX_TEXT),
        ("FindPeopleRequest", "limit") => Rule::Limit(MAX_FOUND),
        ("ListConversationsRequest", "limit") => Rule::Limit(MAX_CONVERSATIONS),
        ("ListContactsRequest" | "ListMembersRequest" | "ListEventsRequest", "limit") => Rule::Limit(MAX_PAGE),
        ("GetPeopleRequest", "user_ids") => Rule::Ids(0, MAX_PEOPLE),
        ("GetPresenceRequest", "user_ids") => Rule::Ids(0, MAX_PRESENCES),
        ("CreateGroupRequest", "member_ids") => Rule::Ids(0, MAX_MEMBERS_PER_CALL),
        ("AddMembersRequest" | "RemoveMembersRequest", "user_ids") => Rule::Ids(1, MAX_MEMBERS_PER_CALL),
        ("SyncRequest", "known") => Rule::Items(MAX_KNOWN),
        ("Marks", "marks") => Rule::Items(MAX_MARKS),
        ("SyncRequest", "position") => Rule::Seq,
        ("SyncRequest" | "MarkRequest" | "ListEventsRequest", name) if name.ends_with("_seq") => Rule::Seq,
        (message, name) if message.ends_with("Request") && name.ends_with("_id") => Rule::Id,
        _ => return None,
    };
    Some(rule)
}

/// Puts a field's rule into its schema.
pub(super) fn apply(field: &FieldDescriptor, mut schema: Value) -> Value {
    let Some(rule) = of(field) else { return schema };
    let mut put = |pairs: Value| {
        if let (Some(schema), Value::Object(pairs)) = (schema.as_object_mut(), pairs) {
            schema.extend(pairs);
        }
    };
    match rule {
        Rule::Id => put(id()),
        Rule::Ids(least, most) => {
            let mut items = json!({"type": "string"});
            if let (Some(items), Value::Object(id)) = (items.as_object_mut(), id()) {
                items.extend(id);
            }
            put(json!({"items": items, "minItems": least, "maxItems": most}));
        }
        Rule::Text(least, most) => put(json!({"minLength": least, "maxLength": most})),
        Rule::Matching(least, most, pattern) => {
            put(json!({"minLength": least, "maxLength": most, "pattern": pattern}));
        }
        Rule::Limit(most) => put(json!({"minimum": 0, "maximum": most})),
        Rule::Seq => put(json!({"pattern": "^[0-9]{1,19}$"})),
        Rule::Items(most) => put(json!({"maxItems": most})),
        Rule::Opaque => {}
    }
    schema
}

fn id() -> Value {
    json!({"format": "uuid", "minLength": ID, "maxLength": ID})
}

/// Whether a field has a length or a range that a rule could give.
#[cfg(test)]
pub(super) fn needs_one(field: &FieldDescriptor) -> bool {
    use prost_reflect::Kind;
    field.is_list() || matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Int32 | Kind::Int64)
}

const USER_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_.-]*$";
/// Characters of a UUID.
const ID: usize = 36;
const MIN_QUERY: usize = 2;
const MAX_FOUND: i32 = 50;
const MAX_CONVERSATIONS: i32 = 200;
const MAX_PEOPLE: usize = 100;
const MAX_LISTED: i32 = 200;
const MAX_INVITED: i32 = 1_000;
const MAX_JOINING: i32 = 10_000;
/// Characters of an invite's code.
const CODE: usize = 32;
const MAX_PRESENCES: usize = 200;
