//! Commands of methods that this core does not know, because the core that took them is newer. They
//! are refused with a retryable error until a core that knows them has the partition. What their
//! session sends behind them waits.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use gogochat_storage::bus::BusCommand;

/// Where a command of an unknown method has its order. In which conversation is not known: so all of the
/// session's in the partition.
type Place = (u64, u64, u32);

/// The sessions that wait for such a command.
#[derive(Debug, Default)]
pub(crate) struct UnknownMethods {
    refused: HashMap<Place, Instant>,
}

impl UnknownMethods {
    /// A command of an unknown method was refused.
    pub(crate) fn refuse(&mut self, command: &BusCommand, now: Instant) {
        if self.refused.len() >= MAX {
            self.refused.retain(|_, since| is_fresh(*since, now));
        }
        if self.refused.len() < MAX {
            self.refused.insert(place(command), now);
        }
    }

    /// Whether a command comes behind one of these.
    pub(crate) fn holds(&mut self, command: &BusCommand, now: Instant) -> bool {
        if self.refused.is_empty() {
            return false;
        }
        match self.refused.get(&place(command)) {
            Some(since) if is_fresh(*since, now) => true,
            Some(_) => {
                self.refused.remove(&place(command));
                false
            }
            None => false,
        }
    }

    /// The partitions of those that may still come again.
    pub(crate) fn partitions(&self, now: Instant) -> impl Iterator<Item = u32> {
        self.refused.iter().filter(move |(_, since)| is_fresh(**since, now)).map(|((.., partition), _)| *partition)
    }
}

fn place(command: &BusCommand) -> Place {
    (command.reply_to.attachment, command.reply_to.session, command.partition)
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < HELD
}

/// As long as a client repeats a command.
const HELD: Duration = Duration::from_secs(30);
const MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use gogochat_proto::ids::{CommandId, DeviceId, UserId};
    use gogochat_storage::bus::ReplyTo;

    use super::*;

    fn command(session: u64, partition: u32) -> BusCommand {
        BusCommand {
            id: CommandId::new_v7(),
            published_ms: 0,
            partition,
            reply_to: ReplyTo { attachment: 1, session, call_id: 1 },
            user: UserId::new_v7(),
            device: DeviceId::new_v7(),
            method: String::new(),
            body: Vec::new().into(),
            rows: 0,
        }
    }

    #[test]
    fn what_its_session_sends_behind_it_waits_until_it_is_given_up() {
        let (mut unknown, now) = (UnknownMethods::default(), Instant::now());
        assert!(!unknown.holds(&command(1, 5), now));
        unknown.refuse(&command(1, 5), now);
        assert!(unknown.holds(&command(1, 5), now));
        assert!(!unknown.holds(&command(2, 5), now), "another session");
        assert!(!unknown.holds(&command(1, 6), now), "another partition");
        assert_eq!(unknown.partitions(now).collect::<Vec<_>>(), [5]);
        let soon = now + HELD - Duration::from_millis(1);
        assert!(unknown.holds(&command(1, 5), soon));
        unknown.refuse(&command(1, 5), soon);
        assert!(unknown.holds(&command(1, 5), now + HELD), "it came again meanwhile");
        assert!(!unknown.holds(&command(1, 5), soon + HELD));
        assert_eq!(unknown.partitions(soon).count(), 0);
    }
}
