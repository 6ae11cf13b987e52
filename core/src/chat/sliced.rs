//! Commands that are being carried out in slices. Between two slices of one the worker commits what
//! else has come, so nobody waits for the whole of it. What its sender sends behind it waits here.

use std::collections::VecDeque;

use gogochat_proto::ids::UserId;
use gogochat_storage::{
    bus::BusCommand,
    store::{Command, Done},
};

use super::{
    pending::{Kind, Pending},
    sender_order::Sender,
    slices::Slices,
};
use crate::command::partition_of;

/// The commands that are not finished, in the order of their turns.
#[derive(Default)]
pub(super) struct Sliced {
    unfinished: VecDeque<Unfinished>,
    /// What came behind those that are finished.
    released: Vec<BusCommand>,
    /// How many wait behind those that are not.
    behind: usize,
}

/// A command of which slices are missing.
pub(super) struct Unfinished {
    whole: Command,
    slices: Slices,
    /// How many slices have been carried out.
    number: usize,
    /// How many members they have added or removed.
    done: usize,
    user: UserId,
    pub(super) pending: Pending,
    /// What its sender has sent since.
    behind: Vec<BusCommand>,
}

impl Sliced {
    /// Takes a command that goes in slices. Given back: too many are under way, or too many of this user.
    pub(super) fn begin(&mut self, whole: Command, slices: Slices, pending: Pending, user: UserId) -> Option<Pending> {
        let of_user = self.unfinished.iter().filter(|one| one.user == user).count();
        if self.unfinished.len() >= MAX || of_user >= MAX_OF_USER {
            return Some(pending);
        }
        self.unfinished.push_back(Unfinished { whole, slices, number: 0, done: 0, user, pending, behind: Vec::new() });
        None
    }

    /// Has a command wait, where its sender has one that is not finished. Given back: it need not wait.
    ///
    /// # Errors
    /// Too many wait.
    pub(super) fn wait(&mut self, command: BusCommand, kind: Kind) -> Result<Option<BusCommand>, TooMany> {
        let Kind::InOrder(sender, _) = kind else { return Ok(Some(command)) };
        match self.unfinished.iter_mut().find(|one| one.sender() == Some(sender)) {
            None => Ok(Some(command)),
            Some(_) if self.behind >= MAX_BEHIND => Err(TooMany),
            Some(one) => {
                one.behind.push(command);
                self.behind += 1;
                Ok(None)
            }
        }
    }

    /// The one whose turn it is. It comes back by [`Self::again`] or [`Self::finish`].
    pub(super) fn next(&mut self) -> Option<Unfinished> {
        self.unfinished.pop_front()
    }

    /// There is more of it: it has its next turn behind the others.
    pub(super) fn again(&mut self, one: Unfinished) {
        self.unfinished.push_back(one);
    }

    /// It has an answer: what came behind it is free to go.
    pub(super) fn finish(&mut self, one: Unfinished) -> Pending {
        self.behind -= one.behind.len();
        self.released.extend(one.behind);
        one.pending
    }

    /// What came behind those that are finished.
    pub(super) fn take_released(&mut self) -> Vec<BusCommand> {
        std::mem::take(&mut self.released)
    }

    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.unfinished.is_empty() && self.released.is_empty()
    }

    /// Commands that were taken from the bus and have no answer yet.
    pub(super) fn len(&self) -> usize {
        self.unfinished.len() + self.behind + self.released.len()
    }

    /// The partitions of those that are under way.
    pub(super) fn partitions(&self) -> impl Iterator<Item = u32> {
        let unfinished = self.unfinished.iter().map(|one| partition_of(one.whole.home()));
        unfinished.chain(self.released.iter().map(|command| command.partition))
    }
}

impl Unfinished {
    /// The whole, before its first slice.
    pub(super) fn begins(&self) -> Option<&Command> {
        (self.number == 0).then_some(&self.whole)
    }

    /// Its next slice.
    pub(super) fn slice(&self) -> Command {
        self.slices.command(self.number, self.done)
    }

    /// That has been carried out. Whether it was the last.
    pub(super) fn advance(&mut self, done: &Done) -> bool {
        if let Done::Added { added: of_slice, .. } | Done::Removed { removed: of_slice, .. } = done {
            self.done += of_slice;
        }
        self.number += 1;
        self.number == self.slices.count()
    }

    fn sender(&self) -> Option<Sender> {
        match self.pending.kind {
            Kind::InOrder(sender, _) => Some(sender),
            _ => None,
        }
    }
}

/// Too much waits behind commands that are under way.
#[derive(Debug)]
pub(super) struct TooMany;

/// Commands under way in slices, of a worker.
const MAX: usize = 16;
/// Those of one user.
const MAX_OF_USER: usize = 4;
/// What waits behind them.
const MAX_BEHIND: usize = 1_024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gogochat_proto::ids::{ClientMsgId, CommandId, DeviceId, LogId};
    use gogochat_storage::{bus::ReplyTo, store::Origin};

    use super::*;

    fn pending(command: &Command, session: u64) -> Pending {
        Pending::of(command, ReplyTo { attachment: 1, session, call_id: 1 }, |_| Ok(Bytes::new()))
    }

    fn add(log: LogId) -> Command {
        let origin = Origin {
            sender: UserId::new_v7(),
            device: DeviceId::new_v7(),
            client_msg_id: ClientMsgId::new_v7(),
            request_hash: [0; 32],
            now: 0,
        };
        Command::AddMembers { log, origin, users: (0..101).map(|_| UserId::new_v7()).collect() }
    }

    fn begin(sliced: &mut Sliced, session: u64, user: UserId) -> bool {
        let command = add(LogId::new_v7());
        let (slices, pending) = (Slices::of(&command).unwrap(), pending(&command, session));
        sliced.begin(command, slices, pending, user).is_none()
    }

    fn on_the_bus() -> BusCommand {
        BusCommand {
            id: CommandId::new_v7(),
            published_ms: 0,
            partition: 3,
            reply_to: ReplyTo { attachment: 1, session: 1, call_id: 2 },
            user: UserId::new_v7(),
            device: DeviceId::new_v7(),
            method: String::new(),
            body: Bytes::new(),
            rows: 0,
        }
    }

    #[test]
    fn so_many_are_under_way_and_so_many_of_a_user() {
        let (mut sliced, greedy) = (Sliced::default(), UserId::new_v7());
        for session in 0..MAX_OF_USER as u64 {
            assert!(begin(&mut sliced, session, greedy));
        }
        assert!(!begin(&mut sliced, 99, greedy));
        while sliced.len() < MAX {
            assert!(begin(&mut sliced, 100, UserId::new_v7()));
        }
        assert!(!begin(&mut sliced, 100, UserId::new_v7()));
        let one = sliced.next().unwrap();
        sliced.finish(one);
        assert!(begin(&mut sliced, 100, greedy));
    }

    #[test]
    fn what_its_sender_sends_waits_and_what_others_send_does_not() {
        let (mut sliced, log) = (Sliced::default(), LogId::new_v7());
        let whole = add(log);
        let (mine, others) = (pending(&whole, 1).kind, pending(&whole, 2).kind);
        assert!(
            sliced.begin(whole.clone(), Slices::of(&whole).unwrap(), pending(&whole, 1), UserId::new_v7()).is_none()
        );
        assert!(sliced.wait(on_the_bus(), others).unwrap().is_some());
        assert!(sliced.wait(on_the_bus(), Kind::Plain).unwrap().is_some());
        for _ in 0..MAX_BEHIND {
            assert!(sliced.wait(on_the_bus(), mine).unwrap().is_none());
        }
        assert!(sliced.wait(on_the_bus(), mine).is_err());
        assert_eq!(sliced.len(), MAX_BEHIND + 1);
        let mut one = sliced.next().unwrap();
        assert!(one.begins().is_some());
        assert!(!one.advance(&Done::Added { added: 100, member_count: 101 }) && one.begins().is_none());
        assert!(one.advance(&Done::Added { added: 1, member_count: 102 }));
        sliced.finish(one);
        assert_eq!(sliced.partitions().count(), MAX_BEHIND);
        assert_eq!(sliced.take_released().len(), MAX_BEHIND);
        assert!(sliced.is_empty());
        assert!(sliced.wait(on_the_bus(), mine).unwrap().is_some());
    }
}
