//! Fields that several requests have.

use gogochat_proto::{
    error::{ErrorCode, violation},
    ids::{ClientMsgId, LogId, UserId},
    limits::MAX_MEMBERS_PER_CALL,
    v1,
};
use gogochat_storage::store::{Command, GroupAct, Hash, Origin};
use uuid::Uuid;

use crate::{
    command::{Address, Stamp},
    failure::id,
};

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

/// A request in a group that names the state in which it ends: it may have a name of the device's, by which
/// it keeps its order and is known again, and need not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ruling {
    log: LogId,
    client_msg_id: Option<ClientMsgId>,
}

impl Ruling {
    /// # Errors
    /// `invalid_argument`: one of the ids is none.
    pub(super) fn parse(conversation_id: &str, client_msg_id: &str) -> Result<Self, v1::Error> {
        let named = (!client_msg_id.is_empty()).then(|| id("clientMsgId", client_msg_id));
        Ok(Self { log: id("conversationId", conversation_id)?, client_msg_id: named.transpose()? })
    }

    pub(super) fn address(self) -> Address {
        Address { conversation: Some(self.log), client_msg_id: self.client_msg_id }
    }

    /// The command. Without a name of the device's it has that which it has on the bus.
    pub(super) fn command(self, stamp: Stamp, request_hash: Hash, act: GroupAct) -> Command {
        let (log, origin) = self.origin(stamp, request_hash);
        Command::Group { log, origin, act }
    }

    /// The group, and who commands under which name.
    pub(super) fn origin(self, stamp: Stamp, request_hash: Hash) -> (LogId, Origin) {
        (self.log, stamp.origin(self.client_msg_id.unwrap_or_else(|| stamp.id.into()), request_hash))
    }

    /// The log's id in its one spelling.
    pub(super) fn log_id(self) -> String {
        self.log.to_string()
    }
}

/// The code of an invite in its one spelling: 32 hexadecimal digits, lower case.
///
/// # Errors
/// `invalid_argument`: it is none.
pub(crate) fn code(text: &str) -> Result<Uuid, v1::Error> {
    let is_spelt_so = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let code = is_spelt_so.then(|| Uuid::try_parse(text).ok()).flatten();
    code.ok_or_else(|| violation("code", "32 hexadecimal digits"))
}

/// Another user than the caller.
///
/// # Errors
/// `yourself`.
pub(super) fn other(user: UserId, stamp: Stamp) -> Result<UserId, v1::Error> {
    if user == stamp.caller.user { Err(ErrorCode::Yourself.with("not to oneself")) } else { Ok(user) }
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
