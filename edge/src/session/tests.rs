use gogochat_proto::{
    ids::{DeviceId, UserId},
    limits::{
        FRAMES_A_SECOND_OF_USER, HEARTBEAT, MARKS_INTERVAL, MAX_CALLS_IN_FLIGHT, MAX_CALLS_OF_USER, SILENCE,
        TYPING_INTERVAL,
    },
};

use super::{calls::Begun, *};

const SEND: &str = "gogochat.v1.ChatService/SendMessage";
const MARK: &str = "gogochat.v1.ChatService/Mark";
const SYNC: &str = "gogochat.v1.SyncService/Sync";

/// A core has opened the session where nothing was abandoned by that.
const ANSWERED: Opened = Opened::Answer { abandoned: None };
const MOVED: Opened = Opened::Move { abandoned: None };

/// A call goes on this stream, and the session has left none by that.
fn open(stream: u64) -> CallRoute {
    CallRoute::Open { stream, left: None }
}

/// A session under a clock of its own.
struct Sim {
    session: Session,
    now: Instant,
}

impl Sim {
    fn new() -> Self {
        let now = Instant::now();
        Self { session: Session::new(now), now }
    }

    fn live() -> Self {
        let mut sim = Self::new();
        assert!(matches!(sim.hello("t"), Ok(Some(Output::Open(hello))) if hello.access_token == "t"));
        assert_eq!(sim.session.opened(principal(), None, 1, None), ANSWERED);
        sim.session.set_share(Arc::new(UserShare::new(sim.now)));
        sim
    }

    /// Live as another session of the same user.
    fn beside(other: &Self) -> Self {
        let mut sim = Self::live();
        sim.now = other.now;
        sim.session.set_share(other.session.calls.share().unwrap().clone());
        sim
    }

    fn receive(&mut self, frame: client_frame::Frame) -> Result<Option<Output>, CloseCode> {
        self.session.receive(frame, ReplyTo::Session, self.now)
    }

    fn hello(&mut self, token: &str) -> Result<Option<Output>, CloseCode> {
        let hello = v1::Hello { access_token: token.into(), client: "test".into(), ..Default::default() };
        self.receive(client_frame::Frame::Hello(hello))
    }

    fn call(&mut self, id: u32, method: &str, key: &str, body: &str) -> Result<Option<Output>, CloseCode> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.receive(client_frame::Frame::Call(v1::Call { id, method: method.into(), key: key.into(), body }))
    }

    /// Where a send in conversation "a" goes.
    fn sent(&mut self, id: u32, body: &str) -> CallRoute {
        let number = self.number(id, body);
        self.session.route(number)
    }

    /// What the core knows a send in conversation "a" by.
    fn number(&mut self, id: u32, body: &str) -> u64 {
        let Ok(Some(Output::Ordered { begun, .. })) = self.call(id, SEND, "a", body) else { panic!("not sent") };
        begun.number
    }

    fn finish(&mut self, id: u32, again: bool) -> Option<Pending> {
        self.session.finish(id, again, self.now)
    }

    fn refuse(&mut self, id: u32) -> Option<Pending> {
        self.session.refuse(id, self.now)
    }

    fn ping(&mut self) -> Result<Option<Output>, CloseCode> {
        self.receive(client_frame::Frame::Ping(v1::Ping { nonce: 1 }))
    }

    /// Ticks once a second for as long; gives what came of it.
    fn pass(&mut self, time: Duration) -> Result<Vec<Output>, (CloseCode, Duration)> {
        let mut outputs = Vec::new();
        for second in 1..=time.as_secs() {
            self.now += Duration::from_secs(1);
            let ticked = self.session.tick(true, self.now);
            outputs.extend(ticked.map_err(|code| (code, Duration::from_secs(second)))?);
        }
        Ok(outputs)
    }
}

fn principal() -> Principal {
    static PRINCIPAL: std::sync::LazyLock<Principal> =
        std::sync::LazyLock::new(|| Principal { user: UserId::new_v7(), device: DeviceId::new_v7() });
    *PRINCIPAL
}

fn refused(output: Result<Option<Output>, CloseCode>) -> (u32, String) {
    match output {
        Ok(Some(Output::Refuse(id, _, error))) => (id, error.code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hello_has_five_seconds() {
    assert!(Sim::new().pass(HELLO_TIMEOUT - Duration::from_secs(1)).is_ok());
    let late = Sim::new().pass(Duration::from_secs(60)).unwrap_err();
    assert_eq!(late, (CloseCode::Timeout, HELLO_TIMEOUT));
}

#[test]
fn nothing_but_hello_comes_first() {
    assert_eq!(Sim::new().ping().unwrap_err(), CloseCode::ProtocolError);
    let mut opening = Sim::new();
    opening.hello("a").unwrap();
    assert!(opening.session.is_opening());
    assert_eq!(opening.hello("b").unwrap_err(), CloseCode::ProtocolError);
}

#[test]
fn a_core_that_is_away_or_silent_is_not_waited_for_long() {
    let mut sim = Sim::new();
    sim.hello("t").unwrap();
    assert!(sim.session.tick(false, sim.now + AWAY_TIMEOUT - Duration::from_millis(1)).is_ok());
    assert_eq!(sim.session.tick(false, sim.now + AWAY_TIMEOUT).unwrap_err(), CloseCode::Unavailable);
    assert!(sim.session.tick(true, sim.now + AWAY_TIMEOUT).is_ok());
    assert_eq!(sim.session.tick(true, sim.now + OPEN_TIMEOUT).unwrap_err(), CloseCode::Unavailable);
}

#[test]
fn a_silent_client_is_asked_and_then_given_up() {
    let mut sim = Sim::live();
    let asked = sim.pass(HEARTBEAT + Duration::from_secs(2)).unwrap();
    assert!(matches!(asked[..], [Output::Ping(_)]));
    let dead = sim.pass(Duration::from_secs(60)).unwrap_err();
    assert_eq!(dead, (CloseCode::Silent, SILENCE - HEARTBEAT - Duration::from_secs(2)));
}

#[test]
fn a_client_that_pings_lives_on() {
    let mut sim = Sim::live();
    for _ in 0..100 {
        assert!(matches!(sim.ping(), Ok(Some(Output::Pong(v1::Pong { nonce: 1 })))));
        assert!(sim.pass(HEARTBEAT).unwrap().is_empty());
    }
}

#[test]
fn a_begun_frame_has_ten_seconds_however_often_a_byte_comes() {
    let mut sim = Sim::live();
    for _ in 0..9 {
        sim.session.set_unfinished(true, sim.now);
        sim.pass(Duration::from_secs(1)).unwrap();
    }
    sim.session.set_unfinished(false, sim.now);
    sim.pass(Duration::from_secs(5)).unwrap();
    sim.session.set_unfinished(true, sim.now);
    assert_eq!(sim.pass(Duration::from_secs(20)).unwrap_err(), (CloseCode::Timeout, FRAME_TIMEOUT));
}

#[test]
fn a_token_lapses_unless_renewed() {
    let mut sim = Sim::new();
    sim.hello("t").unwrap();
    assert_eq!(sim.session.opened(principal(), Some(sim.now + Duration::from_secs(10)), 1, None), ANSWERED);
    assert!(matches!(sim.hello("newer"), Ok(Some(Output::Open(hello))) if hello.access_token == "newer"));
    assert_eq!(sim.session.token(), Some("newer"));
    // What says nothing of that token does not answer it: the core may find it to be none.
    let again = sim.session.opened(principal(), Some(sim.now + Duration::from_secs(10)), 1, None);
    assert_eq!((again, sim.session.token()), (MOVED, Some("newer")));
    assert_eq!(sim.session.bearer(), Some((principal(), TokenHash::of("t"))));
    let checked = Some(TokenHash::of("newer"));
    assert_eq!(sim.session.opened(principal(), Some(sim.now + Duration::from_secs(20)), 1, checked), ANSWERED);
    assert_eq!((sim.session.token(), sim.session.bearer()), (None, Some((principal(), TokenHash::of("newer")))));
    assert_eq!(sim.pass(Duration::from_secs(40)).unwrap_err().0, CloseCode::TokenExpired);
}

#[test]
fn one_renewal_at_a_time() {
    let mut sim = Sim::live();
    sim.hello("newer").unwrap();
    assert_eq!(sim.hello("newest").unwrap_err(), CloseCode::RateLimited);
}

#[test]
fn frames_that_are_finished_one_after_the_other_take_as_long_as_they_like() {
    let mut sim = Sim::live();
    for _ in 0..20 {
        // Each read ends within the next frame.
        sim.session.whole();
        sim.ping().unwrap();
        sim.session.set_unfinished(true, sim.now);
        sim.pass(Duration::from_secs(1)).unwrap();
    }
}

#[test]
fn a_session_never_changes_hands() {
    let mut sim = Sim::live();
    sim.hello("somebody else's").unwrap();
    let other = Principal { user: UserId::new_v7(), device: DeviceId::new_v7() };
    assert_eq!(sim.session.opened(other, None, 1, Some(TokenHash::of("somebody else's"))), Opened::Mismatch);
    assert_eq!(sim.session.principal(), Some(principal()));
}

#[test]
fn calls_go_by_their_lane() {
    let mut sim = Sim::live();
    assert!(matches!(sim.call(1, SEND, "k", "m"), Ok(Some(Output::Ordered { .. }))));
    assert!(matches!(sim.call(2, SYNC, "", ""), Ok(Some(Output::Unordered(_, method))) if method.name == SYNC));
    assert_eq!(refused(sim.call(3, "x/Y", "", "")), (3, "unknown_method".into()));
    assert_eq!(sim.session.calls_in_flight(), 2);
    assert!(sim.finish(1, false).is_some() && sim.finish(1, false).is_none());
}

#[test]
fn an_id_is_used_once_at_a_time() {
    let mut sim = Sim::live();
    sim.call(1, SEND, "k", "m").unwrap();
    assert_eq!(sim.call(1, SYNC, "", "").unwrap_err(), CloseCode::ProtocolError);
}

#[test]
fn after_a_refusal_later_sends_of_that_conversation_wait_for_it() {
    let mut sim = Sim::live();
    sim.call(1, SEND, "a", "first").unwrap();
    sim.call(2, SEND, "a", "second").unwrap();
    sim.call(3, SEND, "b", "other").unwrap();
    // The stream to the core broke.
    assert_eq!(sim.session.lost(1), [1, 2, 3]);
    for id in [1, 2, 3] {
        assert!(sim.refuse(id).is_some());
    }
    assert_eq!(refused(sim.call(4, SEND, "a", "third")), (4, "out_of_order".into()));
    assert_eq!(refused(sim.call(5, SEND, "a", "second")), (5, "out_of_order".into()));
    assert!(matches!(sim.call(6, SEND, "c", "elsewhere"), Ok(Some(Output::Ordered { .. }))));
    assert!(matches!(sim.call(7, SEND, "b", "other"), Ok(Some(Output::Ordered { .. }))));
    assert!(matches!(sim.call(8, SEND, "a", "first"), Ok(Some(Output::Ordered { .. }))));
    assert!(matches!(sim.call(9, SEND, "a", "second"), Ok(Some(Output::Ordered { .. }))));
}

#[test]
fn what_the_core_refused_for_now_holds_back_later_ones_on_any_stream() {
    let mut sim = Sim::live();
    sim.call(1, SEND, "a", "first").unwrap();
    sim.call(2, SEND, "a", "second").unwrap();
    // The core's replies may come in any order; the earliest counts.
    assert!(sim.finish(2, true).is_some() && sim.finish(1, true).is_some());
    assert!(sim.session.lost(1).is_empty());
    assert_eq!(sim.session.opened(principal(), None, 2, None), MOVED);
    assert_eq!(refused(sim.call(3, SEND, "a", "second")), (3, "out_of_order".into()));
    assert_eq!(sim.sent(4, "first"), open(2));
    assert_eq!(sim.sent(5, "second"), open(2));
    // One that is refused for good is not to be repeated.
    assert!(sim.finish(4, false).is_some() && sim.finish(5, false).is_some());
    assert!(matches!(sim.call(6, SEND, "a", "third"), Ok(Some(Output::Ordered { .. }))));
}

#[test]
fn a_repeat_that_came_before_the_refusal_was_known_frees_the_key_once_it_is_answered() {
    let mut sim = Sim::live();
    sim.call(1, SEND, "a", "first").unwrap();
    sim.call(2, SEND, "a", "first").unwrap();
    sim.finish(1, true);
    assert_eq!(refused(sim.call(3, SEND, "a", "second")), (3, "out_of_order".into()));
    sim.finish(2, false);
    assert!(matches!(sim.call(4, SEND, "a", "second"), Ok(Some(Output::Ordered { .. }))));
}

#[test]
fn a_refused_call_that_was_given_up_holds_others_back_for_a_minute() {
    let mut sim = Sim::live();
    sim.call(1, SEND, "a", "first").unwrap();
    sim.finish(1, true);
    for second in 0..60 {
        assert_eq!(refused(sim.call(2, SEND, "a", "second")), (2, "out_of_order".into()), "after {second} s");
        sim.ping().unwrap();
        sim.pass(Duration::from_secs(1)).unwrap();
    }
    assert!(matches!(
        sim.call(2, SEND, "a", "second"),
        Ok(Some(Output::Ordered { begun: Begun { awaited: false, .. }, .. }))
    ));
}

#[test]
fn the_core_is_told_which_repeat_was_awaited() {
    let mut sim = Sim::live();
    sim.call(1, SEND, "a", "first").unwrap();
    sim.finish(1, true);
    assert!(matches!(
        sim.call(2, SEND, "a", "first"),
        Ok(Some(Output::Ordered { begun: Begun { awaited: true, .. }, .. }))
    ));
    assert!(matches!(
        sim.call(3, SEND, "a", "second"),
        Ok(Some(Output::Ordered { begun: Begun { awaited: false, .. }, .. }))
    ));
}

#[test]
fn calls_without_a_name_neither_hold_back_nor_are_held_back() {
    let mut sim = Sim::live();
    sim.call(1, MARK, "a", "5").unwrap();
    sim.finish(1, true);
    sim.call(2, SEND, "a", "first").unwrap();
    sim.finish(2, true);
    assert!(matches!(sim.call(3, MARK, "a", "6"), Ok(Some(Output::Ordered { .. }))));
    assert_eq!(refused(sim.call(4, SEND, "a", "second")), (4, "out_of_order".into()));
    // Their fate is as unknown as that of others when the stream breaks.
    assert_eq!(sim.session.lost(1), [3]);
}

#[test]
fn a_session_that_moves_sends_nothing_there_before_all_is_answered_here() {
    let mut sim = Sim::live();
    assert_eq!(sim.sent(1, "first"), open(1));
    assert_eq!(sim.sent(2, "second"), open(1));
    assert_eq!(sim.session.opened(principal(), None, 2, None), MOVED);
    assert_eq!(sim.session.settle(), None);
    let third = sim.number(3, "third");
    assert_eq!(sim.session.route(third), CallRoute::Wait);
    sim.finish(1, false);
    assert_eq!(sim.session.route(third), CallRoute::Wait);
    sim.finish(2, false);
    assert_eq!(sim.session.route(third), CallRoute::Open { stream: 2, left: Some(1) }, "and has left the first");
    // What is left behind may break now.
    assert!(sim.session.lost(1).is_empty());
    assert_eq!(sim.session.route(third), open(2));

    // One without calls moves at once.
    sim.finish(3, false);
    assert_eq!(sim.session.opened(principal(), None, 3, None), MOVED);
    assert_eq!(sim.session.settle(), Some(2));
    assert_eq!(sim.session.stream(), Some(3));
}

#[test]
fn a_session_whose_core_is_lost_while_it_moves_goes_on_where_it_moves_to() {
    let mut sim = Sim::live();
    let first = sim.number(1, "first");
    assert_eq!(sim.session.opened(principal(), None, 2, None), MOVED);
    assert_eq!(sim.session.lost(1), [1]);
    assert!(sim.refuse(1).is_some());
    assert_eq!(sim.session.route(first), CallRoute::Gone);
    assert_eq!(sim.sent(2, "first"), open(2));
    // And where that is lost first, it stays.
    assert_eq!(sim.session.opened(principal(), None, 3, None), MOVED);
    assert!(sim.session.lost(3).is_empty());
    assert_eq!((sim.session.settle(), sim.session.stream()), (None, Some(2)));
}

#[test]
fn a_session_that_moves_on_before_it_has_arrived_passes_what_is_between() {
    let mut sim = Sim::live();
    assert_eq!(sim.sent(1, "first"), open(1));
    assert_eq!(sim.session.opened(principal(), None, 2, None), MOVED);
    assert_eq!(sim.session.opened(principal(), None, 2, None), MOVED, "it is where it was");
    assert_eq!(sim.session.opened(principal(), None, 3, None), Opened::Move { abandoned: Some(2) });
    assert_eq!(sim.session.streams().collect::<Vec<_>>(), [1, 3]);
    // And back again.
    assert_eq!(sim.session.opened(principal(), None, 1, None), Opened::Move { abandoned: Some(3) });
    sim.finish(1, false);
    assert_eq!((sim.session.settle(), sim.session.stream()), (None, Some(1)));
}

#[test]
fn a_late_answer_does_not_meet_another_call_of_the_same_id() {
    let mut sim = Sim::live();
    let first = sim.number(1, "first");
    assert_eq!(sim.session.lost(1), [1]);
    sim.refuse(1);
    let again = sim.number(1, "first");
    assert_eq!((sim.session.ordered_id(first as u32), sim.session.ordered_id(again as u32)), (None, Some(1)));
}

#[test]
fn a_session_is_open_on_one_stream_and_marks_wait_for_it() {
    let mut sim = Sim::live();
    let log = LogId::new_v7();
    let marks = |read_seq| {
        let mark = v1::Mark { conversation_id: log.to_string(), delivered_seq: read_seq, read_seq };
        client_frame::Frame::Marks(v1::Marks { marks: vec![mark] })
    };
    sim.session.lost(1);
    assert_eq!(sim.sent(1, "first"), CallRoute::Closed);
    assert!(matches!(sim.receive(marks(7)), Ok(None)));
    assert!(sim.pass(Duration::from_secs(3)).unwrap().is_empty());
    assert_eq!(sim.session.opened(principal(), None, 2, None), MOVED);
    let up = sim.pass(Duration::from_secs(1)).unwrap();
    assert!(matches!(&up[..], [Output::Marks(up)] if up[0].read_seq == 7));
}

#[test]
fn too_many_refused_keys_end_the_session() {
    let mut sim = Sim::live();
    for n in 0..=256 {
        sim.call(n, SEND, &n.to_string(), "m").unwrap();
        sim.refuse(n);
    }
    assert_eq!(sim.call(1_000, SEND, "another", "m").unwrap_err(), CloseCode::Unavailable);
}

#[test]
fn overdue_calls_are_found_in_order() {
    let mut sim = Sim::live();
    for id in [7, 3, 5] {
        sim.call(id, SEND, "k", "m").unwrap();
    }
    assert!(sim.session.overdue_calls(sim.now + CALL_TIMEOUT - Duration::from_secs(1)).is_empty());
    assert_eq!(sim.session.overdue_calls(sim.now + CALL_TIMEOUT), [7, 3, 5]);
}

#[test]
fn marks_go_up_once_a_second() {
    let mut sim = Sim::live();
    let log = LogId::new_v7();
    let marks = |delivered_seq, read_seq| {
        let mark = v1::Mark { conversation_id: log.to_string(), delivered_seq, read_seq };
        client_frame::Frame::Marks(v1::Marks { marks: vec![mark] })
    };
    for seq in 1..=20 {
        assert!(matches!(sim.receive(marks(seq, 0)), Ok(None)));
    }
    let up = sim.pass(MARKS_INTERVAL).unwrap();
    let [Output::Marks(up)] = &up[..] else { panic!("{up:?}") };
    assert_eq!((up.len(), up[0].delivered_seq), (1, 20));
    assert!(sim.pass(MARKS_INTERVAL).unwrap().is_empty());
    assert!(matches!(sim.receive(marks(20, 20)), Ok(Some(Output::Marks(_)))));
    sim.receive(marks(21, 21)).unwrap();
    assert_eq!(sim.session.last_marks(sim.now)[0].read_seq, 21);
}

#[test]
fn typing_is_limited_and_presence_is_not_the_clients_to_tell() {
    let mut sim = Sim::live();
    let frame = |kind| {
        let (conversation_id, user_id) = (LogId::new_v7().to_string(), "forged".to_owned());
        client_frame::Frame::Ephemeral(v1::Ephemeral { conversation_id, user_id, kind })
    };
    let typing = || frame(Some(ephemeral::Kind::Typing(v1::Typing::default())));
    let Ok(Some(Output::Ephemeral(_, bytes))) = sim.receive(typing()) else { panic!() };
    assert_eq!(v1::Ephemeral::decode(bytes).unwrap().user_id, "");
    // A kind that a newer client knows is passed over.
    assert!(matches!(sim.receive(frame(None)), Ok(None)));
    let presence = frame(Some(ephemeral::Kind::Presence(v1::Presence::default())));
    assert_eq!(sim.receive(presence).unwrap_err(), CloseCode::ProtocolError);
}

#[test]
fn a_live_session_that_is_refused_for_now_is_asked_for_again_once() {
    let mut opening = Sim::new();
    opening.hello("t").unwrap();
    assert!(!opening.session.refused_for_now(|_| false), "one that begins ends by it");
    let mut sim = Sim::live();
    assert!(!sim.session.refused_for_now(|stream| stream == 1), "the core has closed it there");
    assert!(!sim.session.take_ask_again());
    assert!(sim.session.refused_for_now(|stream| stream == 2));
    assert!(sim.session.take_ask_again() && !sim.session.take_ask_again());
}

#[test]
fn ten_sessions_of_a_user_type_no_more_than_one() {
    let first = Sim::live();
    let mut sims: Vec<_> = (0..10).map(|_| Sim::beside(&first)).collect();
    let log = LogId::new_v7();
    let mut passed = Vec::new();
    // Each says ten times a second that the user types.
    for tenth in 0..100 {
        for sim in &mut sims {
            sim.now = first.now + Duration::from_millis(100 * tenth);
            let kind = Some(ephemeral::Kind::Typing(v1::Typing::default()));
            let typing = v1::Ephemeral { conversation_id: log.to_string(), user_id: String::new(), kind };
            if sim.receive(client_frame::Frame::Ephemeral(typing)).unwrap().is_some() {
                passed.push(tenth * 100);
            }
        }
    }
    assert_eq!(passed, [0, 2_000, 4_000, 6_000, 8_000]);
    assert_eq!(TYPING_INTERVAL.as_millis(), 2_000);
    // That they have stopped is told in the end, once, by whichever session's clock.
    for n in 0..100 {
        let kind = Some(ephemeral::Kind::Typing(v1::Typing { stopped: n % 2 == 1 }));
        let typing = v1::Ephemeral { conversation_id: log.to_string(), user_id: String::new(), kind };
        sims[n % 10].receive(client_frame::Frame::Ephemeral(typing)).unwrap();
    }
    let told: Vec<_> = sims.iter_mut().flat_map(|sim| sim.pass(Duration::from_secs(1)).unwrap()).collect();
    let [Output::Ephemeral(to, bytes)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*to, log);
    let kind = v1::Ephemeral::decode(bytes.clone()).unwrap().kind;
    assert_eq!(kind, Some(ephemeral::Kind::Typing(v1::Typing { stopped: true })));
}

#[test]
fn a_users_calls_are_counted_over_all_sessions() {
    let mut first = Sim::live();
    let mut others: Vec<_> = (1..MAX_CALLS_OF_USER / MAX_CALLS_IN_FLIGHT).map(|_| Sim::beside(&first)).collect();
    for sim in others.iter_mut().chain([&mut first]) {
        for id in 0..MAX_CALLS_IN_FLIGHT as u32 {
            assert!(matches!(sim.call(id, SYNC, "", ""), Ok(Some(Output::Unordered(..)))), "{id}");
        }
    }
    let mut late = Sim::beside(&first);
    assert_eq!(refused(late.call(1, SYNC, "", "")), (1, "rate_limited".into()));
    assert_eq!(refused(late.call(2, SEND, "a", "first")), (2, "rate_limited".into()));
    // An answer makes room, yet what was refused keeps its place in the order.
    first.finish(0, false).unwrap();
    assert_eq!(refused(late.call(3, SEND, "a", "second")), (3, "out_of_order".into()));
    assert!(matches!(late.call(4, SEND, "a", "first"), Ok(Some(Output::Ordered { .. }))));
    assert_eq!(refused(late.call(5, SYNC, "", "")), (5, "rate_limited".into()));
    // A session that ends gives its places back.
    others.clear();
    for id in 10..10 + MAX_CALLS_IN_FLIGHT as u32 - 1 {
        assert!(matches!(late.call(id, SYNC, "", ""), Ok(Some(Output::Unordered(..)))), "{id}");
    }
}

#[test]
fn calls_from_before_the_user_was_known_are_counted_and_given_back() {
    let mut sim = Sim::new();
    sim.hello("t").unwrap();
    sim.session.opened(principal(), None, 1, None);
    sim.call(1, SYNC, "", "").unwrap();
    let share = Arc::new(UserShare::new(sim.now));
    sim.session.set_share(share.clone());
    assert!(!share.is_idle());
    sim.finish(1, false).unwrap();
    assert!(share.is_idle());
}

#[test]
fn a_client_that_sends_too_many_frames_is_read_more_slowly() {
    let mut sim = Sim::live();
    // Hello was one.
    let at_once = FRAMES_A_SECOND * FRAMES_BURST as usize - 1;
    for _ in 0..at_once {
        sim.ping().unwrap();
    }
    assert_eq!(sim.session.reading(), Reading::On);
    // Calls that are sent on cost nothing; those that are refused do, and the transport's own frames.
    sim.call(1, SYNC, "", "").unwrap();
    assert_eq!(sim.session.reading(), Reading::On);
    sim.call(2, "nothing", "", "").unwrap();
    let Reading::Until(at) = sim.session.reading() else { panic!() };
    assert_eq!((at - sim.now).as_secs_f32(), 1.0 / FRAMES_A_SECOND as f32);
    sim.session.control_frame(sim.now);
    let Reading::Until(later) = sim.session.reading() else { panic!() };
    assert!(later > at);
    sim.session.look_again(at);
    assert_eq!(sim.session.reading(), Reading::Until(later));
    sim.session.look_again(later);
    assert_eq!(sim.session.reading(), Reading::On);
}

#[test]
fn frames_before_hello_count_too() {
    let mut sim = Sim::new();
    for _ in 0..=FRAMES_A_SECOND * FRAMES_BURST as usize {
        sim.session.control_frame(sim.now);
    }
    assert!(matches!(sim.session.reading(), Reading::Until(_)));
}

#[test]
fn a_users_sessions_are_read_more_slowly_together() {
    let first = Sim::live();
    let sessions = 1 + FRAMES_A_SECOND_OF_USER / FRAMES_A_SECOND;
    let mut sims: Vec<_> = (0..sessions).map(|_| Sim::beside(&first)).collect();
    for sim in &mut sims {
        for _ in 0..FRAMES_A_SECOND * FRAMES_BURST as usize - 1 {
            sim.ping().unwrap();
        }
    }
    // Each is within its own budget, and the last is past that of all.
    assert!(matches!(sims.pop().unwrap().session.reading(), Reading::Until(_)));
    assert_eq!(sims.pop().unwrap().session.reading(), Reading::On);
}
