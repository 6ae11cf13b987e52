//! The one table of methods, for sessions, REST and gRPC alike: a method's name, who may call it,
//! and who carries it out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use gogochat_proto::{error::ErrorCode, v1};
use prost::Message;

use crate::{
    account::{Account, admin::Admin, shown::by},
    authorize::{Access, Caller, access},
    chat::{self, Chat},
    command::{OrderedMethod, encode},
    failure::decode,
    presence::Presence,
    social::{self, Social},
    sync::Sync,
};

/// The services that answer calls.
pub(crate) struct Services {
    pub(crate) account: Account,
    pub(crate) admin: Admin,
    pub(crate) social: Social,
    pub(crate) chat: Chat,
    pub(crate) sync: Sync,
    pub(crate) presence: Arc<Presence>,
}

/// A method of the table.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// "gogochat.v1.ChatService/SendMessage".
    pub(crate) name: &'static str,
    /// Who may call it.
    pub(crate) access: Access,
    /// Who carries it out.
    pub(crate) route: Route,
}

/// Who carries a method out.
#[derive(Clone, Copy)]
pub(crate) enum Route {
    /// A service, at once.
    Unary(Unary),
    /// The worker, in order.
    Ordered(&'static OrderedMethod),
}

macro_rules! unary {
    ($($method:ident = $name:literal;)*) => {
        /// Methods that a service answers at once.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Unary { $($method,)* }

        const UNARY: &[(&str, Unary)] = &[$(($name, Unary::$method),)*];
    };
}

unary! {
    Register = "gogochat.v1.AccountService/Register";
    LogIn = "gogochat.v1.AccountService/LogIn";
    Refresh = "gogochat.v1.AccountService/Refresh";
    LogOut = "gogochat.v1.AccountService/LogOut";
    GetAccount = "gogochat.v1.AccountService/GetAccount";
    UpdateAccount = "gogochat.v1.AccountService/UpdateAccount";
    ChangePassword = "gogochat.v1.AccountService/ChangePassword";
    GetSecondFactor = "gogochat.v1.AccountService/GetSecondFactor";
    BeginSecondFactor = "gogochat.v1.AccountService/BeginSecondFactor";
    ConfirmSecondFactor = "gogochat.v1.AccountService/ConfirmSecondFactor";
    RemoveSecondFactor = "gogochat.v1.AccountService/RemoveSecondFactor";
    ListDevices = "gogochat.v1.AccountService/ListDevices";
    RevokeDevice = "gogochat.v1.AccountService/RevokeDevice";
    FindPeople = "gogochat.v1.SocialService/FindPeople";
    GetPeople = "gogochat.v1.SocialService/GetPeople";
    ListContacts = "gogochat.v1.SocialService/ListContacts";
    ListBlocks = "gogochat.v1.SocialService/ListBlocks";
    GetPresence = "gogochat.v1.SocialService/GetPresence";
    ListConversations = "gogochat.v1.ChatService/ListConversations";
    GetConversation = "gogochat.v1.ChatService/GetConversation";
    ListMembers = "gogochat.v1.ChatService/ListMembers";
    ListInvites = "gogochat.v1.ChatService/ListInvites";
    GetInvite = "gogochat.v1.ChatService/GetInvite";
    ListOpenGroups = "gogochat.v1.ChatService/ListOpenGroups";
    ListEvents = "gogochat.v1.ChatService/ListEvents";
    Sync = "gogochat.v1.SyncService/Sync";
    ListUsers = "gogochat.v1.AdminService/ListUsers";
    GetUser = "gogochat.v1.AdminService/GetUser";
    DisableUser = "gogochat.v1.AdminService/DisableUser";
    EnableUser = "gogochat.v1.AdminService/EnableUser";
    SetAdministrator = "gogochat.v1.AdminService/SetAdministrator";
    ResetAccess = "gogochat.v1.AdminService/ResetAccess";
    ListUserDevices = "gogochat.v1.AdminService/ListUserDevices";
    SignOutUser = "gogochat.v1.AdminService/SignOutUser";
    CreateInvitation = "gogochat.v1.AdminService/CreateInvitation";
    ListAudit = "gogochat.v1.AdminService/ListAudit";
}

static ORDERED: [&[OrderedMethod]; 2] = [&social::commands::ORDERED, &chat::commands::ORDERED];

static TABLE: LazyLock<HashMap<&'static str, Entry>> = LazyLock::new(|| {
    let unary = UNARY.iter().map(|(name, method)| (*name, Route::Unary(*method)));
    let ordered = ORDERED.iter().copied().flatten().map(|method| (method.name, Route::Ordered(method)));
    unary
        .chain(ordered)
        .filter_map(|(name, route)| Some((name, Entry { name, access: access(name)?, route })))
        .collect()
});

/// The method of this name.
///
/// # Errors
/// `unknown_method`.
pub(crate) fn find(name: &str) -> Result<&'static Entry, v1::Error> {
    TABLE.get(name).ok_or_else(|| {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
        ErrorCode::UnknownMethod.with(format!("there is no method {shown}"))
    })
}

/// The ordered methods, for the worker.
pub(crate) fn ordered() -> HashMap<&'static str, &'static OrderedMethod> {
    ORDERED.iter().copied().flatten().map(|method| (method.name, method)).collect()
}

/// Has a service answer a call. `caller` is there wherever the method is for the signed-in alone.
pub(crate) async fn call(
    services: &Services,
    method: Unary,
    caller: Option<Caller>,
    address: Option<IpAddr>,
    body: Bytes,
) -> Result<Bytes, v1::Error> {
    let Services { account, admin, social, chat, sync, presence } = services;
    let signed_in = || caller.ok_or_else(|| ErrorCode::Unauthenticated.with("no access token"));
    let by = || signed_in().map(|caller| by(caller, address));
    match method {
        Unary::Register => reply(account.register(decode(body)?, address).await),
        Unary::LogIn => reply(account.log_in(decode(body)?, address).await),
        Unary::Refresh => reply(account.refresh(decode(body)?, address).await),
        Unary::LogOut => {
            decode::<v1::LogOutRequest>(body)?;
            reply(account.log_out(signed_in()?).await)
        }
        Unary::GetAccount => {
            decode::<v1::GetAccountRequest>(body)?;
            reply(account.get(signed_in()?).await)
        }
        Unary::UpdateAccount => reply(account.update(signed_in()?, decode(body)?).await),
        Unary::ChangePassword => reply(account.change_password(signed_in()?, decode(body)?, address).await),
        Unary::GetSecondFactor => reply(account.second_factor(signed_in()?).await),
        Unary::BeginSecondFactor => reply(account.begin_second_factor(signed_in()?, decode(body)?).await),
        Unary::ConfirmSecondFactor => reply(account.confirm_second_factor(signed_in()?, decode(body)?, address).await),
        Unary::RemoveSecondFactor => reply(account.remove_second_factor(signed_in()?, decode(body)?, address).await),
        Unary::ListDevices => {
            decode::<v1::ListDevicesRequest>(body)?;
            reply(account.list_devices(signed_in()?).await)
        }
        Unary::RevokeDevice => reply(account.revoke_device(signed_in()?, decode(body)?).await),
        Unary::FindPeople => reply(social.find_people(decode(body)?).await),
        Unary::GetPeople => reply(social.get_people(decode(body)?).await),
        Unary::ListContacts => reply(social.list_contacts(signed_in()?, decode(body)?).await),
        Unary::ListBlocks => reply(social.list_blocks(signed_in()?, decode(body)?).await),
        Unary::GetPresence => reply(presence.get(signed_in()?, decode(body)?).await),
        Unary::ListConversations => reply(chat.list_conversations(signed_in()?, decode(body)?).await),
        Unary::GetConversation => reply(chat.get_conversation(signed_in()?, decode(body)?).await),
        Unary::ListMembers => reply(chat.list_members(signed_in()?, decode(body)?).await),
        Unary::ListInvites => reply(chat.list_invites(signed_in()?, decode(body)?).await),
        Unary::GetInvite => reply(chat.get_invite(signed_in()?, decode(body)?, address).await),
        Unary::ListOpenGroups => reply(chat.list_open_groups(signed_in()?, decode(body)?).await),
        Unary::ListEvents => reply(chat.list_events(signed_in()?, decode(body)?).await),
        Unary::Sync => reply(sync.sync(signed_in()?, decode(body)?).await),
        Unary::ListUsers => reply(admin.list_users(decode(body)?).await),
        Unary::GetUser => reply(admin.get_user(decode(body)?).await),
        Unary::DisableUser => reply(admin.disable(by()?, decode(body)?).await),
        Unary::EnableUser => reply(admin.enable(by()?, decode(body)?).await),
        Unary::SetAdministrator => reply(admin.set_administrator(by()?, decode(body)?).await),
        Unary::ResetAccess => reply(admin.reset_access(by()?, decode(body)?).await),
        Unary::ListUserDevices => reply(admin.list_devices(decode(body)?).await),
        Unary::SignOutUser => reply(admin.sign_out(by()?, decode(body)?).await),
        Unary::CreateInvitation => reply(admin.invite(by()?, decode(body)?).await),
        Unary::ListAudit => reply(admin.list_audit(decode(body)?).await),
    }
}

fn reply(answer: Result<impl Message, v1::Error>) -> Result<Bytes, v1::Error> {
    answer.map(|reply| encode(&reply))
}

#[cfg(test)]
mod tests {
    use gogochat_proto::method;

    use super::*;

    #[test]
    fn every_method_of_the_contract_is_carried_out_the_way_it_travels() {
        for method in method::all() {
            let entry = find(&method.name).unwrap();
            assert_eq!(matches!(entry.route, Route::Ordered(_)), method.ordered, "{}", method.name);
        }
        assert_eq!(TABLE.len(), method::all().count());
        assert_eq!(find("gogochat.v1.ChatService/Nothing").err().unwrap().code, "unknown_method");
    }
}
