//! Bounded queues, one for each partition. A batch takes an equal share from each partition, and
//! within a partition from each user. Shares are counted in rows, so that one large command does
//! not count as little as a message.
//!
//! Within a partition this is start-time fair queuing (Goyal, Vin and Cheng, 1996). Each user's
//! next command has a start, in rows. The lowest start goes first, and that user's next start is
//! higher by the rows of the command: also of one who had nothing else waiting, so that a user who
//! sends one command after the other does not go before one whose commands wait.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use gogochat_proto::ids::UserId;

use super::room::Room;

/// What waits in each partition, and whose turn it is.
#[derive(Debug)]
pub(super) struct Queues<T> {
    partitions: Vec<Partition<T>>,
    /// The partition that the next batch begins with.
    next: usize,
}

#[derive(Debug)]
struct Partition<T> {
    /// What waits of each user.
    users: HashMap<UserId, Waiting<T>>,
    /// The users with something that waits, by the start of their next command; of two the one who was
    /// there first.
    turns: BTreeMap<(u64, u64), UserId>,
    /// Where users who have nothing that waits go on, as far as that is ahead of `start`.
    ahead: Ahead,
    /// The start of what was taken last.
    start: u64,
    arrivals: u64,
    count: usize,
    bytes: usize,
    /// A consumer has some of it that it has not committed.
    held: bool,
}

/// What waits of a user.
#[derive(Debug)]
struct Waiting<T> {
    queue: VecDeque<T>,
    bytes: usize,
}

/// The starts of users of whom nothing waits.
#[derive(Debug, Default)]
struct Ahead {
    starts: HashMap<UserId, u64>,
    order: BTreeSet<(u64, UserId)>,
}

/// What can wait in a queue.
pub(super) trait Waits {
    /// Whose it is.
    fn user(&self) -> UserId;
    /// How many rows it counts for.
    fn rows(&self) -> usize;
    /// How many bytes it counts for.
    fn bytes(&self) -> usize;
}

impl<T: Waits> Queues<T> {
    pub(super) fn new(partitions: u32) -> Self {
        Self { partitions: (0..partitions).map(|_| Partition::empty()).collect(), next: 0 }
    }

    /// Adds to a partition that is there.
    pub(super) fn push(&mut self, partition: u32, item: T) {
        if let Some(partition) = self.partitions.get_mut(partition as usize) {
            partition.push(item);
        }
    }

    /// How many wait in a partition, and their bytes; nothing for one that is not there.
    pub(super) fn waiting(&self, partition: u32) -> Option<(usize, usize)> {
        self.partitions.get(partition as usize).map(|partition| (partition.count, partition.bytes))
    }

    /// How many of a user wait in a partition, and their bytes.
    pub(super) fn waiting_of(&self, partition: u32, user: UserId) -> (usize, usize) {
        let waiting = self.partitions.get(partition as usize).and_then(|partition| partition.users.get(&user));
        waiting.map_or((0, 0), |waiting| (waiting.queue.len(), waiting.bytes))
    }

    /// The next of each user in a partition.
    #[cfg(any(test, feature = "cluster"))]
    pub(super) fn fronts(&self, partition: u32) -> impl Iterator<Item = &T> {
        let partition = self.partitions.get(partition as usize);
        partition.into_iter().flat_map(|partition| partition.users.values().filter_map(|user| user.queue.front()))
    }

    /// Takes what there is room for, an equal share of each partition that nobody holds (and what others
    /// leave of theirs), and notes whose they are. One that is larger than the room is taken alone.
    pub(super) fn take(&mut self, mut room: Room, held: &mut Vec<u32>) -> Vec<T> {
        let count = self.partitions.len();
        let order = (0..count).map(|offset| (self.next + offset) % count.max(1));
        let free = |index: &usize| self.partitions.get(*index).is_some_and(Partition::ready);
        let mut waiting: Vec<usize> = order.filter(free).collect();
        self.next = waiting.first().map_or(self.next, |first| first + 1);

        let mut batch = Vec::new();
        while room.commands > 0 && !waiting.is_empty() {
            let parts = waiting.len();
            let share = Room { commands: (room.commands / parts).max(1), rows: room.rows / parts, bytes: room.bytes };
            waiting.retain(|index| {
                let Some(partition) = self.partitions.get_mut(*index) else { return false };
                let before = batch.len();
                let more = partition.take(share, &mut room, &mut batch);
                if batch.len() > before && !partition.held {
                    partition.held = true;
                    held.push(*index as u32);
                }
                more
            });
        }
        batch
    }

    /// What was taken of these is done with: others may have what follows.
    pub(super) fn release(&mut self, held: impl IntoIterator<Item = u32>) {
        for index in held {
            if let Some(partition) = self.partitions.get_mut(index as usize) {
                partition.held = false;
            }
        }
    }

    /// Forgets what waits in a partition.
    #[cfg(any(test, feature = "cluster"))]
    pub(super) fn clear(&mut self, partition: u32) {
        if let Some(partition) = self.partitions.get_mut(partition as usize) {
            let held = partition.held;
            *partition = Partition { held, ..Partition::empty() };
        }
    }

    /// Whether somebody could take something.
    pub(super) fn ready(&self) -> bool {
        self.partitions.iter().any(Partition::ready)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.iter().all(|partition| partition.count == 0)
    }
}

impl<T> Partition<T> {
    fn empty() -> Self {
        Self {
            users: HashMap::new(),
            turns: BTreeMap::new(),
            ahead: Ahead::default(),
            start: 0,
            arrivals: 0,
            count: 0,
            bytes: 0,
            held: false,
        }
    }

    fn ready(&self) -> bool {
        !self.held && self.count > 0
    }
}

impl<T: Waits> Partition<T> {
    fn push(&mut self, item: T) {
        self.count += 1;
        self.bytes += item.bytes();
        let user = item.user();
        let waiting = self.users.entry(user).or_insert_with(|| Waiting { queue: VecDeque::new(), bytes: 0 });
        waiting.bytes += item.bytes();
        waiting.queue.push_back(item);
        if waiting.queue.len() == 1 {
            self.arrivals += 1;
            let start = self.ahead.take(user).map_or(self.start, |start| start.max(self.start));
            self.turns.insert((start, self.arrivals), user);
        }
    }

    /// Takes a share of what there is room for; whether more could be taken.
    fn take(&mut self, share: Room, room: &mut Room, batch: &mut Vec<T>) -> bool {
        let (mut commands, mut rows) = (0, 0);
        let mut too_large = Vec::new();
        while commands < share.commands && (commands == 0 || rows < share.rows) && room.commands > 0 {
            let Some((turn, user)) = self.turns.pop_first() else { break };
            let Some(front) = self.users.get(&user).and_then(|user| user.queue.front()) else { continue };
            let (cost, bytes) = (front.rows(), front.bytes());
            // The first of a batch may be larger than the room.
            if !batch.is_empty() && (cost > room.rows || bytes > room.bytes) {
                too_large.push((turn, user));
                if too_large.len() == PASSED {
                    self.turns.extend(too_large);
                    return false;
                }
                continue;
            }
            self.pass(turn.0);
            let Some(item) = self.pop(user, turn.0 + cost as u64) else { continue };
            batch.push(item);
            commands += 1;
            rows += cost;
            room.commands -= 1;
            room.rows = room.rows.saturating_sub(cost);
            room.bytes = room.bytes.saturating_sub(bytes);
        }
        let more = !self.turns.is_empty();
        self.turns.extend(too_large);
        more
    }

    /// What starts here is taken.
    fn pass(&mut self, start: u64) {
        if start > self.start {
            self.start = start;
            self.ahead.forget_up_to(start);
        }
    }

    /// A user's next command; the one after it starts at `start`.
    fn pop(&mut self, user: UserId, start: u64) -> Option<T> {
        let waiting = self.users.get_mut(&user)?;
        let item = waiting.queue.pop_front()?;
        self.count -= 1;
        self.bytes -= item.bytes();
        waiting.bytes -= item.bytes();
        if waiting.queue.is_empty() {
            self.users.remove(&user);
            self.ahead.keep(user, start);
        } else {
            self.arrivals += 1;
            self.turns.insert((start, self.arrivals), user);
        }
        Some(item)
    }
}

impl Ahead {
    /// Where a user's next command starts. Where too many are kept, the one who is the least ahead is
    /// forgotten, and begins where the others are.
    fn keep(&mut self, user: UserId, start: u64) {
        self.starts.insert(user, start);
        self.order.insert((start, user));
        if self.starts.len() > KEPT_AHEAD
            && let Some((_, first)) = self.order.pop_first()
        {
            self.starts.remove(&first);
        }
    }

    fn take(&mut self, user: UserId) -> Option<u64> {
        let start = self.starts.remove(&user)?;
        self.order.remove(&(start, user));
        Some(start)
    }

    /// Those who are not ahead any more.
    fn forget_up_to(&mut self, start: u64) {
        while let Some((_, user)) = self.order.first().copied().filter(|(of_user, _)| *of_user <= start) {
            self.take(user);
        }
    }
}

/// Users with nothing that waits whose starts are kept, in each partition.
const KEPT_AHEAD: usize = 4_096;

/// Users whose next command is too large for a batch that are passed over, at most, to find one that is not.
const PASSED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// (partition, number), of a user, and what it costs.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Item(u32, u32, UserId, usize);

    impl Waits for Item {
        fn user(&self) -> UserId {
            self.2
        }

        fn rows(&self) -> usize {
            self.3
        }

        fn bytes(&self) -> usize {
            10
        }
    }

    fn queues(counts: &[u32]) -> Queues<Item> {
        let mut queues = Queues::new(counts.len() as u32);
        let user = UserId::new_v7();
        for (partition, count) in (0..).zip(counts) {
            for number in 0..*count {
                queues.push(partition, Item(partition, number, user, 8));
            }
        }
        queues
    }

    fn take(queues: &mut Queues<Item>, room: Room) -> Vec<Item> {
        let mut held = Vec::new();
        let batch = queues.take(room, &mut held);
        queues.release(held);
        batch
    }

    #[test]
    fn a_batch_has_equal_shares_and_what_others_leave() {
        let mut queues = queues(&[100, 1, 1, 100]);
        let mut held = Vec::new();
        let batch = queues.take(Room::of(32), &mut held);
        assert_eq!(batch.len(), 32);
        for partition in 0..4 {
            let of_it: Vec<u32> = batch.iter().filter(|item| item.0 == partition).map(|item| item.1).collect();
            assert_eq!(of_it, (0..of_it.len() as u32).collect::<Vec<_>>());
            assert!(!of_it.is_empty(), "{partition} has no share");
        }
        assert_eq!(queues.waiting(0).unwrap().1, queues.waiting(0).unwrap().0 * 10);
        // All that has something left is held.
        assert!(queues.take(Room::of(32), &mut held).is_empty() && !queues.ready());
        queues.release(held);
        assert!(queues.ready());
    }

    #[test]
    fn one_at_a_time_each_has_its_turn() {
        let mut queues = queues(&[3, 0, 3, 3]);
        let mut turns = Vec::new();
        for _ in 0..6 {
            turns.extend(take(&mut queues, Room::of(1)).into_iter().map(|item| item.0));
        }
        assert_eq!(turns, [0, 2, 3, 0, 2, 3]);
        queues.clear(0);
        assert_eq!(queues.waiting(0), Some((0, 0)));
        assert_eq!(queues.waiting(9), None);
        assert_eq!(queues.fronts(2).map(|item| item.1).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_batch_is_bounded_by_rows_and_by_bytes_and_has_one_at_least() {
        let rows = |rows| Room { rows, ..Room::of(100) };
        assert_eq!(take(&mut queues(&[50]), rows(80)).len(), 10);
        assert_eq!(take(&mut queues(&[50]), rows(79)).len(), 9);
        assert_eq!(take(&mut queues(&[50, 50]), rows(80)).len(), 10);
        assert_eq!(take(&mut queues(&[50, 50]), rows(1)).len(), 1);
        let bytes = |bytes| Room { bytes, ..Room::of(100) };
        assert_eq!(take(&mut queues(&[50]), bytes(100)).len(), 10);
        assert_eq!(take(&mut queues(&[50]), bytes(99)).len(), 9);
    }

    #[test]
    fn a_flood_of_large_commands_delays_another_by_one_batch() {
        let (flooder, other) = (UserId::new_v7(), UserId::new_v7());
        let mut queues = Queues::new(1);
        for number in 0..1_000 {
            queues.push(0, Item(0, number, flooder, 6_000));
        }
        let room = Room { rows: 8_192, ..Room::of(1_000) };
        assert_eq!(take(&mut queues, room).len(), 1, "two are larger than a batch");
        for number in 0..300 {
            queues.push(0, Item(0, number, other, 8));
        }
        assert_eq!(queues.waiting_of(0, other), (300, 3_000));
        let batch = take(&mut queues, room);
        let (mine, theirs): (Vec<&Item>, Vec<&Item>) = batch.iter().partition(|item| item.2 == other);
        let rows: usize = batch.iter().map(|item| item.3).sum();
        assert!(rows <= 8_192 && theirs.len() <= 1, "{rows} rows");
        assert!(mine.len() >= 200, "{} of the other's in the next batch", mine.len());
        assert_eq!(mine.iter().map(|item| item.1).collect::<Vec<_>>(), (0..mine.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn who_sends_one_after_the_other_does_not_go_before_one_whose_commands_wait() {
        let backlogged = UserId::new_v7();
        let others: Vec<_> = (0..10).map(|_| UserId::new_v7()).collect();
        let mut queues = Queues::new(1);
        for number in 0..1_000 {
            queues.push(0, Item(0, number, backlogged, 8));
        }
        others.iter().for_each(|user| queues.push(0, Item(0, 0, *user, 8)));
        let mut taken = 0;
        for _ in 0..100 {
            // Ten have room, and each of the others sends the next while what they sent is committed.
            let batch = take(&mut queues, Room::of(10));
            assert_eq!(batch.len(), 10);
            for item in batch {
                if item.2 == backlogged {
                    taken += 1;
                } else {
                    queues.push(0, Item(0, item.1 + 1, item.2, 8));
                }
            }
        }
        // An eleventh of 1,000.
        assert!((80..=100).contains(&taken), "{taken} of the one whose commands wait");
    }

    #[test]
    fn where_so_many_go_on_is_kept_and_no_more() {
        let mut queues = Queues::new(1);
        let first = UserId::new_v7();
        queues.push(0, Item(0, 0, first, 7));
        for _ in 0..=KEPT_AHEAD {
            queues.push(0, Item(0, 0, UserId::new_v7(), 8));
        }
        while !take(&mut queues, Room::of(1_000)).is_empty() {}
        let ahead = &queues.partitions[0].ahead;
        assert_eq!((ahead.starts.len(), ahead.order.len()), (KEPT_AHEAD, KEPT_AHEAD));
        assert!(!ahead.starts.contains_key(&first), "the one who is the least ahead is forgotten");
        // Once that start is passed nobody is ahead.
        let late = UserId::new_v7();
        (0..3).for_each(|number| queues.push(0, Item(0, number, late, 8)));
        while !take(&mut queues, Room::of(1)).is_empty() {}
        assert_eq!(queues.partitions[0].ahead.starts.len(), 1);
    }

    #[test]
    fn users_of_a_partition_have_equal_shares_in_rows_and_each_their_order() {
        let users = [(UserId::new_v7(), 8), (UserId::new_v7(), 16), (UserId::new_v7(), 80)];
        let mut queues = Queues::new(1);
        for number in 0..100 {
            for (user, cost) in users {
                queues.push(0, Item(0, number, user, cost));
            }
        }
        let batch = take(&mut queues, Room { rows: 960, ..Room::of(1_000) });
        for (user, cost) in users {
            let numbers: Vec<_> = batch.iter().filter(|item| item.2 == user).map(|item| item.1).collect();
            assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>());
            let rows = numbers.len() * cost;
            assert!((240..=400).contains(&rows), "{rows} rows of the one whose commands have {cost}");
        }
    }

    #[test]
    fn one_larger_than_the_room_has_its_turn_beside_small_ones_that_never_end() {
        let (large, small) = (UserId::new_v7(), UserId::new_v7());
        let mut queues = Queues::new(2);
        let room = Room { rows: 100, ..Room::of(100) };
        let mut batches = 0;
        loop {
            for partition in 0..2 {
                for number in 0..50 {
                    queues.push(partition, Item(partition, number, small, 8));
                }
            }
            if batches == 0 {
                queues.push(0, Item(0, 0, large, 1_000));
            }
            batches += 1;
            assert!(batches < 300, "it has no turn");
            let batch = take(&mut queues, room);
            if batch.iter().any(|item| item.2 == large) {
                assert_eq!(batch.len(), 1, "it goes alone");
                break;
            }
        }
    }
}
