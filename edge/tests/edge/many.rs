//! One edge before two cores on one store.

use gogochat_proto::{
    ids::{DeviceId, LogId, UserId},
    node::{self, core_item, edge_item},
    v1::server_frame,
};

use crate::{
    Setup, World,
    client::{Client, Kind},
    core::Core,
    eventually,
};

const SEND: &str = "gogochat.v1.ChatService/SendMessage";
const SYNC: &str = "gogochat.v1.SyncService/Sync";

async fn two() -> (World, [Core; 2]) {
    let one = Core::default();
    let cores = [one.clone(), one.beside()];
    let world = World::start(Setup { cores: cores.to_vec(), ..Setup::new() }).await;
    eventually("both are attached", || cores.iter().all(|core| core.attached() == 1)).await;
    (world, cores)
}

/// The session's home first.
fn by_home(cores: &[Core; 2], user: UserId) -> [Core; 2] {
    let opens = |core: &Core| core.seen(|item| matches!(item, edge_item::Item::Open(_)).then_some(())).len();
    let [a, b] = cores.clone();
    assert_eq!(opens(&a) + opens(&b), 1, "a session of {user} is open at one core");
    if opens(&a) == 1 { [a, b] } else { [b, a] }
}

fn commands(core: &Core) -> Vec<node::Command> {
    core.seen(|item| match item {
        edge_item::Item::Command(command) => Some(command.clone()),
        _ => None,
    })
}

/// A user in a group, whose interest both cores know.
async fn member(world: &World, cores: &[Core; 2]) -> (Client, UserId, LogId) {
    let (user, group) = (UserId::new_v7(), LogId::new_v7());
    world.core.join(user, group);
    let client = world.log_in(Kind::Ws, user).await;
    eventually("interest", || cores.iter().all(|core| core.is_interested(group))).await;
    (client, user, group)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_any_core_commits_is_delivered_once_and_in_order() {
    let (world, cores) = two().await;
    let (mut client, _, group) = member(&world, &cores).await;
    for n in 0..50 {
        cores[n % 2].commit(group, 1);
    }
    // One that a core did not tell, and one after it by another.
    cores[0].commit_silently(group);
    cores[1].commit(group, 1);
    for seq in 1..=52 {
        assert_eq!(client.next_event().await, seq);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_core_is_lost_goes_on_at_the_other() {
    let (world, cores) = two().await;
    let (mut client, user, group) = member(&world, &cores).await;
    let [home, other] = by_home(&cores, user);
    home.set_mute(true);
    client.call(1, SEND, &group.to_string(), &b"first"[..]).await;
    eventually("it is under way", || commands(&home).len() == 1).await;
    // Committed, and nobody was told.
    home.commit_silently(group);
    home.set_away(true);
    let mut frames = [client.next().await, client.next().await];
    frames.sort_by_key(|frame| matches!(frame, server_frame::Frame::Event(_)));
    let [server_frame::Frame::Reply(reply), server_frame::Frame::Event(event)] = &frames else { panic!("{frames:?}") };
    assert_eq!((reply.id, reply.error.as_ref().unwrap().code.as_str()), (1, "unavailable"));
    assert_eq!(event.seq, 1, "the other core looks into the store");
    assert_eq!(world.edge.handle().ready(), Ok(()));

    client.call(2, SYNC, "", &b"any"[..]).await;
    assert_eq!(client.next_reply().await.body, "any");
    eventually("it is open there", || {
        !other
            .seen(|item| matches!(item, edge_item::Item::Open(open) if open.principal.is_some()).then_some(()))
            .is_empty()
    })
    .await;
    // It may have to be sent again until the core has opened the session.
    let mut id = 3;
    loop {
        client.call(id, SEND, &group.to_string(), &b"first"[..]).await;
        // Its event may come before its reply.
        let reply = loop {
            if let server_frame::Frame::Reply(reply) = client.next().await {
                break reply;
            }
        };
        if reply.error.is_none() {
            break;
        }
        id += 1;
    }
    assert_eq!(commands(&other).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_that_goes_away_is_left_without_a_refusal() {
    let (world, cores) = two().await;
    let (mut client, user, group) = member(&world, &cores).await;
    let [home, other] = by_home(&cores, user);
    home.set_mute(true);
    client.call(1, SEND, &group.to_string(), &b"first"[..]).await;
    eventually("it is under way", || commands(&home).len() == 1).await;
    home.tell(core_item::Item::DrainMs(5_000));
    eventually("it is opened at the other", || {
        !other.seen(|item| matches!(item, edge_item::Item::Open(_)).then_some(())).is_empty()
    })
    .await;
    let seq = other.commit(user.into(), 1);
    assert_eq!(client.next_event().await, seq, "the other has opened it by now");

    // What follows waits for the answer to what is under way here.
    client.call(2, SEND, &group.to_string(), &b"second"[..]).await;
    client.call(3, SYNC, "", &b"any"[..]).await;
    let first = commands(&home).remove(0);
    home.tell(core_item::Item::Result(node::Result {
        session: first.session,
        call_id: first.call_id,
        body: first.body,
        error: None,
    }));
    let mut replies = Vec::new();
    while replies.len() < 3 {
        if let server_frame::Frame::Reply(reply) = client.next().await {
            assert_eq!(reply.error, None);
            replies.push(reply.id);
        }
    }
    replies.sort_unstable();
    assert_eq!(replies, [1, 2, 3]);
    assert_eq!(commands(&home).len(), 1);
    assert_eq!(commands(&other)[0].body, "second");
    eventually("the session is closed where it was", || {
        !home.seen(|item| matches!(item, edge_item::Item::Close(_)).then_some(())).is_empty()
    })
    .await;
}

/// How many logs a core was asked to look for.
fn looks(core: &Core) -> usize {
    core.seen(|item| matches!(item, edge_item::Item::Interest(interest) if interest.verify).then_some(())).len()
}

/// Whatever the edge had to say to this core by now was said before this call.
async fn said_to(client: &mut Client, core: &Core, group: LogId) {
    for id in 100.. {
        client.call(id, SEND, &group.to_string(), &b"after all"[..]).await;
        let answered = loop {
            if let server_frame::Frame::Reply(reply) = client.next().await {
                break reply.error.is_none();
            }
        };
        if answered {
            break;
        }
    }
    assert_eq!(commands(core).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_that_has_told_everything_is_no_loss() {
    let (world, cores) = two().await;
    let (mut client, user, group) = member(&world, &cores).await;
    let [home, other] = by_home(&cores, user);
    home.tell_everything();
    // The edge attaches anew when it is done with that stream.
    eventually("it is attached anew", || home.attached() == 2).await;
    said_to(&mut client, &other, group).await;
    assert_eq!(looks(&other), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_stream_breaks_after_that_is_a_loss() {
    let (world, cores) = two().await;
    let (_client, user, _) = member(&world, &cores).await;
    let [home, other] = by_home(&cores, user);
    home.tell(core_item::Item::DrainMs(5_000));
    home.tell(core_item::Item::Drained(node::Drained {}));
    home.break_off();
    eventually("both logs are looked for", || looks(&other) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_stream_ends_without_that_is_a_loss() {
    let (world, cores) = two().await;
    let (_client, user, _) = member(&world, &cores).await;
    let [home, other] = by_home(&cores, user);
    home.tell(core_item::Item::DrainMs(5_000));
    home.set_away(true);
    eventually("both logs are looked for", || looks(&other) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_before_the_last_that_a_core_told_is_asked_of_another() {
    let (world, cores) = two().await;
    let (mut client, user, group) = member(&world, &cores).await;
    let [home, other] = by_home(&cores, user);
    home.tell(core_item::Item::DrainMs(5_000));
    home.tell(core_item::Item::Drained(node::Drained {}));
    eventually("the session is opened at the other", || {
        !other.seen(|item| matches!(item, edge_item::Item::Open(_)).then_some(())).is_empty()
    })
    .await;
    // As one that it had asked for before, and in front of which another core has committed something.
    other.commit_silently(group);
    home.commit(group, 1);
    assert_eq!((client.next_event().await, client.next_event().await), (1, 2));
    assert_eq!(looks(&other), 1, "this log alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_a_group_hears_nothing_after_that_whichever_core_tells_it() {
    let (world, cores) = two().await;
    let (user, friend, group) = (UserId::new_v7(), UserId::new_v7(), LogId::new_v7());
    world.core.join(user, group);
    world.core.join(friend, group);
    let mut leaves = world.log_in(Kind::Ws, user).await;
    let mut stays = world.log_in(Kind::Wss, friend).await;
    eventually("interest", || cores.iter().all(|core| core.is_interested(group))).await;
    cores[0].leave(group, user);
    assert_eq!(leaves.next_event().await, 1);
    cores[1].commit(group, 1);
    assert_eq!((stays.next_event().await, stays.next_event().await), (1, 2));
    // The next that comes is of the own log: nothing of the group did.
    let own = cores[1].commit(user.into(), 1);
    let server_frame::Frame::Event(event) = leaves.next().await else { panic!() };
    assert_eq!((event.log_id, event.seq), (user.to_string(), own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_with_less_than_the_edge_has_is_sent_it_whatever_the_core_that_is_asked_has_sent() {
    let (world, cores) = two().await;
    let user = UserId::new_v7();
    for place in [0, 1] {
        // The log's name picks the core that is asked, which has told of the first event alone.
        let group =
            std::iter::repeat_with(LogId::new_v7).find(|log| log.uuid().as_u128() % 2 == place as u128).unwrap();
        world.core.join(user, group);
        let mut had = world.log_in(Kind::Ws, user).await;
        eventually("interest", || cores.iter().all(|core| core.is_interested(group))).await;
        cores[place].commit(group, 1);
        cores[1 - place].commit(group, 1);
        assert_eq!((had.next_event().await, had.next_event().await), (1, 2));

        // Another session's core has read its view before the second.
        let mut lacks = world.connect(Kind::Ws).await;
        lacks.hello("slow").await;
        let asked = |core: &Core| {
            let asks = |item: &edge_item::Item| match item {
                edge_item::Item::Open(open) if open.access_token == "slow" => Some(open.session),
                _ => None,
            };
            core.seen(asks).last().copied()
        };
        let newest = |cores: &[Core; 2]| {
            cores.iter().filter_map(|core| Some((asked(core)?, core.clone()))).max_by_key(|(session, _)| *session)
        };
        eventually("it is asked for", || newest(&cores).is_some_and(|(session, _)| session == 2 * place as u64 + 2))
            .await;
        let (session, home) = newest(&cores).unwrap();
        let principal = node::Principal { user_id: user.to_bytes(), device_id: DeviceId::new_v7().to_bytes() };
        home.tell(core_item::Item::Opened(node::SessionOpened {
            session,
            principal: Some(principal),
            subscriptions: vec![node::Subscription { log_id: group.to_bytes(), from_seq: 1 }],
            ..Default::default()
        }));
        assert!(matches!(lacks.next().await, server_frame::Frame::Welcome(_)));
        assert_eq!(lacks.next_event().await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_moves_on_before_it_has_arrived_is_closed_at_the_core_between() {
    let first = Core::default();
    let cores = vec![first.clone(), first.beside(), first.beside()];
    let world = World::start(Setup { cores: cores.clone(), ..Setup::new() }).await;
    eventually("all are attached", || cores.iter().all(|core| core.attached() == 1)).await;
    let (user, group) = (UserId::new_v7(), LogId::new_v7());
    let mut client = world.log_in(Kind::Ws, user).await;
    let opens = |core: &Core| core.seen(|item| matches!(item, edge_item::Item::Open(_)).then_some(())).len();
    let closes = |core: &Core| core.seen(|item| matches!(item, edge_item::Item::Close(_)).then_some(())).len();

    // What is under way keeps it from arriving.
    let mut at = cores.iter().position(|core| opens(core) == 1).unwrap();
    let begun = at;
    cores[begun].set_mute(true);
    client.call(1, SEND, &group.to_string(), &b"first"[..]).await;
    eventually("it is under way", || commands(&cores[begun]).len() == 1).await;
    let mut between = Vec::new();
    for _ in 0..2 {
        cores[at].tell(core_item::Item::DrainMs(5_000));
        eventually("it is opened at another", || {
            (0..3).any(|core| core != begun && !between.contains(&core) && opens(&cores[core]) == 1)
        })
        .await;
        at = (0..3).find(|core| *core != begun && !between.contains(core) && opens(&cores[*core]) == 1).unwrap();
        between.push(at);
        let seq = cores[at].commit(user.into(), 1);
        assert_eq!(client.next_event().await, seq, "it has opened it by now");
    }
    eventually("it is closed where it passed", || closes(&cores[between[0]]) == 1).await;
    assert_eq!((closes(&cores[begun]), closes(&cores[between[1]])), (0, 0));

    // One that ends while it moves is closed wherever it is open.
    drop(client);
    eventually("it is closed", || closes(&cores[begun]) == 1 && closes(&cores[between[1]]) == 1).await;
    assert_eq!(closes(&cores[between[0]]), 1);
}

/// What cores say of themselves is lost, as when etcd is full or has lost its leases, and they
/// serve all the same: the edge keeps those that it is attached to, until their streams end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_that_is_named_no_more_is_kept_while_it_is_attached() {
    let (world, cores) = two().await;
    let reach = || world.edge.handle().reach();
    let all = world.named.send_replace(Vec::new());
    let (mut client, _, group) = member(&world, &cores).await;
    cores[0].commit(group, 1);
    assert_eq!(client.next_event().await, 1);
    assert_eq!((reach().attached.len(), reach().away.len()), (2, 0));

    cores[1].break_off();
    eventually("one is forgotten", || reach().attached == ["core-0"] && reach().away.is_empty()).await;
    cores[0].commit(group, 1);
    assert_eq!(client.next_event().await, 2);
    world.named.send_replace(all);
    eventually("it is found again", || reach().attached == ["core-0", "core-1"]).await;
    assert_eq!((cores[0].attached(), cores[1].attached()), (1, 2));
}
