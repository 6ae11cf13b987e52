//! Who of the members says how far they have got.

use std::{sync::Arc, time::Duration};

use clap::Args;
use tokio::task::JoinHandle;

use crate::{people::Crew, tally::Room};

/// Who marks messages.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct Marks {
    /// Members who mark each message as delivered and, within half a second, as read, in per cent; the
    /// others mark nothing. Without it all mark what is delivered, as any client does.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    marks: Option<u8>,
}

/// Reads on until it is dropped.
pub(super) struct Readers(JoinHandle<()>);

impl Marks {
    /// Whether the n-th of all clients marks what is delivered.
    pub(super) fn delivered(self, n: usize) -> bool {
        self.marks.is_none() || self.reads(n)
    }

    /// Whether it marks what is read.
    fn reads(self, n: usize) -> bool {
        self.marks.is_some_and(|percent| n % 100 < usize::from(percent))
    }

    /// Has those who mark read whatever they are handed.
    pub(super) fn read(self, crew: &Crew, rooms: &[Room]) -> Readers {
        let members = rooms.iter().flat_map(|room| room.members.iter().map(|member| (room.id, *member)));
        let readers = members.filter(|(_, member)| self.reads(*member)).filter_map(|(log, member)| {
            let (client, seen) = (crew.clients.get(member)?.clone(), Arc::clone(crew.seen.get(member)?));
            Some((log, client, seen, 0))
        });
        let mut readers: Vec<_> = readers.collect();
        Readers(tokio::spawn(async move {
            let mut looks = tokio::time::interval(LOOK);
            loop {
                looks.tick().await;
                for (log, client, seen, read) in &mut readers {
                    let last = seen.lock().receipts.iter().rev().find(|receipt| receipt.log == *log).map(|one| one.seq);
                    if let Some(last) = last.filter(|last| last > read) {
                        *read = last;
                        client.read(*log, last).await;
                    }
                }
            }
        }))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const LOOK: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_hundred_mark() {
        let marking = |marks: Marks| (0..200).filter(|n| marks.delivered(*n)).count();
        assert_eq!(marking(Marks { marks: None }), 200);
        assert!(!Marks { marks: None }.reads(0));
        for (percent, expected) in [(0, 0), (30, 60), (100, 200)] {
            assert_eq!(marking(Marks { marks: Some(percent) }), expected);
        }
    }
}
