use futures_util::FutureExt as _;
use http::Version;

use super::*;

fn open() -> Activity {
    Activity::open(&Tables::new(), ANSWERS)
}

fn ends(activity: &Activity, after: Duration) -> Option<Ending> {
    match activity.verdict(Instant::now() + after) {
        Verdict::Over(ending) => Some(ending),
        Verdict::Until(_) => None,
    }
}

const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends() {
    let activity = open();
    assert_eq!(ends(&activity, FIRST_REQUEST - MOMENT), None);
    assert_eq!(ends(&activity, FIRST_REQUEST), Some(Ending::Silent));
    // What is read is no request: half a preface, a PING.
    activity.came(10);
    assert_eq!(ends(&activity, FIRST_REQUEST), Some(Ending::Silent));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_rest_between_requests_by_its_version() {
    for (version, rest) in [(Version::HTTP_11, HTTP1_IDLE), (Version::HTTP_2, HTTP2_IDLE)] {
        let activity = open();
        activity.begin(version);
        assert_eq!(ends(&activity, 10 * HTTP2_IDLE), None, "the answer is the server's turn");
        tokio::time::advance(10 * HTTP2_IDLE).await;
        activity.finish();
        assert_eq!(ends(&activity, rest - MOMENT), None);
        assert_eq!(ends(&activity, rest), Some(Ending::Silent));
    }
}

#[tokio::test(start_paused = true)]
async fn who_speaks_http_2_is_told_before_the_end() {
    let told = |activity: &Activity| activity.goodbye().now_or_never().is_some();
    for (version, is_told) in [(Version::HTTP_11, false), (Version::HTTP_2, true)] {
        let activity = open();
        activity.begin(version);
        activity.finish();
        let (allowance, from) = (if is_told { HTTP2_IDLE } else { HTTP1_IDLE }, Instant::now());
        activity.verdict(from + allowance - GOODBYE - CHECK - MOMENT);
        assert!(!told(&activity));
        activity.verdict(from + allowance - GOODBYE - CHECK);
        assert_eq!(told(&activity), is_told);
        assert_eq!(ends(&activity, allowance - MOMENT), None, "it has a moment to say so");
        assert!(!told(&activity), "once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_may_rest_once_it_has_called() {
    let activity = Activity::shaking_node(&Tables::new(), MOMENT).unwrap();
    assert_eq!(ends(&activity, MOMENT), Some(Ending::Silent));
    activity.opened();
    assert_eq!(ends(&activity, FIRST_REQUEST), Some(Ending::Silent));
    activity.begin(Version::HTTP_2);
    activity.finish();
    assert_eq!(ends(&activity, 100 * HTTP2_IDLE), None);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_ends_the_connection() {
    let activity = open();
    activity.begin(Version::HTTP_11);
    activity.blocked(Instant::now());
    tokio::time::advance(WRITE_STALL - MOMENT).await;
    activity.blocked(Instant::now());
    assert_eq!(ends(&activity, Duration::ZERO), None);
    assert_eq!(ends(&activity, MOMENT), Some(Ending::Stalled), "since it blocked first");
    activity.wrote();
    assert_eq!(ends(&activity, WRITE_STALL), None);
}

#[tokio::test(start_paused = true)]
async fn answers_of_which_nothing_leaves_end_the_connection() {
    let activity = open();
    activity.begin(Version::HTTP_2);
    activity.give(100);
    tokio::time::advance(WRITE_STALL / 2).await;
    activity.give(100);
    assert_eq!(ends(&activity, WRITE_STALL / 2), Some(Ending::Stalled), "more that waits is no progress");
    activity.take(100);
    assert_eq!(ends(&activity, WRITE_STALL - MOMENT), None, "what leaves is");
    assert_eq!(ends(&activity, WRITE_STALL), Some(Ending::Stalled));
    activity.take(100);
    assert_eq!(ends(&activity, WRITE_STALL), None);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_comes_nearer_is_noticed_in_time() {
    let activity = open();
    activity.begin(Version::HTTP_2);
    activity.finish();
    let Verdict::Until(at) = activity.verdict(Instant::now()) else { panic!() };
    assert!(at <= Instant::now() + CHECK);
}

#[tokio::test(start_paused = true)]
async fn the_silent_make_room_and_those_with_something_to_say_do_not() {
    let tables = Tables::new();
    let (silent, asking, young) =
        (Activity::open(&tables, ANSWERS), Activity::open(&tables, ANSWERS), Activity::open(&tables, ANSWERS));
    asking.begin(Version::HTTP_11);
    young.came(1);
    tables.make_room(10);
    assert_eq!(ends(&silent, Duration::ZERO), None, "it has just come");
    tokio::time::advance(SILENT).await;
    tables.make_room(10);
    assert_eq!(ends(&silent, Duration::ZERO), Some(Ending::Evicted));
    assert_eq!([ends(&asking, Duration::ZERO), ends(&young, Duration::ZERO)], [None, None]);
    // Its bytes had come already, and were not read yet.
    silent.came(1);
    assert_eq!(ends(&silent, Duration::ZERO), None);
}

#[tokio::test(start_paused = true)]
async fn silent_handshakes_of_eight_addresses_keep_nobody_out() {
    let tables = Tables::new();
    let address = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
    let hello = Duration::from_secs(2);
    let mut silent = Vec::new();
    for n in 0..8 {
        silent.extend((0..HANDSHAKES_PER_ADDRESS).map(|_| Activity::shaking(&tables, address(n), hello).unwrap()));
    }
    assert_eq!(silent.len(), HANDSHAKES);
    tokio::time::advance(SILENT).await;
    let new: Vec<_> =
        (0..HANDSHAKES).map(|n| Activity::shaking(&tables, address(8 + (n % 200) as u8), hello)).collect();
    assert!(new.iter().all(Option::is_some));
    assert!(silent.iter().all(|activity| ends(activity, Duration::ZERO) == Some(Ending::Evicted)));
    assert!(Activity::shaking(&tables, address(1), hello).is_none(), "all that are left have just come");
}

#[tokio::test(start_paused = true)]
async fn one_address_loses_its_own_oldest_alone() {
    let tables = Tables::new();
    let address = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
    let other = Activity::shaking(&tables, address(1), FIRST_REQUEST).unwrap();
    let own: Vec<_> =
        (0..HANDSHAKES_PER_ADDRESS).map(|_| Activity::shaking(&tables, address(2), FIRST_REQUEST).unwrap()).collect();
    tokio::time::advance(SILENT).await;
    assert!(Activity::shaking(&tables, address(2), FIRST_REQUEST).is_some());
    assert_eq!(ends(&own[0], Duration::ZERO), Some(Ending::Evicted));
    assert_eq!([ends(&own[1], Duration::ZERO), ends(&other, Duration::ZERO)], [None, None]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_connection_that_is_gone() {
    let tables = Tables::new();
    let activity = Activity::open(&tables, ANSWERS);
    activity.begin(Version::HTTP_11);
    activity.leave();
    activity.finish();
    assert_eq!((tables.idle.len(), tables.handshakes.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn when_much_is_unread_patience_is_short() {
    let tables = Tables::new();
    let (one, other) = (Activity::open(&tables, ANSWERS), Activity::open(&tables, ANSWERS));
    for activity in [&one, &other] {
        activity.begin(Version::HTTP_2);
    }
    one.give(ANSWERS_PRESSED);
    assert_eq!(ends(&one, WRITE_STALL - MOMENT), None);
    other.give(1);
    assert_eq!(ends(&one, WRITE_STALL_PRESSED - MOMENT), None);
    assert_eq!([ends(&one, WRITE_STALL_PRESSED), ends(&other, WRITE_STALL_PRESSED)], [Some(Ending::Stalled); 2]);
    other.take(1);
    assert_eq!(ends(&one, WRITE_STALL - MOMENT), None);
    assert!(other.has_room());
    other.give(ANSWERS_IN_ALL - ANSWERS_PRESSED);
    assert!(!other.has_room());
}
