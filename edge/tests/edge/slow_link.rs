//! History and what is live, over a link of 1 Mbit/s.

use std::time::{Duration, Instant};

use gogochat_proto::{
    frame,
    ids::{LogId, UserId},
    v1::{self, client_frame, server_frame},
};
use gogochat_testkit::slow_link::{Link, SlowLink};
use tokio::net::TcpStream;

use crate::{
    World,
    client::{Client, Kind},
    core::LIST_EVENTS,
    eventually, soon, within,
};

/// What a page of history has at most.
const PAGE: usize = 48 * 1024;
const PAGES: usize = 32;
/// Its queue holds more than half a second: whoever fills it waits for that.
const LINK: Link = Link { bits_per_second: 1_000_000, delay: Duration::from_millis(20), queue: 64 * 1024 };

/// A client behind a link, in a group where something is said now and then.
struct Story {
    world: World,
    group: LogId,
    start: Instant,
    /// When the messages were committed, by their seq.
    said: Vec<Instant>,
    /// How long each took to arrive.
    took: Vec<Duration>,
}

impl Story {
    async fn new() -> (Self, UserId) {
        let (world, user, group) = (World::new().await, UserId::new_v7(), LogId::new_v7());
        world.core.join(user, group);
        (Self { world, group, start: Instant::now(), said: Vec::new(), took: Vec::new() }, user)
    }

    async fn begin(&mut self) {
        eventually("interest", || self.world.core.is_interested(self.group)).await;
        self.start = Instant::now();
    }

    fn say(&mut self) {
        self.world.core.commit(self.group, 200);
        self.said.push(Instant::now());
    }

    fn heard(&mut self, event: &v1::Event) {
        self.took.push(self.said[event.seq as usize - 1].elapsed());
    }

    /// What of the link the history has taken, and how long messages took: the median, and all but a tenth,
    /// for a busy machine holds up a few by itself.
    fn end(mut self) -> (f64, Duration, Duration) {
        let share = LINK.time(PAGES * PAGE).as_secs_f64() / self.start.elapsed().as_secs_f64();
        self.took.sort_unstable();
        assert!(self.took.len() >= 10, "{:?}", self.took);
        let (median, most) = (self.took[self.took.len() / 2], self.took[self.took.len() * 9 / 10]);
        (share, median, most)
    }
}

fn page(id: usize) -> bytes::Bytes {
    let body = PAGE.to_string().into_bytes().into();
    let call = v1::Call { id: id as u32, method: LIST_EVENTS.into(), key: String::new(), body };
    frame::encode(&v1::ClientFrame::from(client_frame::Frame::Call(call)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_over_quic_leaves_room_for_what_is_live() {
    let (mut story, user) = Story::new().await;
    let link = SlowLink::udp(story.world.edge_address(), LINK).await.unwrap();
    let mut client = soon(story.world.connect_wt(link.address.port())).await;
    client.log_in(user).await;
    story.begin().await;
    let Client::Wt(wt) = &client else { unreachable!() };
    // Two streams, and on each all pages at once.
    let mut streams = Vec::new();
    for stream in 0..2 {
        let (mut send, mut recv) = soon(wt.session.open_bi()).await.unwrap();
        let calls: Vec<u8> = (0..PAGES / 2).flat_map(|id| page(stream * PAGES + id)).collect();
        send.write_all(&calls).await.unwrap();
        send.finish().unwrap();
        streams.push(tokio::spawn(async move { recv.read_to_end(PAGES * (PAGE + 100)).await.unwrap().len() }));
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(400));
    within(Duration::from_secs(60), async {
        while streams.iter().any(|stream| !stream.is_finished()) {
            tokio::select! {
                frame = client.next() => match frame {
                    server_frame::Frame::Event(event) => story.heard(&event),
                    other => panic!("{other:?}"),
                },
                _ = ticks.tick() => story.say(),
            }
        }
    })
    .await;
    for stream in streams {
        assert!(stream.await.unwrap() > PAGES / 2 * PAGE);
    }
    let (share, median, most) = story.end();
    // The link's own: from leaving to arriving, and what is of low priority may be before it.
    let own = LINK.delay + Duration::from_millis(100);
    assert!(median <= 3 * own / 2, "{median:?}");
    // Behind all that the send window would take, it were 35 times as long.
    assert!(most <= 8 * own, "{most:?}");
    assert!(share >= 0.8, "{share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_over_a_websocket_lets_what_is_live_before_the_next_page() {
    history_over_tcp(Kind::Ws).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_over_tls_lets_what_is_live_before_the_next_page() {
    history_over_tcp(Kind::Wss).await;
}

async fn history_over_tcp(kind: Kind) {
    let (mut story, user) = Story::new().await;
    let queue = 8 * 1024;
    let address = if kind == Kind::Ws { story.world.http_address() } else { story.world.edge_address() };
    let link = SlowLink::tcp(address, Link { queue, ..LINK }).await.unwrap();
    let tcp = TcpStream::connect(link.address).await.unwrap();
    let mut client = soon(story.world.connect_over(tcp, kind)).await;
    client.log_in(user).await;
    story.begin().await;
    client.send_bytes((0..PAGES).flat_map(page).collect::<Vec<u8>>().into()).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(400));
    let mut pages = 0;
    within(Duration::from_secs(60), async {
        while pages < PAGES {
            tokio::select! {
                frame = client.next() => match frame {
                    server_frame::Frame::Event(event) => story.heard(&event),
                    server_frame::Frame::Reply(reply) => {
                        assert_eq!(reply.body.len(), PAGE);
                        pages += 1;
                    }
                    other => panic!("{other:?}"),
                },
                _ = ticks.tick() => story.say(),
            }
        }
    })
    .await;
    let (share, median, most) = story.end();
    // Before it are the rest of a page, what the sockets took ahead on both sides, and the link's queue.
    let before = LINK.time(PAGE + 2 * 16 * 1024 + 32 * 1024 + queue) + LINK.delay;
    assert!(median <= before, "{median:?}");
    assert!(most <= before * 3 / 2, "{most:?}");
    assert!(share >= 0.8, "{share}");
}
