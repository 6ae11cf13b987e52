//! UpdateConversation: changes how a group is.

use gogochat_proto::{
    error::violation,
    limits::{MAX_NOTICE, MAX_SLOW_MODE, MAX_TITLE},
    v1,
};
use gogochat_storage::store::{Command, Done, GroupAct, GroupChange, History, Joining, Millis, Posting};

use super::fields::Ruling;
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    text,
};

/// The request.
pub(crate) struct UpdateConversation {
    ruling: Ruling,
    change: GroupChange,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::UpdateConversationRequest,
}

impl Ordered for UpdateConversation {
    const NAME: &'static str = "gogochat.v1.ChatService/UpdateConversation";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    type Wire = v1::UpdateConversationRequest;
    type Reply = v1::UpdateConversationResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let ruling = Ruling::parse(&wire.conversation_id, &wire.client_msg_id)?;
        let change = GroupChange {
            title: wire.title.as_deref().map(|given| text::line("title", given, MAX_TITLE)).transpose()?,
            notice: wire.notice.as_deref().map(|given| text::note("notice", given, MAX_NOTICE)).transpose()?,
            history: wire.history.map(history).transpose()?,
            posting: wire.posting.map(posting).transpose()?,
            slow_ms: wire.slow_mode_ms.map(slow_mode).transpose()?,
            joining: wire.joining.map(joining).transpose()?,
        };
        wire.conversation_id = ruling.log_id();
        wire.client_msg_id = String::new();
        Ok(Self { ruling, change, wire })
    }

    fn reply(_: &Done) -> Option<Self::Reply> {
        Some(v1::UpdateConversationResponse {})
    }
}

impl Request for UpdateConversation {
    fn address(&self) -> Address {
        self.ruling.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let hash = request_hash(Self::NAME, &self.wire);
        let act = GroupAct::Change(self.change);
        Ok(self.ruling.command(stamp, hash, act))
    }
}

fn history(given: i32) -> Result<History, v1::Error> {
    match v1::GroupHistory::try_from(given) {
        Ok(v1::GroupHistory::FromJoin | v1::GroupHistory::Unspecified) => Ok(History::FromJoin),
        Ok(v1::GroupHistory::All) => Ok(History::All),
        Err(_) => Err(violation("history", "no known one")),
    }
}

fn posting(given: i32) -> Result<Posting, v1::Error> {
    match v1::GroupPosting::try_from(given) {
        Ok(v1::GroupPosting::Members | v1::GroupPosting::Unspecified) => Ok(Posting::Members),
        Ok(v1::GroupPosting::Admins) => Ok(Posting::Admins),
        Err(_) => Err(violation("posting", "no known one")),
    }
}

fn joining(given: i32) -> Result<Joining, v1::Error> {
    match v1::GroupJoining::try_from(given) {
        Ok(v1::GroupJoining::Invite | v1::GroupJoining::Unspecified) => Ok(Joining::Invite),
        Ok(v1::GroupJoining::Open) => Ok(Joining::Open),
        Err(_) => Err(violation("joining", "no known one")),
    }
}

fn slow_mode(given: i64) -> Result<Millis, v1::Error> {
    match u64::try_from(given) {
        Ok(ms) if u128::from(ms) <= MAX_SLOW_MODE.as_millis() => Ok(given),
        _ => Err(violation("slowModeMs", format!("from 0 to {}", MAX_SLOW_MODE.as_millis()))),
    }
}
