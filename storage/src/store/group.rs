//! How groups are, and what their owners and admins do with them.

use gogochat_proto::ids::{LogId, UserId};
use uuid::Uuid;

use super::Millis;

/// What a member may do in a group: the greater may what the lesser may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Role {
    /// Reads, writes, adds contacts, leaves.
    #[default]
    Member,
    /// Also changes how the group is, and removes and mutes members.
    Admin,
    /// Also removes and mutes admins, gives roles, and ends the group. There is one.
    Owner,
}

/// What new members may read of what was said before they joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum History {
    /// Nothing.
    #[default]
    FromJoin,
    /// Everything.
    All,
}

/// Who may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Posting {
    /// All members.
    #[default]
    Members,
    /// The owner and admins.
    Admins,
}

/// How one comes in, beside being added by a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Joining {
    /// By an invite.
    #[default]
    Invite,
    /// Also by oneself: the group is listed.
    Open,
}

/// An invite to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupInvite {
    /// The code.
    pub code: Uuid,
    /// The group.
    pub log: LogId,
    /// Who made it.
    pub creator: UserId,
    /// Until when it is good.
    pub until_ms: Millis,
    /// How many may join by it still; `None`: as many as like.
    pub uses_left: Option<u32>,
}

/// A group, as somebody sees it who may join it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenGroup {
    /// The group.
    pub log: LogId,
    /// Its title.
    pub title: String,
    /// How many members.
    pub member_count: u32,
}

/// How somebody joins a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinBy {
    /// By an invite's code.
    Invite(Uuid),
    /// By themselves: an open group.
    Oneself(LogId),
}

/// How a group is, beside its title and its notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// What new members may read.
    pub history: History,
    /// Who may write.
    pub posting: Posting,
    /// The least time between two messages of a member who is no more than that; 0: none.
    pub slow_ms: Millis,
    /// How one comes in.
    pub joining: Joining,
}

/// A change of a group: what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupChange {
    /// The title, valid.
    pub title: Option<String>,
    /// The notice, valid; empty: none.
    pub notice: Option<String>,
    /// See [`Settings::history`].
    pub history: Option<History>,
    /// See [`Settings::posting`].
    pub posting: Option<Posting>,
    /// See [`Settings::slow_ms`].
    pub slow_ms: Option<Millis>,
    /// See [`Settings::joining`].
    pub joining: Option<Joining>,
}

/// What an owner or an admin does. All but [`GroupAct::Change`] name the state in which they end: where it
/// is that already, nothing happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupAct {
    /// Changes how the group is: GroupChanged. For admins.
    Change(GroupChange),
    /// Gives a member a role: RoleChanged. For the owner; [`Role::Owner`] makes the sender an admin.
    SetRole {
        /// Whom.
        user: UserId,
        /// Which.
        role: Role,
    },
    /// Forbids a member to write until then, or permits it again (0): MemberMuted. For those above them.
    Mute {
        /// Whom.
        user: UserId,
        /// Until when.
        until_ms: Millis,
    },
    /// Makes an invite; there is no event of it. For admins.
    Invite {
        /// The code, if this is no repeat.
        code: Uuid,
        /// Until when it is good.
        until_ms: Millis,
        /// How many may join by it; `None`: as many as like.
        uses: Option<u32>,
    },
    /// Ends an invite; there is no event of it. For admins.
    Revoke {
        /// The code.
        code: Uuid,
    },
    /// Ends the group, which takes nothing any more but that members leave it: GroupDismissed. For the owner.
    Dismiss,
}

impl GroupAct {
    /// The member that it is about, if it is about one.
    pub(super) fn user(&self) -> Option<UserId> {
        match self {
            Self::SetRole { user, .. } | Self::Mute { user, .. } => Some(*user),
            Self::Change(_) | Self::Invite { .. } | Self::Revoke { .. } | Self::Dismiss => None,
        }
    }
}

/// Both directions between an enum and its numbers in a column, which are its places. A number that a later
/// program has written is taken for the default.
macro_rules! numbered {
    ($($name:ident [$($value:ident),*];)*) => {$(
        impl $name {
            pub(super) fn number(self) -> i16 {
                self as i16
            }

            pub(super) fn numbered(number: i16) -> Self {
                [$(Self::$value),*].into_iter().find(|one| one.number() == number).unwrap_or_default()
            }
        }
    )*};
}

numbered! {
    Role [Member, Admin, Owner];
    History [FromJoin, All];
    Posting [Members, Admins];
    Joining [Invite, Open];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for role in [Role::Member, Role::Admin, Role::Owner] {
            assert_eq!(Role::numbered(role.number()), role);
        }
        assert_eq!(
            (Role::numbered(9), History::numbered(1), Posting::numbered(-1)),
            (Role::Member, History::All, Posting::Members)
        );
    }
}
