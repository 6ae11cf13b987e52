use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    connections_per_address: 0,
    sessions_per_user: 1,
    sessions: 1,
    opening: 2,
    streams: 16,
    datagram_buffer: 0,
    queue_bytes: 1_000,
    queue_frames: 10,
    queue_max_bytes: 4_000,
    core_queue: 0,
    stalled: std::time::Duration::MAX,
    unused: std::time::Duration::MAX,
};

fn queue() -> Queue {
    Queue::new(Format::Stream, LIMITS)
}

fn event(log: LogId, seq: i64) -> Class {
    Class::Event { log, seq }
}

fn typing(log: LogId, subject: u8) -> Class {
    Class::Ephemeral { log, subject: [subject; 16], kind: 1, keep: false }
}

fn watermark(log: LogId, subject: u8) -> Class {
    Class::Ephemeral { log, subject: [subject; 16], kind: 3, keep: true }
}

fn bytes(size: usize) -> Bytes {
    Bytes::from(vec![1; size])
}

/// Writes everything, and gives the Resyncs among it.
fn drain(queue: &mut Queue) -> Vec<v1::Resync> {
    let mut decoder = gogochat_proto::frame::Decoder::default();
    let mut found = Vec::new();
    while let Some(class) = queue.items.front().map(|item| item.class) {
        let first = queue.front(1).next().cloned().unwrap();
        queue.advance(first.len());
        if matches!(class, Class::Resync(_)) {
            decoder.push(&first);
            let frame = gogochat_proto::frame::server_frame(decoder.next().unwrap().unwrap()).unwrap();
            let Some(Frame::Resync(resync)) = frame else { panic!("{frame:?}") };
            found.push(resync);
        }
    }
    assert_eq!(queue.bytes(), 0);
    found
}

#[test]
fn one_resync_for_each_log_with_dropped_events() {
    let (a, b) = (LogId::new_v7(), LogId::new_v7());
    let mut queue = queue();
    for seq in 1..=9 {
        assert_eq!(queue.push(bytes(100), event(a, seq)), Pushed::Queued);
    }
    assert_eq!(queue.push(bytes(200), event(a, 10)), Pushed::Dropped { resync: true });
    assert_eq!(queue.push(bytes(1), event(a, 11)), Pushed::Dropped { resync: false });
    assert_eq!(queue.push(bytes(200), event(b, 5)), Pushed::Dropped { resync: true });
    let resyncs = drain(&mut queue);
    let found: Vec<_> = resyncs.into_iter().map(|resync| (resync.log_id, resync.from_seq)).collect();
    assert_eq!(found, [(a.to_string(), 9), (b.to_string(), 4)]);
    // Once it has left, events flow again.
    assert_eq!(queue.push(bytes(1), event(a, 12)), Pushed::Queued);
}

#[test]
fn a_log_stays_out_until_its_resync_has_left() {
    let log = LogId::new_v7();
    let mut queue = queue();
    queue.push(bytes(900), event(log, 1));
    queue.push(bytes(900), event(log, 2));
    queue.advance(900);
    // There is room, but an event before the Resync would look like a gap.
    assert_eq!(queue.push(bytes(1), event(log, 3)), Pushed::Dropped { resync: false });
    assert_eq!(drain(&mut queue).len(), 1);
    assert_eq!(queue.push(bytes(1), event(log, 4)), Pushed::Queued);
}

#[test]
fn past_so_many_logs_one_resync_stands_for_any() {
    let mut queue = queue();
    queue.push(bytes(1_000), Class::Control);
    for seq in 1..=200 {
        queue.push(bytes(100), event(LogId::new_v7(), seq));
    }
    assert!(queue.len() <= MAX_LAGGING + 2);
    let resyncs = drain(&mut queue);
    assert_eq!(resyncs.len(), MAX_LAGGING + 1);
    assert_eq!(resyncs.last(), Some(&v1::Resync::default()));
    assert_eq!(queue.push(bytes(1), event(LogId::new_v7(), 1)), Pushed::Queued);
}

#[test]
fn a_large_event_goes_into_an_empty_queue() {
    let mut queue = queue();
    assert_eq!(queue.push(bytes(3_000), event(LogId::new_v7(), 1)), Pushed::Queued);
}

#[test]
fn newer_replaces_older_and_typing_is_shed() {
    let log = LogId::new_v7();
    let mut queue = queue();
    assert_eq!(queue.push(bytes(500), typing(log, 1)), Pushed::Queued);
    assert_eq!(queue.push(bytes(400), typing(log, 2)), Pushed::Queued);
    assert_eq!(queue.push(bytes(300), typing(log, 1)), Pushed::Replaced);
    assert_eq!((queue.len(), queue.bytes()), (2, 700));
    assert_eq!(queue.push(bytes(400), typing(log, 3)), Pushed::Dropped { resync: false });
    // A watermark waits even then, and coalesces.
    assert_eq!(queue.push(bytes(400), watermark(log, 3)), Pushed::Queued);
    assert_eq!(queue.push(bytes(401), watermark(log, 3)), Pushed::Replaced);
}

#[test]
fn a_half_written_frame_is_not_replaced_nor_cleared() {
    let log = LogId::new_v7();
    let mut queue = queue();
    queue.push(bytes(100), typing(log, 1));
    queue.advance(40);
    assert_eq!(queue.push(bytes(50), typing(log, 1)), Pushed::Queued);
    queue.push(bytes(10), Class::Control);
    queue.clear();
    assert_eq!((queue.len(), queue.bytes()), (1, 60));
}

#[test]
fn replies_are_never_dropped_but_bounded() {
    let mut queue = queue();
    for _ in 0..4 {
        assert_eq!(queue.push(bytes(1_000), Class::Control), Pushed::Queued);
    }
    assert_eq!(queue.push(bytes(1), Class::Control), Pushed::Overflow);
}

#[test]
fn an_emptied_queue_gives_its_memory_back() {
    let mut queue = queue();
    for _ in 0..100 {
        queue.push(bytes(10), Class::Control);
    }
    queue.advance(1_000);
    assert_eq!(queue.items.capacity(), 0);
}

proptest! {
    /// Whatever is pushed and however it is written: the bytes come out once and in order, within the
    /// bounds, and a log's events have no gap that no Resync tells of.
    #[test]
    fn events_come_in_order_or_a_resync_tells(steps in prop::collection::vec((0..3_usize, 1..400_usize, 0..600_usize), 1..200)) {
        let logs = [LogId::new_v7(), LogId::new_v7(), LogId::new_v7()];
        let mut queue = queue();
        let mut next = [1; 3];
        let mut seen = [0; 3];
        let mut check = |class: Class| {
            match class {
                Class::Event { log, seq } => {
                    let index = logs.iter().position(|l| *l == log).unwrap();
                    // After a Resync any later event may come.
                    if seen[index] >= 0 && seq != seen[index] + 1 {
                        return Err(TestCaseError::fail(format!("{seq} after {}", seen[index])));
                    }
                    seen[index] = seq;
                }
                Class::Resync(Some(log)) => seen[logs.iter().position(|l| *l == log).unwrap()] = -1,
                _ => {}
            }
            Ok(())
        };
        for (index, size, write) in steps {
            queue.push(bytes(size), event(logs[index], next[index]));
            next[index] += 1;
            prop_assert!(queue.len() <= 10 + 3);
            prop_assert!(queue.bytes() <= 1_000 + 3 * 60);
            let mut left = write.min(queue.bytes());
            while left > 0 {
                let (class, size) = queue.items.front().map(|item| (item.class, item.bytes.len())).unwrap();
                let part = left.min(size);
                queue.advance(part);
                left -= part;
                if part == size {
                    check(class)?;
                }
            }
        }
    }
}

/// The sizes of the frames that wait, in order.
fn sizes(queue: &Queue) -> Vec<usize> {
    queue.front(usize::MAX).map(Bytes::len).collect()
}

#[test]
fn what_is_live_goes_before_replies() {
    let log = LogId::new_v7();
    let mut queue = queue();
    queue.push(bytes(10), event(log, 1));
    queue.push(bytes(300), Class::Reply);
    queue.push(bytes(301), Class::Reply);
    queue.push(bytes(11), event(log, 2));
    queue.push(bytes(12), Class::Control);
    assert_eq!(sizes(&queue), [10, 11, 12, 300, 301]);
    // One that is half written stays in front, and one that was written makes no place before others.
    queue.advance(10 + 11 + 12 + 100);
    queue.push(bytes(13), event(log, 3));
    assert_eq!(sizes(&queue), [200, 13, 301]);
    queue.advance(200);
    queue.push(bytes(14), event(log, 4));
    assert_eq!((sizes(&queue), queue.reply_bytes()), (vec![13, 14, 301], 301));
    queue.advance(13 + 14 + 301);
    assert_eq!((queue.len(), queue.bytes(), queue.reply_bytes()), (0, 0, 0));
}

#[test]
fn replies_leave_events_their_place() {
    let log = LogId::new_v7();
    let mut queue = queue();
    for _ in 0..3 {
        assert_eq!(queue.push(bytes(900), Class::Reply), Pushed::Queued);
    }
    assert_eq!(queue.push(bytes(1_000), event(log, 1)), Pushed::Queued);
    assert_eq!(queue.push(bytes(1), event(log, 2)), Pushed::Dropped { resync: true });
}

#[test]
fn replies_go_at_last_however_much_is_live() {
    let log = LogId::new_v7();
    let mut queue = queue();
    queue.push(bytes(300), Class::Reply);
    for seq in 1..=2 * MAX_PASSED as i64 {
        queue.push(bytes(1), event(log, seq));
        if seq < MAX_PASSED as i64 {
            queue.advance(1);
        }
        queue.push(bytes(2), Class::Control);
        queue.advance(2);
    }
    assert!(queue.reply_bytes() < 300);
}
