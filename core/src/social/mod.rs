//! Finding people, and who is a contact of whom.

pub(crate) mod commands;

use std::sync::Arc;

use gogochat_proto::{error::violation, ids::UserId, v1};
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
        let query = request.query.trim().to_lowercase();
        if !QUERY.contains(&query.chars().count()) {
            return Err(violation("query", "2 to 32 characters"));
        }
        if !query.bytes().all(text::is_name_byte) {
            // No name begins with that.
            return Ok(v1::FindPeopleResponse::default());
        }
        let users = self.store.find_users(&query, limit).await.map_err(failure::store)?;
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

const QUERY: std::ops::RangeInclusive<usize> = 2..=32;
const MAX_PEOPLE: usize = 100;
