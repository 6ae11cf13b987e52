//! SQLite on a real file.

use std::{path::PathBuf, sync::Arc};

use gogochat_storage::store::{SqlStore, Store, sqlite};
use tempfile::TempDir;

use crate::{contract, store_contract};

/// A store in a folder of its own.
pub(crate) struct Opened {
    store: Arc<SqlStore>,
    folder: TempDir,
}

impl Opened {
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data/gogochat.db")
    }
}

pub(crate) async fn open() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite::open(&folder.path().join("data/gogochat.db")).await.unwrap();
    Opened { store: Arc::new(store), folder }
}

store_contract!(crate::sqlite::open:
    accounts::{
        a_name_is_taken_once,
        people_are_found_by_prefix,
        many_users_at_once,
        devices_come_and_go,
        a_new_password_signs_others_out,
        a_refresh_token_is_exchanged_once,
        a_lost_answer_may_be_asked_for_again,
        refresh_tokens_lapse,
        it_answers_checks,
    },
    contacts::{
        a_request_waits_on_both_sides,
        accepting_makes_a_conversation,
        asking_one_who_asked_accepts,
        an_ended_contact_stops_messages,
        contacts_again_have_their_conversation_again,
        requests_are_refused_and_withdrawn,
        nobody_is_asked_who_is_not_there,
        only_the_asked_accepts,
        lists_are_paged,
    },
    groups::{
        founders_see_all,
        creating_again_answers_with_the_first,
        only_contacts_are_brought_in,
        later_members_see_what_comes_later,
        who_added_nobody_adds_nobody_later,
        leaving_ends_it,
        coming_back_begins_anew,
        a_group_has_its_limit,
    },
    messages::{
        takes_its_place_in_the_log,
        a_batch_sees_its_own_commands,
        a_repeat_is_answered_with_the_first,
        only_members_append,
        marks_move_up_alone,
        a_mark_may_follow_its_message_in_a_batch,
        large_groups_keep_read_marks_alone,
    },
    reading::{
        events_come_in_pages,
        pages_are_bounded_in_bytes,
        payloads_come_back_as_they_were,
        conversations_come_by_activity,
        a_conversation_is_seen_by_its_member,
        unread_messages_are_counted,
        members_come_by_when_they_joined,
    },
);

#[tokio::test]
async fn closed_is_unavailable() {
    let opened = open().await;
    contract::store::after_close(opened.store()).await;
    assert!(opened.path().exists());
}
