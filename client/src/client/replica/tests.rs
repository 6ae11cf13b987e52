use std::collections::BTreeMap;

use gogochat_proto::{ids::UserId, v1::event::Body};

use super::{
    logs::{GET_CONVERSATION, LIST_EVENTS},
    sending::SEND_MESSAGE,
    sync::SYNC,
    *,
};

const SECOND: Duration = Duration::from_secs(1);

/// A replica and the server's side of it, in simulated time.
struct Sim {
    now: Instant,
    me: LogId,
    replica: Replica,
    calls: Vec<v1::Call>,
    marks: Vec<v1::Mark>,
    updates: Vec<Update>,
}

impl Sim {
    fn new(backfill: bool, cursors: Cursors) -> Self {
        let settings = Settings { backfill, delivered: true, patience: 15 * SECOND, random: || 0.5 };
        let replica = Replica::new(settings, cursors);
        let (now, me) = (Instant::now(), UserId::new_v7().into());
        Self { now, me, replica, calls: Vec::new(), marks: Vec::new(), updates: Vec::new() }
    }

    fn open(&mut self, own_seq: i64) {
        self.open_in("", own_seq);
    }

    /// In the history of this epoch.
    fn open_in(&mut self, epoch: &str, own_seq: i64) {
        let (user_id, epoch) = (self.me.to_string(), epoch.to_owned());
        let welcome = v1::Welcome { user_id, own_seq, epoch, ..v1::Welcome::default() };
        self.replica.opened(self.now, &welcome);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.replica.output() {
            match output {
                Output::Frame(Frame::Call(call)) | Output::Low(call) => self.calls.push(call),
                Output::Frame(Frame::Marks(marks)) => self.marks.extend(marks.marks),
                Output::Frame(_) | Output::Lossy(_) => {}
                Output::Update(update) => self.updates.push(update),
            }
        }
    }

    fn frame(&mut self, frame: server_frame::Frame) {
        self.replica.frame(self.now, frame);
        self.collect();
    }

    fn event(&mut self, log: LogId, seq: i64, body: Option<Body>) {
        self.frame(server_frame::Frame::Event(event(log, seq, body)));
    }

    /// The oldest unanswered call of this method, and its request.
    fn take<T: Message + Default>(&mut self, method: &str) -> (u32, T) {
        let index = self.calls.iter().position(|call| call.method == method).expect(method);
        let call = self.calls.remove(index);
        (call.id, T::decode(call.body).unwrap())
    }

    fn reply(&mut self, id: u32, body: &impl Message) {
        self.frame(server_frame::Frame::Reply(v1::Reply { id, body: body.encode_to_vec().into(), error: None }));
    }

    fn refuse(&mut self, id: u32, code: ErrorCode) {
        let error = Some(code.with(""));
        self.frame(server_frame::Frame::Reply(v1::Reply { id, body: Bytes::new(), error }));
    }

    fn sync(&mut self, response: &v1::SyncResponse) -> v1::SyncRequest {
        let (id, request) = self.take(SYNC);
        self.reply(id, response);
        request
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.replica.tick(self.now);
        self.collect();
    }

    /// The seqs that were handed out, by log.
    fn handed_out(&self) -> BTreeMap<LogId, Vec<i64>> {
        let mut out = BTreeMap::<_, Vec<i64>>::new();
        for update in &self.updates {
            if let Update::Event(event) = update {
                out.entry(event.log_id.parse().unwrap()).or_default().push(event.seq);
            }
        }
        out
    }

    fn of(&self, log: LogId) -> Vec<i64> {
        self.handed_out().remove(&log).unwrap_or_default()
    }
}

fn event(log: LogId, seq: i64, body: Option<Body>) -> v1::Event {
    let sender_id = "somebody".to_owned();
    v1::Event { log_id: log.to_string(), seq, sender_id, body, ..v1::Event::default() }
}

fn joined(conversation: LogId, from_seq: i64) -> Option<Body> {
    Some(Body::ConversationJoined(v1::ConversationJoined { conversation_id: conversation.to_string(), from_seq }))
}

fn conversation(id: LogId, last_seq: i64, from_seq: i64, member_count: i32) -> v1::Conversation {
    let head = Some(v1::Head { conversation_id: id.to_string(), last_seq, ..v1::Head::default() });
    v1::Conversation { id: id.to_string(), head, from_seq, member_count, ..v1::Conversation::default() }
}

fn page(log: LogId, seqs: std::ops::RangeInclusive<i64>, more: bool, last_seq: i64) -> v1::ListEventsResponse {
    v1::ListEventsResponse { events: seqs.map(|seq| event(log, seq, None)).collect(), more, last_seq }
}

/// The events alone tell of it, here and of the other.
#[test]
fn whoever_sends_has_read_what_stands_before() {
    let mut sim = Sim::new(false, Cursors::default());
    let c = LogId::new_v7();
    sim.open(4);
    let conversations = vec![conversation(c, 3, 1, 2)];
    sim.sync(&v1::SyncResponse { own_last_seq: 4, conversations, ..Default::default() });
    let say = |sim: &mut Sim, sender: String, seq| {
        let body = Some(Body::Message(v1::Message { text: "x".into() }));
        sim.frame(server_frame::Frame::Event(v1::Event { sender_id: sender, ..event(c, seq, body) }));
        let head = sim.replica.heads().next().unwrap();
        (head.read_seq, head.others_delivered_seq, head.others_read_seq)
    };
    assert_eq!(say(&mut sim, "somebody".into(), 4), (0, 4, 4));
    let me = sim.me.to_string();
    assert_eq!(say(&mut sim, me, 5), (5, 4, 4));
    assert_eq!(say(&mut sim, "somebody".into(), 6), (5, 6, 6));
}

#[test]
fn a_conversation_that_is_joined_is_followed_and_marked() {
    let mut sim = Sim::new(false, Cursors::default());
    let c = LogId::new_v7();
    sim.open(4);
    assert_eq!(sim.sync(&v1::SyncResponse { own_last_seq: 4, ..Default::default() }).own_seq, 4);
    assert!(sim.updates.contains(&Update::CaughtUp));
    sim.event(sim.me, 5, joined(c, 3));
    sim.event(c, 3, None);
    assert!(sim.marks.is_empty(), "the size is unknown yet");
    let (id, _) = sim.take::<v1::GetConversationRequest>(GET_CONVERSATION);
    sim.reply(id, &conversation(c, 3, 3, 2));
    assert_eq!((sim.of(c), sim.marks.len()), (vec![3], 1));
    sim.event(c, 4, None);
    sim.event(c, 5, None);
    assert_eq!(sim.marks.len(), 1, "once a second");
    sim.pass(SECOND);
    assert_eq!((sim.marks.len(), sim.marks[1].delivered_seq), (2, 5));
}

#[test]
fn large_groups_get_no_delivered_marks_and_nobody_marks_their_own() {
    let (mut sim, group) = (Sim::new(false, Cursors::default()), LogId::new_v7());
    sim.open(0);
    let small = LogId::new_v7();
    let conversations = vec![conversation(group, 0, 1, 201), conversation(small, 0, 1, 200)];
    sim.sync(&v1::SyncResponse { conversations, ..Default::default() });
    sim.event(group, 1, None);
    let own = v1::Event { sender_id: sim.me.to_string(), ..event(small, 1, None) };
    sim.frame(server_frame::Frame::Event(own));
    assert!(sim.marks.is_empty());
    sim.event(small, 2, None);
    assert_eq!(sim.marks.len(), 1);
}

#[test]
fn a_gap_is_fetched_page_by_page() {
    let (mut sim, c) = (Sim::new(false, Cursors::default()), LogId::new_v7());
    sim.open(0);
    sim.sync(&v1::SyncResponse { conversations: vec![conversation(c, 10, 1, 2)], ..Default::default() });
    sim.event(c, 14, None);
    let (id, request) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
    assert_eq!(request.from, Some(v1::list_events_request::From::AfterSeq(10)));
    sim.event(c, 15, None);
    assert!(sim.calls.is_empty(), "one page at a time");
    sim.reply(id, &page(c, 11..=12, true, 15));
    let (id, request) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
    assert_eq!(request.from, Some(v1::list_events_request::From::AfterSeq(12)));
    sim.refuse(id, ErrorCode::Unavailable);
    assert!(sim.calls.is_empty());
    sim.pass(SECOND);
    let (id, _) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
    sim.reply(id, &page(c, 13..=15, false, 15));
    assert_eq!(sim.of(c), [11, 12, 13, 14, 15]);
    assert!(!sim.updates.iter().any(|update| matches!(update, Update::Reset { .. })));
}

#[test]
fn a_return_resumes_by_cursor() {
    let (mut sim, c, d) = (Sim::new(true, Cursors::default()), LogId::new_v7(), LogId::new_v7());
    sim.open(0);
    sim.sync(&v1::SyncResponse { conversations: vec![conversation(c, 0, 1, 2)], ..Default::default() });
    sim.event(c, 1, None);
    sim.replica.lost(&Closed::broken("cut"));
    sim.open(3);
    // What comes meanwhile waits for what was missed.
    sim.event(c, 5, None);
    let (id, _) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
    let request = sim.sync(&v1::SyncResponse {
        own_events: vec![event(sim.me, 1, None), event(sim.me, 2, joined(d, 7)), event(sim.me, 3, None)],
        own_last_seq: 3,
        conversations: vec![conversation(d, 9, 7, 2), conversation(c, 5, 1, 2)],
        ..Default::default()
    });
    assert_eq!((request.own_seq, request.known.len(), request.known[0].last_seq), (0, 1, 1));
    sim.reply(id, &page(c, 2..=5, false, 5));
    let (id, request) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
    assert_eq!(request.conversation_id, d.to_string());
    sim.reply(id, &page(d, 7..=9, false, 9));
    assert_eq!((sim.of(c), sim.of(d), sim.of(sim.me)), (vec![1, 2, 3, 4, 5], vec![7, 8, 9], vec![1, 2, 3]));
    assert_eq!(sim.updates.last(), Some(&Update::CaughtUp));

    let cursors = sim.replica.cursors();
    let mut again = Sim::new(false, cursors);
    again.me = sim.me;
    again.open(3);
    let request = again.sync(&v1::SyncResponse::default());
    let mut seqs: Vec<_> = request.known.iter().map(|head| head.last_seq).collect();
    seqs.sort_unstable();
    assert_eq!((request.own_seq, seqs), (3, vec![5, 9]), "a later start knows it too");
}

#[test]
fn a_new_device_begins_with_what_comes_after_welcome() {
    let (mut sim, c) = (Sim::new(false, Cursors::default()), LogId::new_v7());
    sim.open(0);
    sim.event(c, 10, None);
    sim.sync(&v1::SyncResponse { conversations: vec![conversation(c, 11, 1, 2)], ..Default::default() });
    let (id, request) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
    assert_eq!(request.from, Some(v1::list_events_request::From::AfterSeq(10)));
    sim.reply(id, &page(c, 11..=11, false, 11));
    assert_eq!(sim.of(c), [10, 11]);
}

#[test]
fn pages_of_sync_repeat_the_request() {
    let mut sim = Sim::new(false, Cursors::default());
    let (c, d) = (LogId::new_v7(), LogId::new_v7());
    sim.open(0);
    let next_page_token = "next".to_owned();
    let conversations = vec![conversation(c, 1, 1, 2)];
    let first = sim.sync(&v1::SyncResponse { conversations, next_page_token, ..Default::default() });
    let conversations = vec![conversation(d, 1, 1, 2)];
    let second = sim.sync(&v1::SyncResponse { conversations, own_more: true, ..Default::default() });
    assert_eq!(second, v1::SyncRequest { page_token: "next".to_owned(), ..first });
    assert!(!sim.updates.contains(&Update::CaughtUp), "own_more");
    let third = sim.sync(&v1::SyncResponse { gone: vec![c.to_string()], ..Default::default() });
    assert_eq!((third.page_token.as_str(), third.known.len()), ("", 2));
    assert!(sim.updates.contains(&Update::Gone { conversation_id: c.to_string() }));
    assert!(sim.updates.contains(&Update::CaughtUp));
}

#[test]
fn a_position_takes_the_place_of_heads_once_nothing_is_missing() {
    let (mut sim, c) = (Sim::new(true, Cursors::default()), LogId::new_v7());
    sim.open(0);
    let conversations = vec![conversation(c, 2, 1, 2)];
    let request = sim.sync(&v1::SyncResponse { conversations, position: 7, ..Default::default() });
    assert_eq!((request.position, sim.replica.cursors().position), (0, 0));
    let (id, _) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
    // What was told of is not here yet: a device that starts again has to be told again.
    sim.reply(id, &page(c, 1..=1, true, 2));
    assert_eq!(sim.replica.cursors().position, 0);
    let (id, _) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
    sim.reply(id, &page(c, 2..=2, false, 2));
    let cursors = sim.replica.cursors();
    assert_eq!(cursors.position, 7);

    let mut again = Sim::new(true, cursors);
    again.me = sim.me;
    again.open(0);
    let request = again.sync(&v1::SyncResponse { position: 9, ..Default::default() });
    assert_eq!((request.position, request.known.len()), (7, 0));
    assert_eq!(again.replica.cursors().position, 9);
    // A server of the release before gives none, and wants to be told heads.
    again.replica.resync(again.now);
    again.collect();
    again.sync(&v1::SyncResponse::default());
    again.replica.resync(again.now);
    again.collect();
    let request = again.sync(&v1::SyncResponse::default());
    assert_eq!((request.position, request.known.len()), (0, 1));
}

#[test]
fn another_history_begins_as_a_new_device() {
    for by_welcome in [false, true] {
        let (mut sim, c) = (Sim::new(true, Cursors::default()), LogId::new_v7());
        sim.open_in("one", 0);
        let told = |epoch: &str, position, last_seq| v1::SyncResponse {
            conversations: vec![conversation(c, last_seq, 1, 2)],
            epoch: epoch.to_owned(),
            position,
            ..Default::default()
        };
        sim.sync(&told("one", 7, 1));
        let (id, _) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
        sim.reply(id, &page(c, 1..=1, false, 1));
        sim.replica.post(sim.now, c, "a".into(), "waits".into());
        sim.collect();
        sim.updates.clear();
        sim.calls.clear();
        sim.replica.lost(&Closed::broken("restored"));
        sim.open_in(if by_welcome { "two" } else { "" }, 0);
        if !by_welcome {
            assert_eq!(sim.sync(&told("two", 3, 1)).position, 7);
        }
        for log in [sim.me, c] {
            assert!(sim.updates.contains(&Update::Reset { log_id: log.to_string() }), "{by_welcome}");
        }
        let request = sim.sync(&told("two", 3, 1));
        assert_eq!((request.position, request.own_seq, request.known.len()), (0, 0, 0));
        let (id, _) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
        sim.reply(id, &page(c, 1..=1, false, 1));
        assert_eq!(sim.of(c), [1], "the same seq is another event");
        assert_eq!((sim.replica.cursors().epoch.as_str(), sim.replica.cursors().position), ("two", 3));
        let (_, request) = sim.take::<v1::SendMessageRequest>(SEND_MESSAGE);
        assert_eq!(request.client_msg_id, "a", "what waits stays");
    }
}

#[test]
fn messages_go_again_under_the_same_id_until_they_are_settled() {
    let (mut sim, c) = (Sim::new(false, Cursors::default()), LogId::new_v7());
    sim.replica.post(sim.now, c, "a".into(), "one".into());
    sim.open(0);
    sim.replica.post(sim.now, c, "b".into(), "two".into());
    sim.collect();
    let (first, request) = sim.take::<v1::SendMessageRequest>(SEND_MESSAGE);
    assert_eq!((request.client_msg_id.as_str(), request.text.as_str()), ("a", "one"));
    let (second, _) = sim.take::<v1::SendMessageRequest>(SEND_MESSAGE);
    sim.reply(second, &v1::SendMessageResponse { seq: 2, ..Default::default() });
    // No answer to the first: it is unknown what became of it.
    sim.pass(15 * SECOND);
    sim.pass(SECOND);
    let (again, request) = sim.take::<v1::SendMessageRequest>(SEND_MESSAGE);
    assert_eq!(request.client_msg_id, "a");
    sim.reply(first, &v1::SendMessageResponse { seq: 1, ..Default::default() });
    sim.replica.lost(&Closed::broken("cut"));
    sim.reply(again, &v1::SendMessageResponse { seq: 1, ..Default::default() });
    sim.open(0);
    let (third, request) = sim.take::<v1::SendMessageRequest>(SEND_MESSAGE);
    assert_eq!(request.client_msg_id, "a");
    sim.reply(third, &v1::SendMessageResponse { seq: 1, duplicate: true, ..Default::default() });
    let sent: Vec<_> = sim
        .updates
        .iter()
        .filter_map(|update| match update {
            Update::Sent { client_msg_id, outcome, .. } => {
                Some((client_msg_id.as_str(), outcome.as_ref().unwrap().seq))
            }
            _ => None,
        })
        .collect();
    assert_eq!(sent, [("b", 2), ("a", 1)], "each is settled once");
}

#[test]
fn a_cursor_from_the_future_begins_as_a_new_device() {
    for backfill in [false, true] {
        let c = LogId::new_v7();
        // The head told of more than the device has: a page of that is on its way when the refusal comes.
        let head = v1::Head { conversation_id: c.to_string(), last_seq: 50, ..v1::Head::default() };
        let mut sim = Sim::new(backfill, Cursors { own_seq: Some(50), logs: vec![head], ..Cursors::default() });
        sim.replica.post(sim.now, c, "a".into(), "one".into());
        sim.open(3);
        sim.event(c, 52, None);
        let (stale, _) = sim.take::<v1::ListEventsRequest>(LIST_EVENTS);
        let (id, request) = sim.take::<v1::SyncRequest>(SYNC);
        assert_eq!((request.own_seq, request.known.len()), (50, 1));
        sim.refuse(id, ErrorCode::CursorFromFuture);
        for log in [sim.me, c] {
            assert!(sim.updates.contains(&Update::Reset { log_id: log.to_string() }));
        }
        sim.event(c, 41, None);
        let conversations = vec![conversation(c, 41, 41, 2)];
        let request = sim.sync(&v1::SyncResponse { conversations, ..Default::default() });
        assert_eq!((request.own_seq, request.known.len()), (if backfill { 0 } else { 3 }, 0));
        sim.event(c, 42, None);
        sim.reply(stale, &page(c, 51..=52, false, 52));
        assert_eq!(sim.of(c), [41, 42], "known by seq, but not the same");
        assert!(sim.updates.contains(&Update::CaughtUp));
        let (send, _) = sim.take::<v1::SendMessageRequest>(SEND_MESSAGE);
        sim.reply(send, &v1::SendMessageResponse { seq: 43, ..Default::default() });
        assert!(sim.updates.iter().any(|update| matches!(update, Update::Sent { .. })), "what waits stays");
    }
}

#[test]
fn a_server_that_refuses_a_new_device_is_asked_again_later() {
    let mut sim = Sim::new(false, Cursors::default());
    sim.open(3);
    let (id, _) = sim.take::<v1::SyncRequest>(SYNC);
    sim.refuse(id, ErrorCode::CursorFromFuture);
    // Once at once, from the beginning: where Welcome said that the own log ends may be of another history.
    let (id, request) = sim.take::<v1::SyncRequest>(SYNC);
    assert_eq!(request.own_seq, 0);
    sim.refuse(id, ErrorCode::CursorFromFuture);
    assert!(sim.calls.is_empty());
    sim.pass(RETRY);
    sim.take::<v1::SyncRequest>(SYNC);
}

#[test]
fn a_call_fails_with_its_session_and_without_one() {
    let mut sim = Sim::new(false, Cursors::default());
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    sim.replica.call(sim.now, "m", String::new(), Bytes::new(), reply);
    assert!(matches!(answer.try_recv().unwrap(), Err(CallError::Closed(_))));
    sim.open(0);
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    sim.replica.call(sim.now, "m", String::new(), Bytes::new(), reply);
    assert!(answer.try_recv().is_err(), "it waits");
    sim.replica.lost(&Closed::broken("cut"));
    assert!(matches!(answer.try_recv().unwrap(), Err(CallError::Closed(_))));
    sim.open(0);
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    sim.replica.call(sim.now, "m", String::new(), Bytes::new(), reply);
    sim.pass(15 * SECOND);
    assert!(matches!(answer.try_recv().unwrap(), Err(CallError::TimedOut)));
}

#[test]
fn a_call_with_a_client_msg_id_is_repeated_for_30_seconds() {
    const LEAVE: &str = "gogochat.v1.ChatService/LeaveGroup";
    let request = v1::LeaveGroupRequest { conversation_id: "g".into(), client_msg_id: "id".into() };
    let make = |sim: &mut Sim, method: &str| {
        let (reply, answer) = tokio::sync::oneshot::channel();
        sim.replica.call(sim.now, method, "g".into(), request.encode_to_vec().into(), reply);
        sim.collect();
        answer
    };
    let mut sim = Sim::new(false, Cursors::default());
    sim.open(0);
    let mut answer = make(&mut sim, LEAVE);
    let (id, _) = sim.take::<v1::LeaveGroupRequest>(LEAVE);
    sim.refuse(id, ErrorCode::StorageFull);
    // 10 s are asked for, to which half of a quarter comes.
    sim.pass(11 * SECOND);
    assert!(answer.try_recv().is_err() && sim.calls.iter().all(|call| call.method != LEAVE));
    sim.pass(SECOND / 4);
    assert_eq!(sim.calls.last().map(|call| call.key.as_str()), Some("g"));
    let (id, again) = sim.take::<v1::LeaveGroupRequest>(LEAVE);
    assert_eq!(again, request);
    sim.reply(id, &v1::LeaveGroupResponse::default());
    assert!(answer.try_recv().unwrap().is_ok());

    let (start, mut answer, mut made) = (sim.now, make(&mut sim, LEAVE), 0);
    let last = loop {
        let (id, _) = sim.take::<v1::LeaveGroupRequest>(LEAVE);
        made += 1;
        sim.refuse(id, ErrorCode::Unavailable);
        if let Ok(last) = answer.try_recv() {
            break last;
        }
        sim.pass(SECOND * 9 / 16);
    };
    assert!(matches!(last, Err(CallError::Refused(error)) if error.code == "unavailable"));
    assert_eq!((made, (sim.now - start).as_secs()), (54, 29));

    let mut answer = make(&mut sim, LEAVE);
    let (id, _) = sim.take::<v1::LeaveGroupRequest>(LEAVE);
    sim.refuse(id, ErrorCode::Overloaded);
    sim.replica.lost(&Closed::broken("cut"));
    assert!(matches!(answer.try_recv().unwrap(), Err(CallError::Closed(_))), "the next session holds nothing back");
    sim.open(0);
    sim.pass(SECOND);
    assert!(sim.calls.iter().all(|call| call.method != LEAVE));

    for (method, code) in
        [("gogochat.v1.SocialService/AcceptContact", ErrorCode::Overloaded), (LEAVE, ErrorCode::NotAMember)]
    {
        let mut answer = make(&mut sim, method);
        let (id, _) = sim.take::<v1::LeaveGroupRequest>(method);
        sim.refuse(id, code);
        assert!(matches!(answer.try_recv().unwrap(), Err(CallError::Refused(_))), "{method}");
    }
}
