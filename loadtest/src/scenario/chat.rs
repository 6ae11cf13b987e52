//! Pairs talk one to one; what is received is marked as delivered, as any client does.

use anyhow::ensure;
use clap::Args;

use super::{
    Env,
    load::{Load, Operation},
};
use crate::{
    people::{self, Crew},
    report::Report,
    tally::{Room, Run},
};

/// Pairs talk one to one.
#[derive(Debug, Args)]
pub(crate) struct Chat {
    /// People; an even number.
    #[arg(long, value_name = "N", default_value_t = 100)]
    users: usize,
    /// Messages a second, all pairs together.
    #[arg(long, value_name = "R", default_value_t = 500.0)]
    rate: f64,
    /// How long they talk.
    #[arg(long, value_name = "S", default_value_t = 30)]
    seconds: u64,
    /// Bytes of text in a message.
    #[arg(long, value_name = "BYTES", default_value_t = 160)]
    size: usize,
}

impl Chat {
    /// Registers the people, lets them talk and compares.
    pub(crate) async fn run(self, env: Env) -> anyhow::Result<Report> {
        ensure!(self.users >= 2 && self.users.is_multiple_of(2), "--users: pairs need an even number, 2 or more");
        ensure!(self.rate > 0.0 && self.seconds > 0, "--rate and --seconds: more than 0");
        let run = Run::new();
        let accounts = people::register(&env.dialer, env.target()?, &run, self.users).await?;
        let crew = Crew::start(&env.dialer, run, accounts, |user| env.options(user)).await?;
        let pairs: Vec<_> = (0..self.users / 2).map(|pair| (2 * pair, 2 * pair + 1)).collect();
        let mut rooms = Vec::new();
        for (id, (one, other)) in crew.befriend(&pairs).await?.into_iter().zip(pairs) {
            crew.await_known(&[one, other], id).await?;
            rooms.push(Room { id, members: vec![one, other] });
        }
        let (rate, seconds, size) = (self.rate, self.seconds, self.size);
        let load = Load { rooms, rate, seconds, size, turn, operation: Operation::Acknowledgement };
        Ok(Report { scenario: "chat", ..load.drive(&env, &crew).await? })
    }
}

/// Each pair in turn; within a pair, one and then the other.
fn turn(rooms: &[Room], n: u64) -> (usize, usize) {
    let pairs = rooms.len() as u64;
    let (pair, round) = (n % pairs, n / pairs);
    (pair as usize, (2 * pair + round % 2) as usize)
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
    }
}
