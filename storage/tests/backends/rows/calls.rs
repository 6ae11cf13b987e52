//! Each method but commands.

use gogochat_proto::ids::{DeviceId, LogId, UserId};
use gogochat_storage::store::{
    ALL, Act, Administration as _, AuditFilter, By, Contacts as _, Conversations as _, DeviceKey, Devices as _,
    FactorProof, Feed as _, Followers as _, Invitation, Invited, Logs as _, Mark, Marks as _, NewDevice, Place,
    ProfileChange, Range, Rotation, SecondFactors as _, SqlStore, Store as _, User, Users as _,
};
use uuid::Uuid;

use super::{
    fill::{CROWD, DEVICES, FIRST, FRIENDS, GROUPS, device, direct, group, hash, large, long, rows, user},
    meter::Meter,
};
use crate::contract::store::{NOW, by, new_device, tokens};

/// Rows that a change of an account reads and writes.
const FEW: usize = 20;

pub(super) async fn all(store: &SqlStore, meter: &mut Meter) {
    logs(store, meter).await;
    users(store, meter).await;
    devices(store, meter).await;
    second_factors(store, meter).await;
    administration(store, meter).await;
    social(store, meter).await;
    conversations(store, meter).await;
    feed(store, meter).await;
    followers(store, meter).await;
    marks(store, meter).await;
    meter.call("installation", store.installation(), |_| 1).await;
    meter.call("epoch", store.epoch(), |_| 1).await;
    meter.call("renew_epoch", store.renew_epoch(), |_| 1).await;
    meter.call("check", store.check(), |_| 1).await;
    // The last, and it reads nothing.
    let close = async {
        store.close().await;
        Ok(())
    };
    meter.call("close", close, |()| 0).await;
}

async fn logs(store: &SqlStore, meter: &mut Meter) {
    meter.call("last_seq", store.last_seq(long()), |_| 1).await.unwrap();
    let many: Vec<_> = (0..1_000).map(|n| user(n).into()).collect();
    assert_eq!(meter.call("last_seqs", store.last_seqs(&many), |_| 1_000).await.len(), 1_000);
    let half = rows() as i64 / 2;
    for range in [
        Range::After(0),
        Range::After(half),
        Range::Before { before: i64::MAX, at_least: 1 },
        Range::Before { before: half, at_least: 1 },
    ] {
        let events = store.events(long(), range, 150, usize::MAX);
        assert_eq!(meter.call("events", events, |_| 150).await.len(), 150);
    }
}

fn new_user(name: &str) -> (User, NewDevice) {
    let user = User::new(UserId::new_v7(), name.into(), "Name 0".into(), "hash".into(), NOW);
    let device = new_device(user.id);
    (user, device)
}

async fn users(store: &SqlStore, meter: &mut Meter) {
    let (new, first) = new_user("new");
    assert!(meter.call("create_user", store.create_user(new.clone(), first), |_| FEW).await);
    meter.call("user_by_name", store.user_by_name("user00000500"), |_| 1).await.unwrap();
    let many: Vec<_> = (0..1_000).map(user).collect();
    assert_eq!(meter.call("users", store.users(&many), |_| 1_000).await.len(), 1_000);
    assert_eq!(meter.call("find_users", store.find_users("user", 20), |_| 20).await.len(), 20);
    let found = store.find_users_by_display_name("name", 20);
    assert_eq!(meter.call("find_users_by_display_name", found, |_| 60).await.len(), 20);
    let change = ProfileChange { display_name: Some("Another Name".into()), ..ProfileChange::default() };
    meter.call("change_profile", store.change_profile(new.id, change), |_| FEW).await.unwrap();
    let by = by(user(700));
    let changed = store.change_password(user(700), "hash", "new", device(0), &by);
    meter.call("change_password", changed, |_| FEW).await.unwrap();
}

async fn devices(store: &SqlStore, meter: &mut Meter) {
    let new = new_device(user(0));
    assert!(meter.call("create_device", store.create_device(new, "hash"), |_| FEW).await);
    meter.call("device_by_access", store.device_by_access(&hash(10, 500)), |_| 1).await.unwrap();
    meter.call("device", store.device(device(500)), |_| 1).await.unwrap();
    for key in [DeviceKey::Id(device(3)), DeviceKey::Access(hash(10, 3)), DeviceKey::Both(device(3), hash(10, 3))] {
        let arrival = meter.call("arrival", store.arrival(key), |_| 3 * (FRIENDS + GROUPS)).await.unwrap();
        assert!(arrival.memberships.len() >= FRIENDS + GROUPS);
    }
    for refresh in [hash(11, 500), hash(12, 3_001), [0; 32]] {
        meter.call("knows_refresh", store.knows_refresh(&refresh), |_| 2).await;
    }
    for refresh in [hash(11, 0), hash(11, 0), hash(11, 501), hash(12, 3_000), [0; 32]] {
        let rotated = store.rotate_tokens(&refresh, tokens(), NOW, 1_000);
        let rotated: Rotation = meter.call("rotate_tokens", rotated, |_| 2 * FEW).await;
        assert_eq!(rotated == Rotation::Unknown, refresh == [0; 32]);
    }
    let listed = meter.call("devices", store.devices(user(0)), |_| DEVICES).await;
    assert!(listed.len() >= DEVICES);
    assert!(meter.call("revoke_device", store.revoke_device(user(0), device(5), NOW), |_| 100 + FEW).await);
    let page = store.sign_outs(rows() as i64 / 2, 100);
    assert_eq!(meter.call("sign_outs", page, |_| 100).await.len(), 100);
    meter.call("last_sign_out", store.last_sign_out(), |_| 1).await;
    let seen: Vec<DeviceId> = (600..1_600).map(device).collect();
    meter.call("touch_devices", store.touch_devices(&seen, NOW + 1), |_| 1_000).await;
}

async fn second_factors(store: &SqlStore, meter: &mut Meter) {
    for n in 900..1_000 {
        store.begin_second_factor(user(n), [1; 20]).await.unwrap();
        let codes: Vec<_> = (0..10).map(|code| hash(13, 10 * n + code)).collect();
        assert!(store.turn_second_factor_on(user(n), [1; 20], 1, &codes, &by(user(n))).await.unwrap());
    }
    let (whose, by) = (user(899), by(user(899)));
    assert!(meter.call("begin_second_factor", store.begin_second_factor(whose, [1; 20]), |_| FEW).await);
    let codes = [hash(13, 1), hash(13, 2)];
    let on = store.turn_second_factor_on(whose, [1; 20], 1, &codes, &by);
    assert!(meter.call("turn_second_factor_on", on, |_| FEW).await);
    meter.call("second_factor", store.second_factor(whose), |_| 1).await.unwrap();
    assert_eq!(meter.call("recovery_codes_left", store.recovery_codes_left(whose), |_| 2).await, 2);
    for proof in [FactorProof::Step(2), FactorProof::RecoveryCode(codes[0])] {
        assert!(meter.call("use_second_factor", store.use_second_factor(whose, proof), |_| FEW).await);
    }
    assert!(meter.call("remove_second_factor", store.remove_second_factor(whose, &by), |_| FEW).await);
}

async fn administration(store: &SqlStore, meter: &mut Meter) {
    let by = by(user(0));
    let command_line = By { actor: None, ..by.clone() };
    assert!(store.set_administrator(user(0), true, &command_line).await.unwrap());
    let listed = store.list_users("user", "user00000500", 50);
    assert_eq!(meter.call("list_users", listed, |_| 50).await.len(), 50);
    let (alone, _) = new_user("alone");
    assert!(meter.call("create_user_alone", store.create_user_alone(alone, &by), |_| FEW).await);
    let made = store.set_administrator(user(800), true, &by);
    assert!(meter.call("set_administrator", made, |_| FEW).await);
    let disabled = store.set_disabled(user(801), true, "", &by);
    meter.call("set_disabled", disabled, |_| 100 + FEW).await.unwrap();
    let reset = store.reset_access(user(802), "once", NOW + 10, &by);
    meter.call("reset_access", reset, |_| 100 + FEW).await.unwrap();
    let redeemed = store.redeem_one_time_password(new_device(user(802)), "once", "own");
    assert!(meter.call("redeem_one_time_password", redeemed, |_| FEW).await);
    let out = store.sign_out_user(user(803), None, &by);
    assert_eq!(meter.call("sign_out_user", out, |_| 100 + FEW).await.len(), 1);
    let code = [77; 32];
    let invitation = Invitation { code, until_ms: NOW + 10, uses: 1 };
    meter.call("create_invitation", store.create_invitation(invitation, &by), |_| FEW).await;
    assert!(meter.call("knows_invitation", store.knows_invitation(&code, NOW), |_| 1).await);
    let (invited, first) = new_user("invited");
    let invited = store.create_invited_user(invited, first, &code);
    assert_eq!(meter.call("create_invited_user", invited, |_| FEW).await, Invited::Created);
    for (of, act) in
        [(None, None), (Some(user(0)), None), (None, Some(Act::Disabled)), (Some(user(0)), Some(Act::Invited))]
    {
        let page = store.audit(AuditFilter { user: of, act }, None, 50);
        meter.call("audit", page, |_| 102).await;
    }
}

async fn social(store: &SqlStore, meter: &mut Meter) {
    for after in [None, Some(user(150))] {
        let page = store.contacts(user(0), after, 100);
        assert_eq!(meter.call("contacts", page, |_| 200).await.len(), 100);
    }
    meter.call("blocks", store.blocks(user(0), None, 100), |_| 100).await;
    let others: Vec<_> = (1..500).map(user).collect();
    meter.call("accepted_contacts", store.accepted_contacts(user(0), &others), |_| 500).await;
}

async fn conversations(store: &SqlStore, meter: &mut Meter) {
    let of_first = FRIENDS + GROUPS;
    meter.call("memberships", store.memberships(user(0)), |_| 2 * of_first).await;
    let named: Vec<_> = (1..=100).map(direct).chain((0..GROUPS).map(group)).chain([long(), large()]).collect();
    // Marks: of each conversation all members, of whom there are three at most here, and never more than 200.
    let marks = 3 * named.len() as u64;
    for user in [user(0), user(1)] {
        let shown = store.conversations(user, &named);
        meter.call_with("conversations", None, marks, shown, |found| 8 * found.len()).await;
    }
    let mut walk = None;
    for since in [ALL, FIRST + 200, FIRST + rows() as i64] {
        for _ in 0..3 {
            let walked = store.walk(user(0), since, walk, 100);
            let walked = meter.call_with("walk", None, 300, walked, |found| 8 * found.conversations.len()).await;
            walk = walked.conversations.last().map(|(_, walk)| *walk);
        }
        walk = None;
    }
    for after in [None, Some((NOW, user(2_500)))] {
        let page = store.members(large(), after, 100);
        assert_eq!(meter.call("members", page, |_| 200).await.len(), 100);
    }
    assert_eq!(meter.call("admins", store.admins(group(2), None, 100), |_| 3).await.len(), 1);
    meter.call("admins", store.admins(large(), None, 100), |_| 3).await;
    meter.call("notice", store.notice(large()), |_| 1).await;
    // It reads each that it is asked about, and gives the closed ones.
    meter.call_with("closed", None, 2 * named.len() as u64, store.closed(&named), |_| named.len()).await;
    meter.call("invites", store.invites(large(), NOW), |_| 1).await;
    assert_eq!(meter.call("invite", store.invite(Uuid::nil(), NOW), |_| 2).await, None);
    meter.call("open_groups", store.open_groups(None, 100), |_| 100).await;
    meter.call("member", store.member(large(), user(CROWD - 1)), |_| 3).await.unwrap();
}

async fn followers(store: &SqlStore, meter: &mut Meter) {
    let owner = Uuid::now_v7();
    meter.call("follow", store.follow("rows", 0, owner), |_| FEW).await;
    let place = Place { position: FIRST + 10, walked: None };
    assert_eq!(meter.call("note", store.note("rows", owner, &[(0, place)]), |_| FEW).await, [true]);
    let page = store.logs(LogId::from(Uuid::nil()), 100);
    assert_eq!(meter.call("logs", page, |_| 100).await.len(), 100);
    // It reads a row an event of the part.
    meter.call("check_counters", store.check_counters(long(), 1, 500), |_| 600).await;
}

async fn marks(store: &SqlStore, meter: &mut Meter) {
    let marks: Vec<_> = (1..=100).map(|n| Mark { log: direct(n), user: user(0), delivered: 1, read: 1 }).collect();
    meter.call("mark", store.mark(&marks), |_| 8 * 100).await;
    let logs: Vec<_> = (1..=100).map(direct).collect();
    // It reads a row a member, of whom there are three at most here.
    meter.call("lowest_marks", store.lowest_marks(&logs), |_| 3 * 100).await;
}

async fn feed(store: &SqlStore, meter: &mut Meter) {
    meter.call("last_position", store.last_position(), |_| 1).await;
    meter.call("raise_floor", store.raise_floor(NOW, 1), |_| FEW).await;
    let page = store.commits(FIRST + rows() as i64 / 2, 100);
    assert_eq!(meter.call("commits", page, |_| 100).await.len(), 100);
    meter.call("trim_feed", store.trim_feed(FIRST + 1_000, i64::MAX / 2), |_| 1_000).await;
}
