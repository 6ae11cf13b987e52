//! Sessions that come again: known by their tickets at any edge, and before those that are new when many come at once.

use std::time::Duration;

use bytes::Bytes;
use gogochat_edge::Limits;
use gogochat_proto::{
    close::CloseCode,
    ids::UserId,
    node::{self, core_item, edge_item},
    v1::{self, TicketUse, client_frame, server_frame},
};

use crate::{
    Setup, World,
    client::{Client, KINDS, Kind},
    core::{Core, hash},
    eventually, soon,
};

/// Two edges before one system, whose cores have told both the same key.
async fn two() -> [World; 2] {
    let one = Core::default();
    let mut worlds = Vec::new();
    for core in [one.clone(), one.beside()] {
        let world = World::start(Setup { cores: vec![core], ..Setup::new() }).await;
        tell_key(&world.core, 7);
        worlds.push(world);
    }
    worlds.try_into().ok().unwrap()
}

fn tell_key(core: &Core, byte: u8) {
    core.tell(core_item::Item::TicketKey(node::TicketKey { id: vec![byte; 8].into(), key: vec![byte; 32].into() }));
}

async fn come(world: &World, kind: Kind, token: &str, ticket: Bytes) -> Client {
    let mut client = soon(world.connect(kind)).await;
    let hello = v1::Hello { access_token: token.into(), client: "test/1".into(), ticket, ..Default::default() };
    client.send(client_frame::Frame::Hello(hello)).await;
    client
}

async fn welcome(client: &mut Client) -> v1::Welcome {
    match client.next().await {
        server_frame::Frame::Welcome(welcome) => welcome,
        other => panic!("{other:?}"),
    }
}

/// What the core was last asked to open.
fn last_open(core: &Core) -> node::SessionOpen {
    let opens = core.seen(|item| match item {
        edge_item::Item::Open(open) => Some(open.clone()),
        _ => None,
    });
    opens.last().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_known_at_another_edge() {
    let [here, there] = two().await;
    for kind in KINDS {
        let token = format!("user {}", UserId::new_v7());
        let mut client = come(&here, kind, &token, Bytes::new()).await;
        let first = welcome(&mut client).await;
        assert_eq!(first.ticket_use(), TicketUse::Unspecified);

        let mut again = come(&there, kind, &token, first.ticket.clone()).await;
        let second = welcome(&mut again).await;
        assert_eq!(second.ticket_use(), TicketUse::Taken);
        assert_eq!((&second.user_id, &second.device_id), (&first.user_id, &first.device_id), "the same device");
        // The core is asked about the device, which may be signed out or have another token by now.
        let open = last_open(&there.core);
        assert!(open.access_token.is_empty() && open.principal.is_some());
        assert_eq!(open.token_hash, hash(&token));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_ticket_the_token_decides() {
    let [here, there] = two().await;
    let user = UserId::new_v7();
    let token = format!("user {user}");
    let ticket = welcome(&mut come(&here, Kind::Wt, &token, Bytes::new()).await).await.ticket;
    let mut forged = ticket.to_vec();
    forged[10] ^= 1;
    let another = format!("user {}", UserId::new_v7());
    for (token, ticket, why) in [
        (&token, forged.into(), "another user in it"),
        (&token, vec![0; 4].into(), "no ticket at all"),
        (&another, ticket.clone(), "of another device"),
    ] {
        let mut client = come(&there, Kind::Wt, token, ticket).await;
        let welcome = welcome(&mut client).await;
        assert_eq!(welcome.ticket_use(), TicketUse::Invalid, "{why}");
        assert_eq!(format!("user {}", welcome.user_id), *token);
        assert_eq!(last_open(&there.core).access_token, *token);
    }
    // Where the token is not good either, that ends it.
    let mut client = come(&there, Kind::Wt, "garbage", ticket).await;
    let code = u32::from(CloseCode::TokenInvalid.code());
    assert_eq!(soon(client.end()).await, (Some(code), code));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_lives_no_longer_than_its_token() {
    let [here, there] = two().await;
    let token = format!("brief {}", UserId::new_v7());
    let mut client = come(&here, Kind::Ws, &token, Bytes::new()).await;
    let ticket = welcome(&mut client).await.ticket;
    let code = u32::from(CloseCode::TokenExpired.code());
    assert_eq!(soon(client.end()).await, (Some(code), code));
    let again = welcome(&mut come(&there, Kind::Ws, &token, ticket).await).await;
    assert_eq!(again.ticket_use(), TicketUse::Expired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_gives_a_ticket_for_elsewhere() {
    let [here, there] = two().await;
    let token = format!("user {}", UserId::new_v7());
    let mut client = come(&here, Kind::Wt, &token, Bytes::new()).await;
    welcome(&mut client).await;
    let target = "https://edge-2.example".to_owned();
    let draining = tokio::spawn(async move { here.edge.drain(Duration::from_millis(500), &[target]).await });
    let server_frame::Frame::Drain(drain) = client.next().await else { panic!("no Drain") };
    let again = welcome(&mut come(&there, Kind::Wt, &token, drain.ticket).await).await;
    assert_eq!(again.ticket_use(), TicketUse::Taken);
    drop(client);
    draining.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_here_comes_before_who_is_new() {
    let world = World::with(Limits { opening: 4, ..Limits::default() }).await;
    tell_key(&world.core, 7);
    let token = format!("user {}", UserId::new_v7());
    let ticket = welcome(&mut come(&world, Kind::Ws, &token, Bytes::new()).await).await.ticket;
    world.core.hold_opens();
    let asked = || world.core.seen(|item| matches!(item, edge_item::Item::Open(_)).then_some(())).len();

    let mut waiting = Vec::new();
    let mut take = async |ticket: Bytes| {
        let before = asked();
        waiting.push(come(&world, Kind::Ws, &token, ticket).await);
        eventually("the core is asked", || asked() > before).await;
    };
    // The first half is anybody's, the second that of tickets alone.
    for _ in 0..2 {
        take(Bytes::new()).await;
    }
    is_one_too_many(&world, &token, Bytes::new()).await;
    is_one_too_many(&world, &token, vec![1; 80].into()).await;
    for _ in 0..2 {
        take(ticket.clone()).await;
    }
    is_one_too_many(&world, &token, ticket).await;

    world.core.open_held();
    for client in &mut waiting {
        welcome(client).await;
    }
    // There is room again.
    welcome(&mut come(&world, Kind::Ws, &token, Bytes::new()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_refused_takes_no_place_however_long_it_stays() {
    let world = World::with(Limits { opening: 4, ..Limits::default() }).await;
    for kind in KINDS {
        // None of them reads that it was refused, nor answers the close.
        let mut refused = Vec::new();
        for _ in 0..2 {
            refused.push(come(&world, kind, "garbage", Bytes::new()).await);
        }
        eventually("they are no sessions any more", || world.edge.handle().sessions() == 0).await;
        let token = format!("user {}", UserId::new_v7());
        let mut client = come(&world, kind, &token, Bytes::new()).await;
        welcome(&mut client).await;
        drop((refused, client));
        eventually("all have gone", || world.edge.handle().sessions() == 0).await;
    }
}

async fn is_one_too_many(world: &World, token: &str, ticket: Bytes) {
    for kind in KINDS {
        let mut client = come(world, kind, token, ticket.clone()).await;
        let server_frame::Frame::Close(close) = client.next().await else { panic!("it was let in") };
        assert_eq!(close.code, u32::from(CloseCode::Overloaded.code()));
        assert!(close.reconnect && close.retry_after_ms > 0);
    }
}
