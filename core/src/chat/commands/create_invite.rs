//! CreateInvite: makes a code by which others join a group.

use gogochat_proto::{error::violation, v1};
use gogochat_storage::store::{Command, Done, GroupAct, Millis};
use uuid::Uuid;

use super::fields::Ruling;
use crate::command::{Address, Ordered, Request, Stamp, WhenLate, request_hash};

/// The request.
pub(crate) struct CreateInvite {
    ruling: Ruling,
    good_for: Millis,
    uses: Option<u32>,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::CreateInviteRequest,
}

impl Ordered for CreateInvite {
    const NAME: &'static str = "gogochat.v1.ChatService/CreateInvite";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    type Wire = v1::CreateInviteRequest;
    type Reply = v1::CreateInviteResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let ruling = Ruling::parse(&wire.conversation_id, &wire.client_msg_id)?;
        let good_for = match wire.expires_in_ms {
            0 => WEEK_MS,
            ms if (1..=YEAR_MS).contains(&ms) => ms,
            _ => return Err(violation("expiresInMs", "from 0 to a year")),
        };
        let uses = match u32::try_from(wire.uses) {
            Ok(0) => None,
            Ok(uses) if uses <= MAX_USES => Some(uses),
            _ => return Err(violation("uses", format!("from 0 to {MAX_USES}"))),
        };
        wire.conversation_id = ruling.log_id();
        wire.client_msg_id = String::new();
        Ok(Self { ruling, good_for, uses, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        match done {
            Done::Invited { code, until_ms } => {
                Some(v1::CreateInviteResponse { code: code.simple().to_string(), until_ms: *until_ms })
            }
            _ => None,
        }
    }
}

impl Request for CreateInvite {
    fn address(&self) -> Address {
        self.ruling.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let hash = request_hash(Self::NAME, &self.wire);
        // 122 bits that nobody guesses.
        let act = GroupAct::Invite { code: Uuid::new_v4(), until_ms: stamp.now + self.good_for, uses: self.uses };
        Ok(self.ruling.command(stamp, hash, act))
    }
}

const WEEK_MS: Millis = 7 * 24 * 3_600 * 1_000;
const YEAR_MS: Millis = 366 * 24 * 3_600 * 1_000;
const MAX_USES: u32 = 10_000;
