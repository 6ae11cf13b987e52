//! Administrators, what they do, and what becomes of those whom it concerns.

use gogochat_core::Registration;
use gogochat_proto::{close::CloseCode, node::core_item::Item, v1};

use crate::support::{Answer, Edge, Node, PASSWORD, User, code, config, field};

async fn admin<R: prost::Message + Default>(
    node: &Node,
    by: &User,
    method: &str,
    request: &impl prost::Message,
) -> Answer<R> {
    node.call(&format!("AdminService/{method}"), Some(&by.token), request).await
}

fn log_in(name: &str, password: &str) -> v1::LogInRequest {
    v1::LogInRequest { name: name.into(), password: password.into(), ..Default::default() }
}

async fn enter(node: &Node, request: v1::LogInRequest) -> Answer<v1::Session> {
    node.call("AccountService/LogIn", None, &request).await
}

async fn acts(node: &Node, by: &User, user: &User) -> Vec<v1::Act> {
    let request = v1::ListAuditRequest { user_id: user.id.to_string(), ..Default::default() };
    let log: v1::ListAuditResponse = admin(node, by, "ListAudit", &request).await.unwrap();
    log.entries.iter().rev().map(|entry| entry.act()).collect()
}

#[tokio::test]
async fn who_is_disabled_is_out_at_once_and_comes_back_when_enabled() {
    let node = Node::start().await;
    let boss = node.administrator("boss").await;
    let alice = node.register("alice").await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let disable = v1::DisableUserRequest { user_id: alice.id.to_string(), reason: " spam ".into() };
    let disabled: v1::User = admin(&node, &boss, "DisableUser", &disable).await.unwrap();
    assert!(disabled.disabled_since_ms > 0 && disabled.administrator_since_ms == 0);
    let revoke = edge.next("revoke", |item| match item {
        Item::Revoke(revoke) => Some(revoke.clone()),
        _ => None,
    });
    let revoke = revoke.await;
    assert_eq!(revoke.device_id, alice.device.to_bytes());
    assert_eq!(revoke.close_code, u32::from(CloseCode::SignedOut.code()));
    assert_eq!(code(edge.say(session, alice.own(), "x").await), "token_invalid");
    let refresh = v1::RefreshRequest { refresh_token: alice.refresh.clone() };
    assert_eq!(code(node.call::<v1::Session>("AccountService/Refresh", None, &refresh).await), "token_invalid");
    // The right password is told of it; a wrong one learns nothing. The name stays taken.
    assert_eq!(code(node.log_in("alice").await), "account_disabled");
    assert_eq!(code(enter(&node, log_in("alice", "wrong horse")).await), "wrong_credentials");
    let again = v1::RegisterRequest { name: "alice".into(), password: PASSWORD.into(), ..Default::default() };
    assert_eq!(code(node.call::<v1::Session>("AccountService/Register", None, &again).await), "name_taken");
    let find = v1::FindPeopleRequest { query: "alice".into(), limit: 0 };
    let found: v1::FindPeopleResponse = node.call("SocialService/FindPeople", Some(&boss.token), &find).await.unwrap();
    assert!(found.people.is_empty());

    let enable = v1::EnableUserRequest { user_id: alice.id.to_string() };
    let enabled: v1::User = admin(&node, &boss, "EnableUser", &enable).await.unwrap();
    assert_eq!(enabled.disabled_since_ms, 0);
    node.log_in("alice").await.unwrap();
    assert_eq!(
        acts(&node, &boss, &alice).await,
        [v1::Act::Registered, v1::Act::Disabled, v1::Act::Enabled, v1::Act::LoggedIn]
    );
}

#[tokio::test]
async fn a_one_time_password_has_to_be_replaced() {
    let node = Node::start().await;
    let boss = node.administrator("boss").await;
    let alice = node.register("alice").await;
    let reset = v1::ResetAccessRequest { user_id: alice.id.to_string() };
    let given: v1::ResetAccessResponse = admin(&node, &boss, "ResetAccess", &reset).await.unwrap();
    assert_eq!(
        code(
            node.call::<v1::Account>("AccountService/GetAccount", Some(&alice.token), &v1::GetAccountRequest {}).await
        ),
        "token_invalid"
    );
    assert_eq!(code(node.log_in("alice").await), "wrong_credentials");
    let with = |new: &str| v1::LogInRequest { new_password: new.into(), ..log_in("alice", &given.one_time_password) };
    assert_eq!(code(enter(&node, with("")).await), "password_change_required");
    assert_eq!(field(enter(&node, with("password1")).await), "newPassword");
    assert_eq!(field(enter(&node, with(&given.one_time_password)).await), "newPassword");
    let session = enter(&node, with("battery staple")).await.unwrap();
    assert!(!session.administrator);
    // Once.
    assert_eq!(code(enter(&node, with("horse battery")).await), "wrong_credentials");
    enter(&node, log_in("alice", "battery staple")).await.unwrap();
    assert_eq!(
        acts(&node, &boss, &alice).await,
        [v1::Act::Registered, v1::Act::AccessReset, v1::Act::PasswordChanged, v1::Act::LoggedIn, v1::Act::LoggedIn]
    );
}

#[tokio::test]
async fn rights_are_given_and_taken_and_hold_at_once() {
    let node = Node::start().await;
    let boss = node.administrator("boss").await;
    let alice = node.register("alice").await;
    let list = v1::ListUsersRequest { query: "@ali".into(), ..Default::default() };
    assert_eq!(code(admin::<v1::ListUsersResponse>(&node, &alice, "ListUsers", &list).await), "permission_denied");
    let make = |on| v1::SetAdministratorRequest { user_id: alice.id.to_string(), administrator: on };
    let _: v1::User = admin(&node, &boss, "SetAdministrator", &make(true)).await.unwrap();
    let listed: v1::ListUsersResponse = admin(&node, &alice, "ListUsers", &list).await.unwrap();
    assert_eq!(listed.users.len(), 1);
    assert!(listed.users[0].administrator_since_ms > 0);
    assert!(enter(&node, log_in("alice", PASSWORD)).await.unwrap().administrator);
    let _: v1::User = admin(&node, &boss, "SetAdministrator", &make(false)).await.unwrap();
    assert_eq!(code(admin::<v1::ListUsersResponse>(&node, &alice, "ListUsers", &list).await), "permission_denied");
    // Nobody locks themselves out.
    for (method, request) in [("DisableUser", boss.id), ("ResetAccess", boss.id)] {
        let request = v1::GetUserRequest { user_id: request.to_string() };
        assert_eq!(code(admin::<v1::User>(&node, &boss, method, &request).await), "yourself");
    }
    let nobody = v1::GetUserRequest { user_id: crate::support::new_id() };
    for method in ["GetUser", "DisableUser", "EnableUser", "ResetAccess", "ListUserDevices", "SignOutUser"] {
        assert_eq!(code(admin::<v1::User>(&node, &boss, method, &nobody).await), "not_found", "{method}");
    }
}

#[tokio::test]
async fn users_are_listed_in_pages_and_devices_are_ended() {
    let node = Node::start().await;
    let boss = node.administrator("boss").await;
    for name in ["ann", "anna", "annex"] {
        node.register(name).await;
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListUsersRequest { query: "ann".into(), limit: 2, page_token };
        let page: v1::ListUsersResponse = admin(&node, &boss, "ListUsers", &request).await.unwrap();
        names.extend(page.users.into_iter().map(|user| user.person.unwrap().name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["ann", "anna", "annex"]);
    let wrong = v1::ListUsersRequest { page_token: "!".into(), ..Default::default() };
    assert_eq!(field(admin::<v1::ListUsersResponse>(&node, &boss, "ListUsers", &wrong).await), "pageToken");

    let ann = node.log_in("ann").await.unwrap();
    let of = v1::ListUserDevicesRequest { user_id: ann.id.to_string() };
    let devices: v1::ListDevicesResponse = admin(&node, &boss, "ListUserDevices", &of).await.unwrap();
    assert_eq!(devices.devices.len(), 2);
    assert!(devices.devices.iter().all(|device| device.address == "192.0.2.1" && !device.current));
    let one = v1::SignOutUserRequest { user_id: ann.id.to_string(), device_id: ann.device.to_string() };
    let out: v1::SignOutUserResponse = admin(&node, &boss, "SignOutUser", &one).await.unwrap();
    assert_eq!(out.devices_signed_out, 1);
    let all = v1::SignOutUserRequest { device_id: String::new(), ..one };
    let out: v1::SignOutUserResponse = admin(&node, &boss, "SignOutUser", &all).await.unwrap();
    assert_eq!(out.devices_signed_out, 1);
}

#[tokio::test]
async fn registration_is_open_by_invitation_or_closed() {
    let register = |name: &str, invitation: &str| v1::RegisterRequest {
        name: name.into(),
        password: PASSWORD.into(),
        invitation: invitation.into(),
        ..Default::default()
    };
    let closed = Node::with(gogochat_core::CoreConfig { registration: Registration::Closed, ..config() }, |s| s).await;
    let answer: Answer<v1::Session> = closed.call("AccountService/Register", None, &register("alice", "")).await;
    assert_eq!(code(answer), "registration_closed");

    let node =
        Node::with(gogochat_core::CoreConfig { registration: Registration::Invitation, ..config() }, |s| s).await;
    let answer = async |name: &str, code: &str| -> Answer<v1::Session> {
        node.call("AccountService/Register", None, &register(name, code)).await
    };
    let unknown = format!("ggi_{}", "A".repeat(43));
    for wrong in ["", "x", unknown.as_str()] {
        assert_eq!(code(answer("alice", wrong).await), "invitation_invalid", "{wrong}");
    }
    // The first administrator is made beside the server.
    let invitation = {
        use sha2::Digest as _;
        let by = gogochat_storage::store::By { actor: None, address: String::new(), now: 1 };
        let code = sha2::Sha256::digest(unknown.as_bytes()).into();
        let kept = gogochat_storage::store::Invitation { code, until_ms: i64::MAX, uses: 1 };
        node.store.create_invitation(kept, &by).await.unwrap();
        unknown.clone()
    };
    let boss = User::of(answer("boss", &invitation).await.unwrap());
    assert_eq!(code(answer("alice", &invitation).await), "invitation_invalid");
    let by = gogochat_storage::store::By { actor: None, address: String::new(), now: 1 };
    node.store.set_administrator(boss.id, true, &by).await.unwrap();
    let two = v1::CreateInvitationRequest { uses: 2, expires_in_ms: 60_000 };
    let made: v1::CreateInvitationResponse = admin(&node, &boss, "CreateInvitation", &two).await.unwrap();
    assert!(made.code.starts_with("ggi_"));
    answer("alice", &made.code).await.unwrap();
    assert_eq!(code(answer("alice", &made.code).await), "name_taken");
    answer("bob", &made.code).await.unwrap();
    assert_eq!(code(answer("carol", &made.code).await), "invitation_invalid");
    let long = v1::CreateInvitationRequest { uses: 1, expires_in_ms: 31 * 24 * 3_600_000 };
    let refused: Answer<v1::CreateInvitationResponse> = admin(&node, &boss, "CreateInvitation", &long).await;
    assert_eq!(field(refused), "expiresInMs");
}

#[tokio::test]
async fn the_audit_log_names_who_did_what_to_whom_from_where() {
    let node = Node::start().await;
    let boss = node.administrator("boss").await;
    let alice = node.register("alice").await;
    let disable = v1::DisableUserRequest { user_id: alice.id.to_string(), reason: "spam".into() };
    let _: v1::User = admin(&node, &boss, "DisableUser", &disable).await.unwrap();
    let request = v1::ListAuditRequest { act: v1::Act::Disabled.into(), ..Default::default() };
    let log: v1::ListAuditResponse = admin(&node, &boss, "ListAudit", &request).await.unwrap();
    let [entry] = log.entries.as_slice() else { panic!("{log:?}") };
    let names = [&entry.actor, &entry.subject].map(|person| person.as_ref().unwrap().name.clone());
    assert_eq!(
        (names, entry.address.as_str(), entry.detail.as_str()),
        (["boss".into(), "alice".into()], "192.0.2.1", "spam")
    );
    // The command line has no name.
    let request = v1::ListAuditRequest { act: v1::Act::AdministratorMade.into(), ..Default::default() };
    let log: v1::ListAuditResponse = admin(&node, &boss, "ListAudit", &request).await.unwrap();
    assert!(log.entries[0].actor.is_none() && log.entries[0].address.is_empty());

    let (mut seen, mut page_token) = (0, String::new());
    loop {
        let request = v1::ListAuditRequest { limit: 1, page_token, ..Default::default() };
        let page: v1::ListAuditResponse = admin(&node, &boss, "ListAudit", &request).await.unwrap();
        seen += page.entries.len();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 4);
    let wrong = v1::ListAuditRequest { act: 99, ..Default::default() };
    assert_eq!(field(admin::<v1::ListAuditResponse>(&node, &boss, "ListAudit", &wrong).await), "act");
}

#[tokio::test]
async fn passwords_that_everybody_tries_are_refused() {
    let node = Node::start().await;
    for (name, common) in [("bob", "password1"), ("bob", "Qwertyuiop"), ("alexandra", "Alexandra"), ("bob", "11111111")]
    {
        let request = v1::RegisterRequest { name: name.into(), password: common.into(), ..Default::default() };
        let answer: Answer<v1::Session> = node.call("AccountService/Register", None, &request).await;
        assert_eq!(field(answer), "password", "{common}");
    }
    let bob = node.register("bob").await;
    let change = v1::ChangePasswordRequest { current_password: PASSWORD.into(), new_password: "iloveyou1".into() };
    let answer: Answer<v1::ChangePasswordResponse> =
        node.call("AccountService/ChangePassword", Some(&bob.token), &change).await;
    assert_eq!(field(answer), "newPassword");
}
