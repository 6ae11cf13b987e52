//! Pairs talk one to one, or groups of any size among themselves; what is received is marked as delivered,
//! as any client does.

use anyhow::{Context as _, ensure};
use clap::Args;
use gogochat_proto::limits::MAX_MEMBERS;

use super::{
    Env,
    load::{Load, Operation},
    marks::Marks,
};
use crate::{
    people::{self, Crew},
    report::Report,
    tally::{Room, Run},
};

/// Pairs talk one to one, or groups.
#[derive(Debug, Args)]
pub(crate) struct Chat {
    /// People; an even number, or whole groups.
    #[arg(long, value_name = "N", default_value_t = 100)]
    users: usize,
    /// Members of each conversation: 2 are a pair, more a group.
    #[arg(long, value_name = "N", default_value_t = 2)]
    group: usize,
    /// Messages a second, all conversations together.
    #[arg(long, value_name = "R", default_value_t = 500.0)]
    rate: f64,
    /// How long they talk.
    #[arg(long, value_name = "S", default_value_t = 30)]
    seconds: u64,
    /// Bytes of text in a message.
    #[arg(long, value_name = "BYTES", default_value_t = 160)]
    size: usize,
    #[command(flatten)]
    marks: Marks,
}

impl Chat {
    /// Registers the people, lets them talk and compares.
    pub(crate) async fn run(self, env: Env) -> anyhow::Result<Report> {
        ensure!((2..=MAX_MEMBERS).contains(&self.group), "--group: 2 to {MAX_MEMBERS}");
        let whole = self.users >= self.group && self.users.is_multiple_of(self.group);
        ensure!(whole, "--users: whole conversations of {} members, 1 or more", self.group);
        ensure!(self.rate > 0.0 && self.seconds > 0, "--rate and --seconds: more than 0");
        let run = Run::new();
        let accounts = people::register(&env.dialer, env.target()?, &run, self.users).await?;
        let options = |user| env.options_that_mark(user, self.marks.delivered(user));
        let crew = Crew::start(&env.dialer, run, accounts, options).await?;
        let rooms = self.rooms(&crew).await?;
        let (rate, seconds, size, marks) = (self.rate, self.seconds, self.size, self.marks);
        let load = Load { rooms, rate, seconds, size, turn, operation: Operation::Acknowledgement, marks };
        Ok(Report { scenario: "chat", ..load.drive(&env, &crew).await? })
    }

    /// Makes contacts, and groups of them.
    async fn rooms(&self, crew: &Crew) -> anyhow::Result<Vec<Room>> {
        let all: Vec<usize> = (0..self.users).collect();
        let mut pairs = Vec::new();
        for members in all.chunks(self.group) {
            let (owner, others) = members.split_first().context("no members")?;
            // The others ask: how many one may ask is limited, how many one may accept is not.
            pairs.extend(others.iter().map(|other| (*other, *owner)));
        }
        let directs = crew.befriend(&pairs).await?;
        let mut rooms = Vec::new();
        for (n, members) in all.chunks(self.group).enumerate() {
            let (owner, others) = members.split_first().context("no members")?;
            let id = match (self.group, directs.get(n)) {
                (2, Some(direct)) => *direct,
                _ => crew.group(*owner, others).await?,
            };
            crew.await_known(members, id).await?;
            rooms.push(Room { id, members: members.to_vec() });
        }
        Ok(rooms)
    }
}

/// Each conversation in turn; within one, each member in turn.
fn turn(rooms: &[Room], n: u64) -> (usize, usize) {
    let all = rooms.len() as u64;
    let (place, round) = ((n % all) as usize, n / all);
    let members = rooms.get(place).map(|room| room.members.as_slice()).unwrap_or_default();
    let sender = members.get((round % members.len().max(1) as u64) as usize);
    (place, sender.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use gogochat_proto::ids::LogId;

    use super::*;

    #[test]
    fn everybody_gets_a_word_in() {
        let room = |pair: usize| Room { id: LogId::new_v7(), members: vec![2 * pair, 2 * pair + 1] };
        let rooms = [room(0), room(1)];
        let turns: Vec<_> = (0..5).map(|n| turn(&rooms, n)).collect();
        assert_eq!(turns, [(0, 0), (1, 2), (0, 1), (1, 3), (0, 0)]);
        let group = [Room { id: LogId::new_v7(), members: vec![4, 5, 6] }];
        let turns: Vec<_> = (0..4).map(|n| turn(&group, n)).collect();
        assert_eq!(turns, [(0, 4), (0, 5), (0, 6), (0, 4)]);
    }
}
