use std::time::Duration;

use http::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::{
    super::activity::{Ending, Tables},
    *,
};
use crate::limits::tcp::{ANSWERS, CHECK, FIRST_REQUEST, WRITE_STALL};

fn watched() -> (Watched<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(1_024);
    (Watched::new(near, Activity::open(&Tables::new(), ANSWERS)), far)
}

fn ending(error: &io::Error) -> Ending {
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    *error.get_ref().unwrap().downcast_ref().unwrap()
}

/// How long it takes, on the tests' clock.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let begin = Instant::now();
    (future.await, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn reading_fails_when_nothing_is_asked() {
    let (mut near, mut far) = watched();
    let trickle = async move {
        // A byte now and then is no request.
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = far.write_all(b"P").await;
        }
    };
    let reading = async {
        loop {
            if let Err(error) = near.read_u8().await {
                break error;
            }
        }
    };
    let (error, took) = timed(async {
        tokio::select! { error = reading => error, () = trickle => unreachable!() }
    })
    .await;
    assert_eq!(ending(&error), Ending::Silent);
    assert!(took >= FIRST_REQUEST && took <= FIRST_REQUEST + CHECK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn writing_fails_when_nothing_is_taken() {
    let (mut near, _far) = watched();
    near.activity().clone().begin(Version::HTTP_11);
    let (written, took) = timed(near.write_all(&[0; 2_000])).await;
    assert_eq!(ending(&written.unwrap_err()), Ending::Stalled);
    assert!(took >= WRITE_STALL && took <= WRITE_STALL + CHECK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn writing_goes_on_as_long_as_something_is_taken() {
    let (mut near, mut far) = watched();
    near.activity().clone().begin(Version::HTTP_11);
    let slow = async move {
        for _ in 0..10 {
            tokio::time::sleep(WRITE_STALL - CHECK).await;
            far.read_exact(&mut [0; 100]).await.unwrap();
        }
        far
    };
    let (written, _far) = tokio::join!(near.write_all(&[0; 2_000]), slow);
    written.unwrap();
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_taken_end_a_connection_that_answers_pings() {
    let (mut near, mut far) = watched();
    let activity = near.activity().clone();
    activity.begin(Version::HTTP_2);
    activity.give(100);
    let pings = async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = far.write_all(b"ping").await;
        }
    };
    let reading = async {
        loop {
            if let Err(error) = near.read_u8().await {
                break error;
            }
        }
    };
    let (error, took) = timed(async {
        tokio::select! { error = reading => error, () = pings => unreachable!() }
    })
    .await;
    assert_eq!(ending(&error), Ending::Stalled);
    assert!(took >= WRITE_STALL && took <= WRITE_STALL + CHECK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_needed_by_another_ends_at_once() {
    let tables = Tables::new();
    let (near, _far) = duplex(1_024);
    let mut near = Watched::new(near, Activity::open(&tables, ANSWERS));
    let begin = Instant::now();
    let reading = tokio::spawn(async move { near.read_u8().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    tables.make_room(1);
    assert_eq!(ending(&reading.await.unwrap().unwrap_err()), Ending::Evicted);
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_the_client_still_sends_is_read_before_the_end() {
    let (mut near, mut far) = watched();
    let sending = async move {
        // More than fits at once: it is sent only if it is read.
        far.write_all(&[0; 100_000]).await.unwrap();
        drop(far);
    };
    let ((), (shut, took)) = tokio::join!(sending, timed(near.shutdown()));
    shut.unwrap();
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn reading_on_is_bounded_in_time_and_bytes() {
    let (mut near, far) = watched();
    let (shut, took) = timed(near.shutdown()).await;
    shut.unwrap();
    assert_eq!(took, LINGER_SILENCE, "it says nothing");
    drop(far);

    let (mut near, mut far) = watched();
    let trickle = async move {
        loop {
            tokio::time::sleep(LINGER_SILENCE / 2).await;
            if far.write_all(b"x").await.is_err() {
                std::future::pending().await
            }
        }
    };
    let (shut, took) = timed(async {
        tokio::select! { shut = near.shutdown() => shut, () = trickle => unreachable!() }
    })
    .await;
    shut.unwrap();
    assert!(took >= LINGER - CHECK && took <= LINGER + CHECK, "{took:?}");

    let (mut near, mut far) = watched();
    let flood = tokio::spawn(async move {
        let mut sent = 0;
        while far.write_all(&[0; 1_024]).await.is_ok() {
            sent += 1_024;
        }
        sent
    });
    near.shutdown().await.unwrap();
    drop(near);
    let sent = flood.await.unwrap();
    assert!((LINGER_BYTES..LINGER_BYTES + 64 * 1024).contains(&sent), "{sent}");
}
