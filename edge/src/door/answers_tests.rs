use std::time::Duration;

use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::time::Instant;

use super::{
    super::activity::{Ending, Tables, Verdict},
    *,
};
use crate::limits::tcp::{ANSWERS, ANSWERS_IN_ALL, FIRST_REQUEST, WRITE_STALL};

const HEADERS: usize = 1_000;

fn open() -> Activity {
    Activity::open(&Tables::new(), ANSWERS)
}

async fn admit(activity: &Activity) -> Underway {
    Underway::admit(activity, Version::HTTP_2, HEADERS).await.unwrap()
}

fn is_admitted_at_once(activity: &Activity) -> bool {
    Underway::admit(activity, Version::HTTP_2, HEADERS).now_or_never().is_some()
}

fn answer(underway: Underway, bytes: usize) -> Answer<Full<Bytes>> {
    underway.answer(Response::new(Full::new(Bytes::from(vec![7; bytes])))).into_body()
}

fn ending(activity: &Activity, after: Duration) -> Option<Ending> {
    match activity.verdict(Instant::now() + after) {
        Verdict::Over(ending) => Some(ending),
        Verdict::Until(_) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_answers_are_made_as_there_is_room_for() {
    let activity = open();
    let mut making = Vec::new();
    for _ in 0..ANSWERS / ANSWER {
        making.push(admit(&activity).await);
    }
    assert!(!is_admitted_at_once(&activity));
    // What is smaller than was set aside for it leaves room.
    let small = answer(making.pop().unwrap(), ANSWER / 2);
    assert!(!is_admitted_at_once(&activity));
    let smaller = answer(making.pop().unwrap(), ANSWER / 2);
    assert!(is_admitted_at_once(&activity));
    drop((small, smaller));
    assert!(is_admitted_at_once(&activity));
}

#[tokio::test(start_paused = true)]
async fn room_comes_back_when_the_last_byte_has_left() {
    let activity = open();
    let mut held = Vec::new();
    for _ in 0..ANSWERS / ANSWER {
        held.push(answer(admit(&activity).await, ANSWER));
    }
    let mut answer = held.pop().unwrap();
    assert_eq!(answer.size_hint().exact(), Some(ANSWER as u64));
    let mut chunks = Vec::new();
    while let Some(frame) = answer.frame().await {
        chunks.push(frame.unwrap().into_data().unwrap());
    }
    assert!(answer.is_end_stream());
    drop(answer);
    assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), vec![CHUNK; ANSWER / CHUNK]);
    assert!(chunks.concat().iter().all(|byte| *byte == 7));
    while let Some(chunk) = chunks.pop() {
        assert!(!is_admitted_at_once(&activity), "the HTTP library has it");
        assert_eq!(ending(&activity, WRITE_STALL), Some(Ending::Stalled));
        drop(chunk);
    }
    assert_eq!(ending(&activity, WRITE_STALL), None, "what is left is the server's turn");
    assert!(is_admitted_at_once(&activity));
    held.clear();
    assert_eq!(ending(&activity, 100 * FIRST_REQUEST), Some(Ending::Silent));
}

#[tokio::test(start_paused = true)]
async fn headers_of_requests_that_wait_are_bounded() {
    let activity = open();
    let mut held = Vec::new();
    for _ in 0..ANSWERS / ANSWER {
        held.push(admit(&activity).await);
    }
    let first = tokio::spawn({
        let activity = activity.clone();
        async move { Underway::admit(&activity, Version::HTTP_2, WAITING_HEADERS - HEADERS).await.is_some() }
    });
    tokio::task::yield_now().await;
    assert!(Underway::admit(&activity, Version::HTTP_2, HEADERS + 1).await.is_none());
    let second = Underway::admit(&activity, Version::HTTP_2, HEADERS);
    tokio::pin!(second);
    assert!(second.as_mut().now_or_never().is_none(), "it waits: there is room for its headers");
    held.pop();
    assert!(first.await.unwrap() && second.await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_size_is_not_known_keeps_what_was_set_aside() {
    let activity = open();
    let mut held = Vec::new();
    for _ in 0..ANSWERS / ANSWER {
        let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"x")))]);
        held.push(admit(&activity).await.answer(Response::new(StreamBody::new(stream))));
    }
    assert!(!is_admitted_at_once(&activity));
    held.pop();
    assert!(is_admitted_at_once(&activity));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_answered_while_all_clients_together_leave_too_much_unread() {
    let tables = Tables::new();
    let (hoarder, other) = (Activity::open(&tables, ANSWERS), Activity::open(&tables, ANSWERS));
    hoarder.give(ANSWERS_IN_ALL);
    assert!(Underway::admit(&other, Version::HTTP_2, HEADERS).await.is_none());
    hoarder.take(1);
    assert!(Underway::admit(&other, Version::HTTP_2, HEADERS).await.is_some());
}
