//! One member of a group talks to all others.

use anyhow::ensure;
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

/// One member of a group talks to all others.
#[derive(Debug, Args)]
pub(crate) struct Fanout {
    /// Members of the group, the one who talks included.
    #[arg(long, value_name = "N", default_value_t = 100)]
    members: usize,
    /// Messages a second.
    #[arg(long, value_name = "R", default_value_t = 10.0)]
    rate: f64,
    /// How long the one talks.
    #[arg(long, value_name = "S", default_value_t = 30)]
    seconds: u64,
    /// Bytes of text in a message.
    #[arg(long, value_name = "BYTES", default_value_t = 160)]
    size: usize,
    #[command(flatten)]
    marks: Marks,
}

impl Fanout {
    /// Registers the members, makes the group, lets the one talk and compares.
    pub(crate) async fn run(self, env: Env) -> anyhow::Result<Report> {
        ensure!((2..=MAX_MEMBERS).contains(&self.members), "--members: 2 to {MAX_MEMBERS}");
        ensure!(self.rate > 0.0 && self.seconds > 0, "--rate and --seconds: more than 0");
        let run = Run::new();
        let accounts = people::register(&env.dialer, env.target()?, &run, self.members).await?;
        let crew =
            Crew::start(&env.dialer, run, accounts, |user| env.options_that_mark(user, self.marks.delivered(user)))
                .await?;
        let others: Vec<usize> = (1..self.members).collect();
        // The others ask: how many one may ask is limited, how many one may accept is not.
        let pairs: Vec<_> = others.iter().map(|other| (*other, TALKER)).collect();
        crew.befriend(&pairs).await?;
        let group = crew.group(TALKER, &others).await?;
        let members: Vec<usize> = (0..self.members).collect();
        crew.await_known(&members, group).await?;
        let rooms = vec![Room { id: group, members }];
        let (rate, seconds, size) = (self.rate, self.seconds, self.size);
        let (turn, operation, marks) = (|_: &[Room], _| (0, TALKER), Operation::Delivery, self.marks);
        let load = Load { rooms, rate, seconds, size, turn, operation, marks };
        Ok(Report { scenario: "fanout", ..load.drive(&env, &crew).await? })
    }
}

const TALKER: usize = 0;
