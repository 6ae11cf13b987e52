//! Pages of a walk through a user's conversations: which of those that were read fit the page, and
//! the token of the next page.

use std::cmp::Reverse;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gogochat_proto::{error::violation, ids::LogId, v1};
use gogochat_storage::store::{Conversation, Walk, Walked};

use super::{
    conversation::conversation,
    page::{List, Room},
};

/// What of a part fits a page.
pub(crate) struct Taken {
    pub(crate) conversations: Vec<v1::Conversation>,
    /// Where the next page goes on; `None`: this is the last.
    pub(crate) next: Option<Walk>,
    /// There is no room for the next one.
    pub(crate) is_full: bool,
}

/// Takes those conversations of a part that are wanted, as long as there is room.
///
/// # Errors
/// `internal`: one's last event does not decode.
pub(crate) fn take(part: &Walked, room: &mut Room, wanted: impl Fn(&Conversation) -> bool) -> Result<Taken, v1::Error> {
    let mut conversations = Vec::new();
    let mut next = part.walk;
    for (found, walk) in &part.conversations {
        if wanted(found) {
            let shown = conversation(found)?;
            if !room.take(&shown) {
                return Ok(Taken { conversations, next: Some(next), is_full: true });
            }
            conversations.push(shown);
        }
        next = *walk;
    }
    Ok(Taken { conversations, next: (!part.is_last).then_some(next), is_full: false })
}

/// Puts a page's conversations in the exact order: the walk's own is that of the first commits behind
/// each floor.
pub(crate) fn sort(conversations: &mut [v1::Conversation]) {
    conversations.sort_by(|one, other| Reverse((one.order, &one.id)).cmp(&Reverse((other.order, &other.id))));
}

/// The token for what comes behind a walk's place; empty where there is nothing.
pub(crate) fn token(list: List, walk: Option<Walk>) -> String {
    let Some(walk) = walk else { return String::new() };
    let (moved, log) = walk.place.map_or((0, [0; 16]), |(moved, log)| (moved, *log.as_bytes()));
    let flags = u8::from(walk.upward) | u8::from(walk.place.is_some()) << 1;
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend([list as u8, flags]);
    for number in [walk.position, walk.bound, moved] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(log);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Where the page before ended; `None` on the first page.
///
/// # Errors
/// `invalid_argument` on `pageToken`.
pub(crate) fn walk(list: List, token: &str) -> Result<Option<Walk>, v1::Error> {
    if token.is_empty() {
        return Ok(None);
    }
    read(list, token).map(Some).ok_or_else(|| violation("pageToken", "not a token of this list"))
}

fn read(list: List, token: &str) -> Option<Walk> {
    let mut bytes = [0; LENGTH + 2];
    let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
    let bytes = bytes.get(..length).filter(|bytes| bytes.len() == LENGTH)?;
    let ([tag, flags], rest) = bytes.split_first_chunk()?;
    let (position, rest) = rest.split_first_chunk()?;
    let (bound, rest) = rest.split_first_chunk()?;
    let (moved, log) = rest.split_first_chunk()?;
    (*tag == list as u8 && *flags < 4).then_some(())?;
    let place = (i64::from_be_bytes(*moved), LogId::from_slice(log)?);
    Some(Walk {
        position: i64::from_be_bytes(*position),
        bound: i64::from_be_bytes(*bound),
        place: (flags & 2 != 0).then_some(place),
        upward: flags & 1 != 0,
    })
}

const LENGTH: usize = 42;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn tokens_come_back(position in any::<i64>(), bound in any::<i64>(), moved in any::<i64>(), id in any::<u128>(), placed in any::<bool>(), upward in any::<bool>()) {
            let place = placed.then(|| (moved, Uuid::from_u128(id).into()));
            let there = Walk { position, bound, place, upward };
            prop_assert_eq!(walk(List::Sync, &token(List::Sync, Some(there))).unwrap(), Some(there));
            prop_assert!(walk(List::Conversations, &token(List::Sync, Some(there))).is_err());
        }

        #[test]
        fn hostile_tokens_are_refused(text in ".{1,80}") {
            prop_assert!(walk(List::Sync, &text).is_err());
        }
    }
}
