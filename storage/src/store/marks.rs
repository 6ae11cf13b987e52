//! Marks: how far members have got. They are state that only grows, and no events: so they need no place
//! in their log's order, and are moved beside its commits, many members' at once.

use async_trait::async_trait;
use gogochat_proto::ids::{LogId, UserId};

use super::{Outcome, StoreError};

/// Marks, to be moved and looked at.
#[async_trait]
pub trait Marks: Send + Sync + 'static {
    /// Moves marks up, never down, in one durable transaction; outcome `i` belongs to mark `i`. It waits
    /// for no commit of a log and holds up none but by the rows of the very members. `None`: at this
    /// moment somebody else holds a row that this mark needs; it is to come again.
    ///
    /// # Errors
    /// Nothing was moved, or (only with [`StoreError::Unavailable`]) it is unknown: repeat it.
    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Option<Outcome>>, StoreError>;

    /// The lowest marks of the members of conversations, in no order; those past `MAX_MEMBERS_WITH_MARKS`
    /// are left out. It reads a row a member.
    async fn lowest_marks(&self, logs: &[LogId]) -> Result<Vec<LowestMarks>, StoreError>;
}

/// A member's marks, to be moved up. Past `MAX_MEMBERS_WITH_MARKS` members only read marks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The conversation.
    pub log: LogId,
    /// Whose marks.
    pub user: UserId,
    /// Everything up to here is on a device.
    pub delivered: i64,
    /// Everything up to here was seen; implies delivered.
    pub read: i64,
}

/// The lowest marks of a conversation's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowestMarks {
    /// The conversation.
    pub log: LogId,
    /// Delivered marks.
    pub delivered: Lowest,
    /// Read marks.
    pub read: Lowest,
}

/// The lowest of some members' marks, so that for each of them the lowest of the others is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lowest {
    /// The lowest of all.
    pub seq: i64,
    /// Whose it is; of several with the same, any.
    pub holder: Option<UserId>,
    /// The lowest of all but the holder; `None`: there is nobody else.
    pub next: Option<i64>,
}

impl Lowest {
    /// Takes a member's mark into account.
    pub(super) fn add(&mut self, user: UserId, seq: i64) {
        if self.holder.is_none() || seq < self.seq {
            let before = self.holder.map(|_| self.seq);
            *self = Self { seq, holder: Some(user), next: before };
        } else {
            self.next = Some(self.next.map_or(seq, |next| next.min(seq)));
        }
    }

    /// The lowest among those who are not `user`; 0 where there is nobody else.
    #[must_use]
    pub fn of_others(&self, user: UserId) -> i64 {
        if self.holder == Some(user) { self.next.unwrap_or(0) } else { self.seq }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_sees_the_lowest_of_the_others(marks in prop::collection::vec(0_i64..6, 1..8)) {
            let members: Vec<_> = marks.iter().map(|seq| (UserId::new_v7(), *seq)).collect();
            let mut lowest = Lowest::default();
            members.iter().for_each(|(user, seq)| lowest.add(*user, *seq));
            for (user, _) in &members {
                let others = members.iter().filter(|(other, _)| other != user).map(|(_, seq)| *seq).min();
                prop_assert_eq!(lowest.of_others(*user), others.unwrap_or(0));
            }
            let all = marks.iter().copied().min().unwrap_or(0);
            prop_assert_eq!(lowest.of_others(UserId::new_v7()), all);
        }
    }
}
