//! A large AddMembers or RemoveMembers, cut into slices. Each slice is a command and a transaction of its own, so
//! that no other command waits for all of it. The call is answered after the last slice.
//!
//! The name (`client_msg_id`) of a slice follows from the command's, and each slice is carried out
//! once under its name. So when a command is cut off between two slices, its repeat finishes it,
//! and changes nobody twice.

use gogochat_proto::ids::{ClientMsgId, LogId, UserId};
use gogochat_storage::store::{Command, Origin, Slice};
use sha2::{Digest as _, Sha256};

/// A command that is cut up.
#[derive(Debug)]
pub(super) struct Slices {
    log: LogId,
    origin: Origin,
    slices: Vec<Vec<UserId>>,
    removes: bool,
}

impl Slices {
    /// `None`: the command is carried out as one.
    pub(super) fn of(command: &Command) -> Option<Self> {
        let (Command::AddMembers { log, origin, users } | Command::RemoveMembers { log, origin, users }) = command
        else {
            return None;
        };
        let slices = users.chunks(SLICE).map(<[UserId]>::to_vec).collect();
        let removes = matches!(command, Command::RemoveMembers { .. });
        (users.len() > SLICE).then_some(Self { log: *log, origin: *origin, slices, removes })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.slices.len()
    }

    /// The slice of this number; `done`: how many those before it have added or removed.
    pub(super) fn command(&self, number: usize, done: usize) -> Command {
        let (log, users) = (self.log, self.slices.get(number).cloned().unwrap_or_default());
        let whole = self.origin.client_msg_id;
        let (origin, slice) = match number + 1 == self.slices.len() {
            true => (self.origin, Slice::Last { done }),
            false => (Origin { client_msg_id: name(whole, number), ..self.origin }, Slice::Part { of: whole }),
        };
        match self.removes {
            true => Command::RemoveSlice { log, origin, users, slice },
            false => Command::AddSlice { log, origin, users, slice },
        }
    }
}

/// The name of a slice.
fn name(whole: ClientMsgId, number: usize) -> ClientMsgId {
    let mut hash = Sha256::new();
    hash.update(b"gogochat slice");
    hash.update(whole.as_bytes());
    hash.update((number as u64).to_be_bytes());
    let hash = hash.finalize();
    // A hash has 32 bytes.
    hash.get(..16).and_then(ClientMsgId::from_slice).unwrap_or(whole)
}

/// Members of a slice: as many as an event names.
const SLICE: usize = 100;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use gogochat_proto::ids::DeviceId;

    use super::*;

    fn add(users: usize) -> Command {
        let origin = Origin {
            sender: UserId::new_v7(),
            device: DeviceId::new_v7(),
            client_msg_id: ClientMsgId::new_v7(),
            request_hash: [1; 32],
            now: 5,
        };
        let users = (0..users).map(|_| UserId::new_v7()).collect();
        Command::AddMembers { log: LogId::new_v7(), origin, users }
    }

    #[test]
    fn slices_have_all_members_in_order_and_names_that_follow_from_the_commands() {
        assert!(Slices::of(&add(SLICE)).is_none());
        let command = add(SLICE * 2 + 1);
        let Command::AddMembers { log: whole_log, origin: whole, users: all } = &command else { panic!() };
        let slices = Slices::of(&command).unwrap();
        assert_eq!(slices.count(), 3);
        let (mut names, mut found) = (HashSet::new(), Vec::new());
        for number in 0..3 {
            assert_eq!(slices.command(number, 7), Slices::of(&command).unwrap().command(number, 7));
            let Command::AddSlice { log, origin, users, slice } = slices.command(number, 7) else { panic!() };
            let expected = if number < 2 { Slice::Part { of: whole.client_msg_id } } else { Slice::Last { done: 7 } };
            assert_eq!((log, slice), (*whole_log, expected));
            assert_eq!(origin, Origin { client_msg_id: origin.client_msg_id, ..*whole });
            assert_eq!(origin.client_msg_id == whole.client_msg_id, number == 2);
            assert!(names.insert(origin.client_msg_id) && users.len() <= SLICE);
            found.extend(users);
        }
        assert_eq!(&found, all);
    }
}
