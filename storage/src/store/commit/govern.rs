//! Groups: what owners and admins change.

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_INVITES,
};
use uuid::Uuid;

use super::{
    group::{group_of_member, live_group_of_member},
    payload,
    state::{Entry, State},
};
use crate::store::{Committed, Done, GroupAct, GroupChange, GroupInvite, Millis, Origin, Outcome, Refusal, Role};

/// Carries an act out, once under its name.
pub(super) fn act(state: &mut State, log: LogId, origin: &Origin, act: GroupAct) -> Outcome {
    if let Some(sent) = state.sent_before(log, origin)? {
        let done = match (sent.target, &act) {
            (Some(code), GroupAct::Invite { until_ms, .. }) => Done::Invited { code: code.uuid(), until_ms: *until_ms },
            _ => Done::Nothing,
        };
        return Ok(Committed { done, ..Default::default() });
    }
    if let GroupAct::Invite { code, until_ms, uses } = act {
        let done = invite(state, log, origin, code, until_ms, uses)?;
        // A code is as large as an id, and kept as one.
        state.remember(log, origin, 0, 0, Some(code.into()));
        return Ok(Committed { done, ..Default::default() });
    }
    let payload = match act {
        GroupAct::Change(change) => change_group(state, log, origin.sender, change)?,
        GroupAct::SetRole { user, role } => set_role(state, log, origin.sender, user, role)?,
        GroupAct::Mute { user, until_ms } => mute(state, log, origin, user, until_ms)?,
        GroupAct::Revoke { code } => revoke(state, log, origin.sender, code)?,
        GroupAct::Invite { .. } => None,
        GroupAct::Dismiss => dismiss(state, log, origin.sender)?,
    };
    let event = payload.and_then(|payload| state.append(log, Entry::sent(origin, payload)));
    state.remember(log, origin, event.as_ref().map_or(0, |event| event.seq), 0, None);
    Ok(Committed { events: event.into_iter().collect(), ..Default::default() })
}

/// The role of somebody who rules in a group: an admin at least.
pub(super) fn ruler(state: &State, log: LogId, user: UserId) -> Result<Role, Refusal> {
    live_group_of_member(state, log, user)?;
    let role = state.member(log, user).map_or(Role::Member, |member| member.role);
    if role >= Role::Admin { Ok(role) } else { Err(Refusal::NotPermitted) }
}

/// What is said of a change; `None`: nothing is to be changed.
type Said = Result<Option<bytes::Bytes>, Refusal>;

fn change_group(state: &mut State, log: LogId, sender: UserId, change: GroupChange) -> Said {
    ruler(state, log, sender)?;
    if change == GroupChange::default() {
        return Ok(None);
    }
    if let Some(row) = state.change_log(log) {
        row.settings_changed = true;
        if change.title.is_some() {
            row.title.clone_from(&change.title);
        }
        let settings = &mut row.settings;
        settings.history = change.history.unwrap_or(settings.history);
        settings.posting = change.posting.unwrap_or(settings.posting);
        settings.slow_ms = change.slow_ms.unwrap_or(settings.slow_ms);
        settings.joining = change.joining.unwrap_or(settings.joining);
    }
    if let Some(notice) = &change.notice {
        state.notices.insert(log, notice.clone());
    }
    Ok(Some(payload::group_changed(change)))
}

fn set_role(state: &mut State, log: LogId, sender: UserId, user: UserId, role: Role) -> Said {
    if ruler(state, log, sender)? != Role::Owner {
        return Err(Refusal::NotPermitted);
    }
    let before = state.member(log, user).ok_or(Refusal::NotFound)?.role;
    if before == role {
        return Ok(None);
    }
    // An owner is followed, and does not go before.
    if user == sender {
        return Err(Refusal::NotPermitted);
    }
    if role == Role::Owner
        && let Some(owner) = state.change_standing(log, sender)
    {
        owner.role = Role::Admin;
    }
    if let Some(member) = state.change_standing(log, user) {
        member.role = role;
    }
    Ok(Some(payload::role_changed(user, role)))
}

fn mute(state: &mut State, log: LogId, origin: &Origin, user: UserId, until_ms: Millis) -> Said {
    let role = ruler(state, log, origin.sender)?;
    let member = state.member(log, user).ok_or(Refusal::NotFound)?;
    if member.role >= role {
        return Err(Refusal::NotPermitted);
    }
    if until_ms == 0 && member.muted_ms <= origin.now {
        return Ok(None);
    }
    if let Some(member) = state.change_standing(log, user) {
        member.muted_ms = until_ms;
    }
    Ok(Some(payload::member_muted(user, until_ms)))
}

fn invite(
    state: &mut State,
    log: LogId,
    origin: &Origin,
    code: Uuid,
    until_ms: Millis,
    uses: Option<u32>,
) -> Result<Done, Refusal> {
    ruler(state, log, origin.sender)?;
    let mut good = 0;
    for cell in state.invites.values_mut() {
        match &cell.now {
            // The lapsed ones are of no use to anybody.
            Some(invite) if invite.log == log && invite.until_ms <= origin.now => cell.set(None),
            Some(invite) if invite.log == log => good += 1,
            _ => {}
        }
    }
    if good >= MAX_INVITES {
        return Err(Refusal::TooManyInvites);
    }
    let invite = GroupInvite { code, log, creator: origin.sender, until_ms, uses_left: uses };
    state.invites.entry(code).or_default().set(Some(invite));
    Ok(Done::Invited { code, until_ms })
}

fn revoke(state: &mut State, log: LogId, sender: UserId, code: Uuid) -> Said {
    ruler(state, log, sender)?;
    if let Some(cell) = state.invites.get_mut(&code)
        && cell.now.as_ref().is_some_and(|invite| invite.log == log)
    {
        cell.set(None);
    }
    Ok(None)
}

fn dismiss(state: &mut State, log: LogId, sender: UserId) -> Said {
    let live = group_of_member(state, log, sender)?.writable;
    if state.member(log, sender).is_none_or(|member| member.role != Role::Owner) {
        return Err(Refusal::NotPermitted);
    }
    if !live {
        return Ok(None);
    }
    if let Some(row) = state.change_log(log) {
        row.writable = false;
    }
    Ok(Some(payload::group_dismissed()))
}
