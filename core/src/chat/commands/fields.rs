//! Fields that several requests have.

use gogochat_proto::{
    error::violation,
    ids::{ClientMsgId, LogId, UserId},
    limits::MAX_MEMBERS_PER_CALL,
    v1,
};

use crate::{command::Address, failure::id};

/// A request in a conversation, under a name of the device's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) log: LogId,
    pub(super) client_msg_id: ClientMsgId,
}

impl Named {
    /// # Errors
    /// `invalid_argument`: one of the ids is none.
    pub(super) fn parse(conversation_id: &str, client_msg_id: &str) -> Result<Self, v1::Error> {
        Ok(Self { log: id("conversationId", conversation_id)?, client_msg_id: id("clientMsgId", client_msg_id)? })
    }

    pub(super) fn address(self) -> Address {
        Address { conversation: Some(self.log), client_msg_id: Some(self.client_msg_id) }
    }
}

/// Ids of users, each once, in their order.
pub(super) fn users(field: &str, ids: &[String]) -> Result<Vec<UserId>, v1::Error> {
    if ids.len() > MAX_MEMBERS_PER_CALL {
        return Err(violation(field, format!("at most {MAX_MEMBERS_PER_CALL} in one call")));
    }
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    let users = ids.iter().map(|text| id(field, text)).collect::<Result<Vec<UserId>, _>>()?;
    Ok(users.into_iter().filter(|user| seen.insert(*user)).collect())
}
