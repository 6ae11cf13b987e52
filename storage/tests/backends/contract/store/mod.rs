//! What every store does. A backend's test opens an empty store for each of these.

pub(crate) mod accounts;
pub(crate) mod administration;
pub(crate) mod blocks;
pub(crate) mod contacts;
pub(crate) mod followers;
pub(crate) mod governing;
pub(crate) mod groups;
pub(crate) mod joining;
pub(crate) mod marks;
pub(crate) mod messages;
pub(crate) mod model;
pub(crate) mod people;
pub(crate) mod races;
pub(crate) mod reading;
pub(crate) mod second_factors;
pub(crate) mod sign_outs;
pub(crate) mod together;
pub(crate) mod walks;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use gogochat_proto::{
    ids::{ClientMsgId, DeviceId, LogId, UserId},
    v1::{self, event::Body},
};
use gogochat_storage::store::{
    ALL, By, Command, Committed, Conversation, Done, Event, Millis, NewDevice, Origin, Outcome, Range, Store, Tokens,
    User,
};
use prost::Message;
use tokio::task::JoinSet;

/// Runs every test of the contract but those of `model`, each on a store of its own that `$open` opens.
#[macro_export]
macro_rules! store_contract {
    ($open:path) => {
        $crate::store_contract!(@each $open:
            accounts::{
                a_name_is_taken_once,
                people_are_found_by_prefix,
                many_users_at_once,
                devices_come_and_go,
                a_new_password_signs_others_out,
                a_refresh_token_is_exchanged_once,
                a_lost_answer_may_be_asked_for_again,
                refresh_tokens_lapse,
                an_arrival_is_seen_at_once,
                it_answers_checks,
            },
            administration::{
                who_is_disabled_is_signed_out_and_admitted_no_more,
                a_log_in_meets_a_disabling,
                a_one_time_password_logs_in_once,
                administrators_are_made_and_ended,
                who_is_no_administrator_any_more_does_nothing,
                two_administrators_disable_each_other,
                a_changed_password_is_no_one_time_password,
                invitations_have_so_many_uses,
                users_are_listed_by_name,
                the_audit_log_is_read_page_by_page,
            },
            second_factors::{
                a_second_factor_is_begun_and_turned_on,
                each_proof_of_a_second_factor_is_used_once,
                a_second_factor_is_removed_with_its_codes,
            },
            blocks::{
                a_block_looks_like_the_end_of_a_contact,
                who_is_blocked_asks_and_is_not_heard,
                two_requests_that_meet_make_a_contact_again,
                a_request_is_blocked_as_it_is_refused,
                blocks_are_listed_by_pages,
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
                what_comes_again_changes_nothing,
                what_was_refused_is_refused_again,
                lists_are_paged,
            },
            governing::{
                each_role_may_what_it_may,
                an_owner_who_leaves_is_followed,
                an_heir_may_change_in_the_same_batch,
                removal_ends_it,
                many_are_removed_in_slices_once,
                a_change_is_seen_and_said,
                the_muted_do_not_write,
                newcomers_may_read_all_where_that_is_so,
                a_dismissed_group_takes_nothing,
                admins_are_listed_apart,
            },
            joining::{
                a_code_leads_in_so_often_and_so_long,
                codes_are_made_and_ended_by_admins,
                an_open_group_is_listed_and_joined,
                what_an_invite_made_is_told_again,
            },
            races::{
                joining_meets_dismissing,
                the_last_use_is_used_once,
                removing_meets_sending,
                adding_meets_dismissing,
                demoting_meets_acting,
                two_transfers_make_one_owner,
                accepting_meets_withdrawing,
                blocking_meets_sending,
                owner_and_heir_leave_at_once,
            },
            followers::{
                a_shard_has_one_owner,
                what_a_follower_has_not_read_is_kept_and_not_for_ever,
                all_logs_are_walked_through,
                counters_that_are_right_are_found_right,
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
                what_is_foreseen_is_what_is_decided,
                slices_are_finished_once,
            },
            marks::{
                each_is_decided_as_within_its_log,
                what_was_marked_is_seen_to_have_moved,
                any_number_of_marks,
                the_lowest_marks_are_those_of_the_others,
                marks_never_go_back_whoever_moves_them,
            },
            messages::{
                takes_its_place_in_the_log,
                a_batch_sees_its_own_commands,
                a_repeat_is_answered_with_the_first,
                only_members_append,
                marks_move_up_alone,
                a_mark_may_follow_its_message_in_a_batch,
                batches_have_any_size,
                large_groups_keep_read_marks_alone,
            },
            people::{
                a_profile_changes_as_far_as_it_is_said,
                people_are_found_by_their_display_name,
                each_is_found_once_and_by_the_latest_name,
            },
            reading::{
                events_come_in_pages,
                pages_are_bounded_in_bytes,
                payloads_come_back_as_they_were,
                conversations_are_seen_by_their_ids,
                a_conversation_is_seen_by_its_member,
                unread_messages_are_counted,
                members_come_by_when_they_joined,
                the_ends_of_many_logs_are_seen_at_once,
            },
            sign_outs::{
                each_is_noted_in_its_place,
                what_signs_nobody_out_is_not_noted,
                notes_outlive_the_token_and_are_forgotten_then,
                they_are_seen_in_their_order,
            },
            walks::{
                a_walk_goes_from_the_one_that_moved_last,
                what_moves_during_a_walk_is_not_missed,
                a_position_brings_what_moved_since,
                large_groups_move_by_their_logs_alone,
                a_history_is_begun_anew_by_command_alone,
                the_feed_has_every_event_once,
            },
            together::{
                readers_see_whole_commits,
                a_caller_that_gives_up_leaves_no_half,
                closed_is_unavailable,
            },
        );
    };
    (@each $open:path: $($module:ident :: {$($test:ident),* $(,)?}),* $(,)?) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                use $crate::contract::store::model::Opened as _;
                let opened = $open().await;
                $crate::contract::store::$module::$test(opened.store()).await;
            })*
        })*
    };
}

/// A store with some users, and what tests do all the time.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    devices: HashMap<UserId, DeviceId>,
    names: usize,
}

impl World {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, devices: HashMap::new(), names: 0 }
    }

    /// A user named user0, user1, ...
    pub(crate) async fn user(&mut self) -> UserId {
        let name = format!("user{}", self.names);
        self.names += 1;
        let (user, device) = new_user(&name);
        let id = user.id;
        self.devices.insert(id, device.id);
        assert!(self.store.create_user(user, device).await.unwrap());
        id
    }

    pub(crate) async fn users<const N: usize>(&mut self) -> [UserId; N] {
        let mut users = Vec::new();
        for _ in 0..N {
            users.push(self.user().await);
        }
        users.try_into().unwrap()
    }

    /// Many users, made several at once, who have nothing to do but to be there.
    pub(crate) async fn crowd(&self, size: usize) -> Vec<UserId> {
        let (mut making, mut ids) = (JoinSet::<bool>::new(), Vec::new());
        for n in 0..size {
            let (user, device) = new_user(&format!("crowd{n}"));
            ids.push(user.id);
            if making.len() >= 16 {
                assert!(making.join_next().await.unwrap().unwrap());
            }
            let store = self.store.clone();
            making.spawn(async move { store.create_user(user, device).await.unwrap() });
        }
        assert!(making.join_all().await.into_iter().all(|made| made));
        ids
    }

    pub(crate) fn device(&self, user: UserId) -> DeviceId {
        self.devices[&user]
    }

    /// An origin with a new name.
    pub(crate) fn origin(&self, sender: UserId) -> Origin {
        let client_msg_id = ClientMsgId::new_v7();
        Origin { sender, device: self.device(sender), client_msg_id, request_hash: [7; 32], now: NOW }
    }

    /// Commits one command.
    pub(crate) async fn one(&self, command: Command) -> Outcome {
        let mut outcomes = self.store.commit(vec![command]).await.unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    pub(crate) fn append(&self, sender: UserId, log: LogId, text: &str) -> Command {
        Command::Append { log, origin: self.origin(sender), payload: message(text) }
    }

    /// Says something; its seq.
    pub(crate) async fn say(&self, sender: UserId, log: LogId, text: &str) -> i64 {
        appended(&self.one(self.append(sender, log, text)).await.unwrap())
    }

    /// Makes two users contacts; their conversation.
    pub(crate) async fn befriend(&self, one: UserId, other: UserId) -> LogId {
        let new = LogId::new_v7();
        let (asks, accepts) = (unnamed(one, NOW), unnamed(other, NOW));
        let ask = Command::RequestContact { origin: asks, to: other, note: "hi".into(), conversation: new };
        let accept = Command::AcceptContact { origin: accepts, from: one, conversation: new };
        let outcomes = self.store.commit(vec![ask, accept]).await.unwrap();
        match outcomes.last().unwrap().as_ref().unwrap().done {
            Done::Accepted { conversation } => conversation,
            ref other => panic!("not accepted but {other:?}"),
        }
    }

    /// Makes a group of a user and contacts of theirs.
    pub(crate) async fn group(&self, sender: UserId, members: &[UserId]) -> LogId {
        let log = LogId::new_v7();
        let origin = self.origin(sender);
        let members = members.to_vec();
        self.one(Command::CreateGroup { log, origin, title: "Group".into(), members }).await.unwrap();
        log
    }

    /// All of a log.
    pub(crate) async fn log(&self, log: LogId) -> Vec<Event> {
        self.store.events(log, Range::After(0), 10_000, usize::MAX).await.unwrap()
    }
}

/// All conversations of a user, the most recently active first.
pub(crate) async fn list(store: &dyn Store, user: UserId) -> Vec<Conversation> {
    let walked = store.walk(user, ALL, None, 1_000).await.unwrap();
    assert!(walked.is_last);
    let mut found: Vec<_> = walked.conversations.into_iter().map(|(found, _)| found).collect();
    found.sort_by_key(|found| std::cmp::Reverse((found.order, found.log)));
    found
}

/// The origin of a command that its device has not named: it comes once, from any device.
pub(crate) fn unnamed(sender: UserId, now: Millis) -> Origin {
    let (device, client_msg_id) = (DeviceId::new_v7(), ClientMsgId::new_v7());
    Origin { sender, device, client_msg_id, request_hash: [6; 32], now }
}

pub(crate) fn new_user(name: &str) -> (User, NewDevice) {
    let (display_name, password_hash) = (format!("The {name}"), format!("hash of {name}"));
    let user = User::new(UserId::new_v7(), name.into(), display_name, password_hash, NOW);
    let device = new_device(user.id);
    (user, device)
}

/// A user who acts by themselves.
pub(crate) fn by(user: UserId) -> By {
    By { actor: Some(user), address: "192.0.2.7".into(), now: NOW }
}

pub(crate) fn new_device(user: UserId) -> NewDevice {
    let id = DeviceId::new_v7();
    NewDevice { id, user, name: "Test".into(), tokens: tokens(), created_ms: NOW, address: "192.0.2.1".into() }
}

/// Tokens that no other device has.
pub(crate) fn tokens() -> Tokens {
    let hash = || {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(LogId::new_v7().as_bytes());
        hash
    };
    Tokens { access: hash(), access_expires_ms: NOW + 1_000, refresh: hash(), refresh_expires_ms: NOW + 100_000 }
}

pub(crate) fn message(text: &str) -> Bytes {
    let body = Some(Body::Message(v1::Message { text: text.into() }));
    v1::Event { body, ..Default::default() }.encode_to_vec().into()
}

pub(crate) fn body(event: &Event) -> Body {
    v1::Event::decode(event.payload.clone()).unwrap().body.unwrap()
}

pub(crate) fn appended(committed: &Committed) -> i64 {
    match committed.done {
        Done::Appended { seq, .. } => seq,
        ref other => panic!("not appended but {other:?}"),
    }
}

pub(crate) const NOW: Millis = 1_700_000_000_000;
