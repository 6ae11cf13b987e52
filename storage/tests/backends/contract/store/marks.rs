//! Marks that are moved beside the commits of their logs.

use std::sync::Arc;

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS_WITH_MARKS,
};
use gogochat_storage::store::{Command, Done, LowestMarks, Mark, Millis, Outcome, Refusal, Store};

use super::{World, walks::Device};

/// Moves one mark.
async fn move_one(world: &World, mark: Mark) -> Outcome {
    let mut outcomes = world.store.mark(&[mark]).await.unwrap();
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0).expect("nobody holds anything")
}

async fn raise(world: &World) {
    world.store.raise_floor(1, Millis::MAX).await.unwrap();
}

pub(crate) async fn each_is_decided_as_within_its_log(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other, stranger] = world.users().await;
    let log = world.befriend(one, other).await;
    for _ in 0..4 {
        world.say(one, log, "x").await;
    }
    let mark = |user, delivered, read| Mark { log, user, delivered, read };
    let steps = [
        ((3, 0), (3, 0), true, false),
        ((2, 0), (3, 0), false, false),
        ((0, 2), (3, 2), true, true),
        ((-9, i64::MIN), (3, 2), false, false),
        ((5, 5), (5, 5), true, false),
    ];
    for ((delivered, read), now, moves, partly_read) in steps {
        let committed = move_one(&world, mark(other, delivered, read)).await.unwrap();
        assert_eq!(committed.done, Done::Marked { delivered: now.0, read: now.1 });
        let moved = committed.mark.map(|moved| (moved.user, moved.delivered, moved.read, moved.shared));
        assert_eq!(moved, moves.then_some((other, now.0, now.1, true)));
        assert_eq!(committed.mark.is_some_and(|moved| moved.partly_read), partly_read);
        let member = world.store.member(log, other).await.unwrap().unwrap();
        assert_eq!((member.delivered, member.read), now);
    }
    let own = Mark { log: one.into(), user: one, delivered: 1, read: 1 };
    let nowhere = Mark { log: LogId::new_v7(), ..own };
    let refused = [
        (mark(other, 6, 0), Refusal::SeqFromFuture),
        (mark(other, 0, 6), Refusal::SeqFromFuture),
        (mark(stranger, 1, 1), Refusal::NotAMember),
        (own, Refusal::NotAMember),
        (nowhere, Refusal::NotAMember),
    ];
    for (mark, refusal) in refused {
        assert_eq!(move_one(&world, mark).await, Err(refusal));
    }
    // Together, and one that is refused does not disturb the others; a member who comes twice is seen so.
    world.say(one, log, "y").await;
    let marks = [mark(other, 6, 0), mark(stranger, 1, 1), mark(other, 0, 6), mark(other, 9, 9)];
    let outcomes: Vec<_> = world.store.mark(&marks).await.unwrap().into_iter().map(Option::unwrap).collect();
    assert_eq!(outcomes[0].as_ref().unwrap().done, Done::Marked { delivered: 6, read: 5 });
    assert_eq!(outcomes[1], Err(Refusal::NotAMember));
    assert_eq!(outcomes[2].as_ref().unwrap().done, Done::Marked { delivered: 6, read: 6 });
    assert_eq!(outcomes[3], Err(Refusal::SeqFromFuture));
    assert!(world.store.mark(&[]).await.unwrap().is_empty());
}

/// What was marked is found by Sync, however floors fall between, in small groups and in large.
pub(crate) async fn what_was_marked_is_seen_to_have_moved(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    let crowd = world.crowd(MAX_MEMBERS_WITH_MARKS).await;
    for member in &crowd {
        world.befriend(one, *member).await;
    }
    let direct = world.befriend(one, two).await;
    let large = world.group(one, &crowd).await;
    let shrunk = world.group(one, &crowd).await;
    let mut leaver = crowd[3];
    let seqs = [world.say(one, direct, "a").await, world.say(one, large, "b").await, world.say(one, shrunk, "c").await];
    world.one(Command::LeaveGroup { log: shrunk, origin: super::unnamed(leaver, 1) }).await.unwrap();
    leaver = crowd[4];
    let (mut ones, mut twos, mut members) = (Device::default(), Device::default(), Device::default());
    for raised in [false, true] {
        for (user, device) in [(one, &mut ones), (two, &mut twos), (leaver, &mut members)] {
            raise(&world).await;
            device.walk(&*world.store, user, 3).await;
        }
        if raised {
            raise(&world).await;
        }
        let back = i64::from(!raised);
        let marks = [
            Mark { log: direct, user: two, delivered: seqs[0], read: seqs[0] - back },
            Mark { log: large, user: leaver, delivered: 0, read: seqs[1] - back },
            Mark { log: shrunk, user: leaver, delivered: 0, read: seqs[2] - back },
        ];
        let outcomes = world.store.mark(&marks).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().as_ref().unwrap().mark.is_some()));
        for (user, device, brought) in [(one, &mut ones, 1), (two, &mut twos, 1), (leaver, &mut members, 2)] {
            raise(&world).await;
            device.walk(&*world.store, user, 3).await;
            assert!(device.brought >= brought, "{user}: {}", device.brought);
            if user != one {
                device.agrees(&*world.store, user).await;
            }
        }
    }
}

/// As many as a statement has room for, and more, in any order of their logs.
pub(crate) async fn any_number_of_marks(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let others = world.crowd(300).await;
    let mut logs = Vec::new();
    for other in &others {
        let log = world.befriend(one, *other).await;
        world.say(one, log, "x").await;
        logs.push(log);
    }
    for (n, size) in [1, 2, 3, 31, 32, 33, 255, 256, 257, 300].into_iter().enumerate() {
        let says = logs.iter().map(|log| world.append(one, *log, "x")).collect();
        world.store.commit(says).await.unwrap();
        let seq = n as i64 + 3;
        let place = |k: usize| (k * 7 + size) % logs.len();
        let marks: Vec<_> = (0..size)
            .map(|k| Mark { log: logs[place(k)], user: others[place(k)], delivered: seq, read: seq - (k as i64 % 2) })
            .collect();
        let outcomes = world.store.mark(&marks).await.unwrap();
        assert_eq!(outcomes.len(), size);
        for (mark, outcome) in marks.iter().zip(outcomes) {
            let done = outcome.unwrap().unwrap().done;
            assert_eq!(done, Done::Marked { delivered: mark.delivered, read: mark.read });
            let member = world.store.member(mark.log, mark.user).await.unwrap().unwrap();
            assert_eq!((member.delivered, member.read), (mark.delivered, mark.read));
        }
    }
}

pub(crate) async fn the_lowest_marks_are_those_of_the_others(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let owner = world.user().await;
    let others = world.crowd(MAX_MEMBERS_WITH_MARKS).await;
    for member in &others {
        world.befriend(owner, *member).await;
    }
    let group = world.group(owner, &others[..3]).await;
    let full = world.group(owner, &others[1..]).await;
    let large = world.group(owner, &others).await;
    for _ in 0..5 {
        world.say(owner, group, "x").await;
    }
    let direct = world.befriend(owner, others[0]).await;
    let marks = [(0, 4, 2), (1, 3, 3), (2, 6, 1)];
    let marks = marks.map(|(n, delivered, read)| Mark { log: group, user: others[n], delivered, read });
    world.store.mark(&marks).await.unwrap();
    let found = world.store.lowest_marks(&[group, large, direct, full, group, LogId::new_v7()]).await.unwrap();
    let mut logs: Vec<_> = found.iter().map(|lowest| lowest.log).collect();
    let mut expected = [group, direct, full];
    logs.sort();
    expected.sort();
    assert_eq!(logs, expected);
    let lowest = found.iter().find(|lowest| lowest.log == group).unwrap();
    let others_of =
        |lowest: &LowestMarks, user: UserId| (lowest.delivered.of_others(user), lowest.read.of_others(user));
    for (user, expected) in [(owner, (3, 1)), (others[0], (3, 1)), (others[1], (4, 1)), (others[2], (3, 2))] {
        assert_eq!(others_of(lowest, user), expected);
        let seen = world.store.conversations(user, &[group]).await.unwrap().remove(0);
        assert_eq!((seen.others_delivered, seen.others_read), expected);
    }
}

/// Many at once move marks of the same members, while others write to the log and leave it.
pub(crate) async fn marks_never_go_back_whoever_moves_them(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let owner = world.user().await;
    let members = world.crowd(12).await;
    for member in &members {
        world.befriend(owner, *member).await;
    }
    let log = world.group(owner, &members).await;
    for _ in 0..40 {
        world.say(owner, log, "x").await;
    }
    let world = Arc::new(world);
    let mut tasks = tokio::task::JoinSet::new();
    for mover in 0..4_i64 {
        let (world, members) = (world.clone(), members.clone());
        tasks.spawn(async move {
            for round in 0..8_i64 {
                let seq = 2 + round * 4 + mover;
                let mut marks: Vec<_> =
                    members.iter().map(|user| Mark { log, user: *user, delivered: seq, read: seq - 1 }).collect();
                while !marks.is_empty() {
                    let outcomes = world.store.mark(&marks).await.unwrap();
                    let held: Vec<_> = marks.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_none()).collect();
                    marks = held.into_iter().map(|(mark, _)| *mark).collect();
                }
            }
        });
    }
    let (sender, watcher) = (world.clone(), world.clone());
    tasks.spawn(async move {
        for n in 0..20 {
            sender.say(owner, log, "more").await;
            if n % 5 == 0 {
                raise(&sender).await;
            }
        }
    });
    let watched = members[0];
    tasks.spawn(async move {
        let mut before = (0, 0);
        for _ in 0..40 {
            let member = watcher.store.member(log, watched).await.unwrap().unwrap();
            assert!(member.delivered >= before.0 && member.read >= before.1, "a mark went back");
            before = (member.delivered, member.read);
        }
    });
    tasks.join_all().await;
    for user in &members {
        let member = world.store.member(log, *user).await.unwrap().unwrap();
        assert_eq!((member.delivered, member.read), (33, 32));
    }
    assert_eq!(world.store.last_seq(log).await.unwrap(), Some(61));
}
