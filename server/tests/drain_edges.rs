//! An edge that goes away, before others: its clients stand at another before they leave it, so that nobody is ever without a session.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use std::time::Duration;

use gogochat_client::{
    Closed, Connection, Dialer, Transport, Trust,
    proto::{
        close::CloseCode,
        ids::LogId,
        v1::{self, TicketUse, server_frame::Frame},
    },
};
use gogochat_testkit::{
    device::Device,
    nodes::{Nodes, Plan},
    people::Person,
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
const MESSAGES: usize = 1_200;

#[tokio::test(flavor = "multi_thread")]
async fn edges_drained_under_load_leave_nobody_without_a_session() {
    let plan = Plan { edges: 2, cores: vec![vec![], vec![]], kafka: true, tls: false };
    let mut nodes = Nodes::start(GOGOCHAT, &plan).await.unwrap();
    let ann = Person::register(nodes.edges[0].http, "ann").await.unwrap();
    let ben = Person::register(nodes.edges[1].http, "ben").await.unwrap();
    let log: LogId = ann.befriend(&ben).await.unwrap().parse().unwrap();
    // Those at the first edge are led to the second, and stay there when the first is back.
    let at = |name, transport| Device::sign_in(nodes.edges[0].edge, name, transport);
    let [wt, ws] = [Transport::WebTransport, Transport::WebSocket];
    let (ann_wt, ann_ws, ben_wt, ben_ws) =
        tokio::try_join!(at("ann", wt), at("ann", ws), at("ben", wt), at("ben", ws)).unwrap();
    let mut devices = [ann_wt, ann_ws, ben_wt, ben_ws];
    let senders = [devices[0].client.clone(), devices[1].client.clone()];

    let posts = async {
        for n in 0..MESSAGES {
            senders[n % 2].post(log, format!("{} {}", n % 2, n / 2)).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let restarts = async {
        nodes.edges[0].stop().await.unwrap();
        nodes.edges[0].start().unwrap();
        nodes.edges[0].ready().await.unwrap();
    };
    let [a, b, c, d] = devices.each_mut();
    let received = async { tokio::join!(receive(a), receive(b), receive(c), receive(d)) };
    tokio::join!(posts, restarts, received);
    for device in devices {
        let stood = device.sessions().await.unwrap();
        assert_eq!((stood.begun, stood.lost), (2, 0), "a second one, and no moment without");
        assert_eq!(stood.tickets, 1, "and its token was not looked up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_no_more_than_its_token_does() {
    let plan = Plan { edges: 2, cores: vec![vec![]], kafka: false, tls: false };
    let nodes = Nodes::start(GOGOCHAT, &plan).await.unwrap();
    let mut ann = Person::register(nodes.edges[0].http, "ann").await.unwrap();
    let ben = Person::register(nodes.edges[1].http, "ben").await.unwrap();
    let (anns, bens) = (ann.token.clone(), ben.token.clone());
    let bens_device = come(&nodes, 0, Transport::WebSocket, &bens, Vec::new()).await.unwrap().device_id;
    for transport in [Transport::WebTransport, Transport::WebSocket] {
        let first = come(&nodes, 0, transport, &anns, Vec::new()).await.unwrap();
        assert_eq!(first.ticket_use(), TicketUse::Unspecified);
        let again = come(&nodes, 1, transport, &anns, first.ticket.to_vec()).await.unwrap();
        assert_eq!((again.ticket_use(), &again.device_id), (TicketUse::Taken, &first.device_id));

        let mut forged = first.ticket.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        let passed_over = come(&nodes, 1, transport, &anns, forged).await.unwrap();
        assert_eq!((passed_over.ticket_use(), passed_over.user_id), (TicketUse::Invalid, first.user_id));
        let passed_over = come(&nodes, 1, transport, &bens, first.ticket.to_vec()).await.unwrap();
        assert_eq!((passed_over.ticket_use(), passed_over.device_id), (TicketUse::Invalid, bens_device.clone()));
    }

    // A session that goes on with a newer token has a ticket for that.
    let mut session = dial(&nodes, 0, Transport::WebTransport).await;
    let older = session.hello(&anns).await.unwrap().ticket;
    let refresh = serde_json::json!({ "refreshToken": ann.refresh });
    let refreshed = ann.call("POST", "/v1/sessions/refresh", &refresh).await.unwrap();
    let newer = refreshed["accessToken"].as_str().unwrap();
    session.queue_hello(newer);
    let Frame::Welcome(renewed) = session.next().await.unwrap() else { panic!("no Welcome") };
    let again = come(&nodes, 1, Transport::WebTransport, newer, renewed.ticket.to_vec()).await.unwrap();
    assert_eq!(again.ticket_use(), TicketUse::Taken);
    // The token that it took the place of is worth nothing any more, nor is its ticket.
    for transport in [Transport::WebTransport, Transport::WebSocket] {
        let refused = come(&nodes, 1, transport, &anns, older.to_vec()).await.unwrap_err();
        assert_eq!(refused.close_code(), Some(CloseCode::TokenInvalid), "{refused}");
    }

    let anns = newer.to_owned();
    ann.token.clone_from(&anns);
    let v1::Welcome { ticket, device_id, .. } = come(&nodes, 0, Transport::WebSocket, &anns, Vec::new()).await.unwrap();
    ann.call("DELETE", &format!("/v1/devices/{device_id}"), &serde_json::Value::Null).await.unwrap();
    for edge in 0..2 {
        let refused = come(&nodes, edge, Transport::WebSocket, &anns, ticket.to_vec()).await.unwrap_err();
        assert!(matches!(refused.close_code(), Some(CloseCode::TokenInvalid | CloseCode::SignedOut)), "{refused}");
    }
}

async fn dial(nodes: &Nodes, edge: usize, transport: Transport) -> Connection {
    let target = format!("https://{}", nodes.edges[edge].edge).parse().unwrap();
    Dialer::new(Trust::AnyOnLoopback).unwrap().open(&target, transport).await.unwrap()
}

/// Opens a session at an edge, and leaves.
async fn come(
    nodes: &Nodes,
    edge: usize,
    transport: Transport,
    token: &str,
    ticket: Vec<u8>,
) -> Result<v1::Welcome, Closed> {
    let mut connection = dial(nodes, edge, transport).await;
    let welcome = connection.hello_again(token, ticket).await?;
    connection.close(CloseCode::Done).await;
    Ok(welcome)
}

/// All messages: each once, and those of one sender in order.
async fn receive(device: &mut Device) {
    let mut next = [0; 2];
    for _ in 0..MESSAGES {
        let text = device.next_text().await.unwrap();
        let (sender, n) = text.split_once(' ').unwrap();
        let next = &mut next[sender.parse::<usize>().unwrap()];
        assert_eq!(n.parse::<usize>().unwrap(), *next, "{text}");
        *next += 1;
    }
}
