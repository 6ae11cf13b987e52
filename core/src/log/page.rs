//! Pages of lists: the opaque token of the next page, and how much fits a frame.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gogochat_proto::{error::violation, limits::MAX_PAGE_BYTES, v1};
use prost::{Message, encoding::encoded_len_varint};
use uuid::Uuid;

/// Which list a token belongs to: one list's is no good for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum List {
    /// ListConversations.
    Conversations = 1,
    /// ListMembers.
    Members = 2,
    /// ListContacts.
    Contacts = 3,
    /// Sync.
    Sync = 4,
    /// ListAudit.
    Audit = 5,
    /// ListBlocks.
    Blocks = 6,
    /// ListOpenGroups.
    OpenGroups = 7,
}

/// Where a page ended: a number and an id, in the order of the list.
pub(crate) type Position = (i64, Uuid);

/// The token for what comes after `position`.
pub(crate) fn token(list: List, position: Position) -> String {
    let mut bytes = [0; LENGTH];
    let (head, id) = bytes.split_at_mut(9);
    let (tag, number) = head.split_at_mut(1);
    tag.fill(list as u8);
    number.copy_from_slice(&position.0.to_be_bytes());
    id.copy_from_slice(position.1.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Where the page before ended; `None` on the first page.
///
/// # Errors
/// `invalid_argument` on `pageToken`.
pub(crate) fn position(list: List, token: &str) -> Result<Option<Position>, v1::Error> {
    if token.is_empty() {
        return Ok(None);
    }
    read(list, token).map(Some).ok_or_else(|| violation("pageToken", "not a token of this list"))
}

fn read(list: List, token: &str) -> Option<Position> {
    let mut bytes = [0; LENGTH + 2];
    let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
    let bytes = bytes.get(..length).filter(|bytes| bytes.len() == LENGTH)?;
    let (tag, rest) = bytes.split_first()?;
    let (number, id) = rest.split_first_chunk::<8>()?;
    (*tag == list as u8).then_some(())?;
    Some((i64::from_be_bytes(*number), Uuid::from_slice(id).ok()?))
}

/// What a page has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room(usize);

impl Room {
    /// A whole page.
    pub(crate) fn page() -> Self {
        Self(MAX_PAGE_BYTES)
    }

    /// At most so much.
    pub(crate) fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Takes the room of an item of a repeated field; `false`: it does not fit.
    pub(crate) fn take(&mut self, item: &impl Message) -> bool {
        let length = item.encoded_len();
        self.take_bytes(length)
    }

    /// Takes the room of `length` bytes in a repeated field.
    pub(crate) fn take_bytes(&mut self, length: usize) -> bool {
        let need = length + encoded_len_varint(length as u64) + 1;
        match self.0.checked_sub(need) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }

    /// What is left.
    pub(crate) fn left(self) -> usize {
        self.0
    }
}

const LENGTH: usize = 25;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_come_back(number in any::<i64>(), id in any::<u128>()) {
            let position_ = (number, Uuid::from_u128(id));
            prop_assert_eq!(position(List::Members, &token(List::Members, position_)).unwrap(), Some(position_));
        }

        #[test]
        fn hostile_tokens_are_refused(text in ".{1,80}") {
            prop_assert!(position(List::Sync, &text).is_err());
        }
    }

    #[test]
    fn a_token_of_another_list_is_none() {
        let members = token(List::Members, (1, Uuid::nil()));
        assert_eq!(position(List::Contacts, &members).unwrap_err().violations[0].field, "pageToken");
        assert_eq!(position(List::Contacts, "").unwrap(), None);
    }

    #[test]
    fn room_to_the_byte() {
        let item = v1::Ping { nonce: 1 };
        let mut room = Room::of(4);
        assert!(room.take(&item));
        assert!(!room.take(&item));
        assert_eq!(room.left(), 0);
    }
}
