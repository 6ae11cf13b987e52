//! Marks that moved together: what each session is told of them.

use gogochat_proto::{
    ids::{LogId, UserId},
    node::{self, core_item, edge_item},
    v1::{self, client_frame, server_frame},
};

use crate::{
    World,
    client::{Client, Kind},
    eventually,
};

fn lowest(delivered: (i64, UserId, i64), read: (i64, UserId, i64)) -> node::LowestMarks {
    let lowest = |(seq, holder, next): (i64, UserId, i64)| Some(node::Lowest { seq, holder: holder.to_bytes(), next });
    node::LowestMarks { delivered: lowest(delivered), read: lowest(read) }
}

fn moved(user: UserId, seq: i64, session: u64) -> node::MarkDown {
    node::MarkDown { user_id: user.to_bytes(), delivered_seq: seq, read_seq: seq, session }
}

async fn told(client: &mut Client) -> v1::Watermark {
    match client.next().await {
        server_frame::Frame::Watermark(watermark) => watermark,
        other => panic!("{other:?}"),
    }
}

/// What has come by the time a ping is answered.
async fn until_pong(client: &mut Client, nonce: u64) -> Vec<server_frame::Frame> {
    client.send(client_frame::Frame::Ping(v1::Ping { nonce })).await;
    let mut frames = Vec::new();
    loop {
        match client.next().await {
            server_frame::Frame::Pong(_) => return frames,
            other => frames.push(other),
        }
    }
}

async fn three() -> (World, LogId, [UserId; 3], [Client; 3]) {
    let world = World::new().await;
    let group = LogId::new_v7();
    let users = [UserId::new_v7(), UserId::new_v7(), UserId::new_v7()];
    let mut clients = Vec::new();
    for (user, kind) in users.into_iter().zip([Kind::Ws, Kind::Wt, Kind::Wss]) {
        world.core.join(user, group);
        let mut client = world.connect(kind).await;
        client.log_in_for_aggregates(user).await;
        clients.push(client);
    }
    eventually("interest", || world.core.is_interested(group)).await;
    (world, group, users, clients.try_into().ok().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_told_how_far_all_others_have_got_where_that_has_changed() {
    let (world, group, [ann, bob, cat], [mut anns, mut bobs, mut cats]) = three().await;
    let sessions = world.core.seen(|item| match item {
        edge_item::Item::Open(open) => Some((open.access_token.clone(), open.session)),
        _ => None,
    });
    let session = |user: UserId| sessions.iter().find(|(token, _)| *token == format!("user {user}")).unwrap().1;
    // Bob has moved by his session here, Cat elsewhere; Ann holds the lowest.
    let now = lowest((3, ann, 5), (2, ann, 5));
    world.core.tell(core_item::Item::Marks(node::MarksDown {
        log_id: group.to_bytes(),
        moved: vec![moved(bob, 5, session(bob)), moved(cat, 6, 0)],
        now: Some(now.clone()),
        before: None,
    }));
    let others = |others_delivered_seq, others_read_seq| v1::Watermark {
        conversation_id: group.to_string(),
        others_delivered_seq,
        others_read_seq,
        ..Default::default()
    };
    assert_eq!(told(&mut anns).await, others(5, 5));
    assert_eq!(told(&mut bobs).await, others(3, 2));
    let own = v1::Watermark { user_id: cat.to_string(), delivered_seq: 6, read_seq: 6, ..others(3, 2) };
    assert_eq!(told(&mut cats).await, own);
    // Only what Ann sees has changed since.
    world.core.tell(core_item::Item::Marks(node::MarksDown {
        log_id: group.to_bytes(),
        moved: vec![moved(bob, 7, session(bob))],
        now: Some(lowest((3, ann, 6), (2, ann, 6))),
        before: Some(now),
    }));
    assert_eq!(told(&mut anns).await, others(6, 6));
    // Where it is not known, those alone are told whose marks moved elsewhere.
    world.core.tell(core_item::Item::Marks(node::MarksDown {
        log_id: group.to_bytes(),
        moved: vec![moved(cat, 8, 0), moved(bob, 8, session(bob))],
        ..Default::default()
    }));
    assert_eq!(told(&mut cats).await.read_seq, 8);
    for client in [&mut anns, &mut bobs, &mut cats] {
        assert_eq!(until_pong(client, 7).await, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_release_before_is_told_of_each_member() {
    let (world, group, [ann, bob, cat], _clients) = three().await;
    let mut old = world.log_in(Kind::Ws, ann).await;
    let marks = [moved(ann, 5, 0), moved(bob, 6, 0), moved(cat, 7, 0)];
    let now = Some(lowest((5, ann, 6), (5, ann, 6)));
    let down = node::MarksDown { log_id: group.to_bytes(), moved: marks.to_vec(), now: now.clone(), before: now };
    world.core.tell(core_item::Item::Marks(down));
    let mut seen = vec![told(&mut old).await, told(&mut old).await, told(&mut old).await];
    seen.sort_by_key(|watermark| watermark.read_seq);
    let expected = [ann, bob, cat].into_iter().zip(5..).map(|(user, seq)| v1::Watermark {
        conversation_id: group.to_string(),
        user_id: user.to_string(),
        delivered_seq: seq,
        read_seq: seq,
        ..Default::default()
    });
    assert_eq!(seen, expected.collect::<Vec<_>>());
}
