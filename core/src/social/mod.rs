//! The social service: finding people, and contacts.

pub(crate) mod commands;

use std::sync::Arc;

use gogochat_proto::{error::violation, ids::UserId, text::trim, v1};
use gogochat_storage::store::{Contact, ContactState, SocialStore};

use crate::{
    authorize::Caller,
    failure::{self, id, limit},
    log::{
        page::{self, List, Room},
        person,
    },
    text,
};

/// The social service's queries.
pub(crate) struct Social {
    store: Arc<dyn SocialStore>,
}

impl Social {
    pub(crate) fn new(store: Arc<dyn SocialStore>) -> Self {
        Self { store }
    }

    pub(crate) async fn find_people(
        &self,
        request: v1::FindPeopleRequest,
    ) -> Result<v1::FindPeopleResponse, v1::Error> {
        let limit = limit(request.limit, 20, 50)?;
        let query = trim(&request.query);
        if !QUERY.contains(&query.chars().count()) {
            return Err(violation("query", "2 to 64 characters"));
        }
        let (name, by_name_alone) = match query.strip_prefix(['@', '＠']) {
            Some(name) => (name.to_lowercase(), true),
            None => (query.to_lowercase(), false),
        };
        // A name is of few characters: nobody's begins with another.
        let mut users = match name.bytes().all(text::is_name_byte) && !name.is_empty() {
            true => self.store.find_users(&name, limit).await.map_err(failure::store)?,
            false => Vec::new(),
        };
        if !by_name_alone && users.len() < limit as usize {
            let found = self.store.find_users_by_display_name(query, limit).await.map_err(failure::store)?;
            let more: Vec<_> = found.into_iter().filter(|one| users.iter().all(|user| user.id != one.id)).collect();
            users.extend(more);
            users.truncate(limit as usize);
        }
        // Nobody finds who is disabled.
        users.retain(|user| user.disabled_ms.is_none());
        Ok(v1::FindPeopleResponse { people: users.iter().map(person).collect() })
    }

    pub(crate) async fn get_people(&self, request: v1::GetPeopleRequest) -> Result<v1::GetPeopleResponse, v1::Error> {
        if request.user_ids.len() > MAX_PEOPLE {
            return Err(violation("userIds", format!("at most {MAX_PEOPLE}")));
        }
        let ids = request.user_ids.iter().map(|text| id("userIds", text)).collect::<Result<Vec<UserId>, _>>()?;
        let users = self.store.users(&ids).await.map_err(failure::store)?;
        Ok(v1::GetPeopleResponse { people: users.iter().map(person).collect() })
    }

    pub(crate) async fn list_contacts(
        &self,
        caller: Caller,
        request: v1::ListContactsRequest,
    ) -> Result<v1::ListContactsResponse, v1::Error> {
        let limit = limit(request.limit, 200, 500)?;
        let after = page::position(List::Contacts, &request.page_token)?.map(|(_, id)| UserId::from(id));
        let found = self.store.contacts(caller.user, after, limit + 1).await.map_err(failure::store)?;
        let mut room = Room::page();
        let mut response = v1::ListContactsResponse::default();
        let mut last = None;
        for contact in &found {
            let shown = shown(contact);
            if response.contacts.len() == limit as usize || !room.take(&shown) {
                let position = last.map_or((0, uuid::Uuid::nil()), |id: UserId| (0, id.uuid()));
                response.next_page_token = page::token(List::Contacts, position);
                break;
            }
            response.contacts.push(shown);
            last = Some(contact.peer.id);
        }
        Ok(response)
    }

    pub(crate) async fn list_blocks(
        &self,
        caller: Caller,
        request: v1::ListBlocksRequest,
    ) -> Result<v1::ListBlocksResponse, v1::Error> {
        let limit = limit(request.limit, 200, 500)?;
        let mut last = page::position(List::Blocks, &request.page_token)?;
        let after = last.map(|(_, id)| UserId::from(id));
        let found = self.store.blocks(caller.user, after, limit + 1).await.map_err(failure::store)?;
        let mut room = Room::page();
        let mut response = v1::ListBlocksResponse::default();
        for block in &found {
            let shown = v1::Block { person: Some(person(&block.peer)), since_ms: block.since_ms };
            if response.blocks.len() == limit as usize || !room.take(&shown) {
                response.next_page_token = page::token(List::Blocks, last.unwrap_or((0, uuid::Uuid::nil())));
                break;
            }
            response.blocks.push(shown);
            last = Some((0, block.peer.id.uuid()));
        }
        Ok(response)
    }
}

fn shown(contact: &Contact) -> v1::Contact {
    let state = match contact.state {
        ContactState::Requested => v1::ContactState::Requested,
        ContactState::Incoming => v1::ContactState::Incoming,
        ContactState::Accepted => v1::ContactState::Accepted,
    };
    v1::Contact {
        person: Some(person(&contact.peer)),
        state: state.into(),
        note: contact.note.clone(),
        since_ms: contact.since_ms,
        conversation_id: contact.conversation.map(|id| id.to_string()).unwrap_or_default(),
    }
}

const QUERY: std::ops::RangeInclusive<usize> = 2..=64;
const MAX_PEOPLE: usize = 100;
