//! A link of a given rate: what a phone far from its mast has, on one machine.
//!
//! Bytes leave one after the other at the link's rate, then travel for its delay. What waits to leave
//! has a bound. Past it UDP loses what comes last (tail drop), and TCP is read no further, so that its
//! sender waits. Each direction has a rate and a queue of its own.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream, UdpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a link is like, in each direction.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Bits a second, headers of IP and UDP or TCP included.
    pub bits_per_second: u64,
    /// From leaving to arriving: half the least round trip.
    pub delay: Duration,
    /// Bytes that may wait to leave.
    pub queue: usize,
}

impl Link {
    /// How long so many bytes take to leave.
    #[must_use]
    pub fn time(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 * 8.0 / self.bits_per_second as f64)
    }
}

/// Forwards to an address over a link; ended when dropped.
#[derive(Debug)]
pub struct SlowLink {
    /// Where it listens.
    pub address: SocketAddr,
    lost: Arc<AtomicU64>,
    _guard: DropGuard,
}

impl SlowLink {
    /// Starts forwarding UDP to `target`. All clients share the link.
    ///
    /// # Errors
    /// No port is left.
    pub async fn udp(target: SocketAddr, link: Link) -> io::Result<Self> {
        let near = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = near.local_addr()?;
        Ok(Self::start(address, |lost| forward_udp(near, target, link, lost)))
    }

    /// Starts forwarding TCP connections to `target`. Each has a link of its own.
    ///
    /// # Errors
    /// No port is left.
    pub async fn tcp(target: SocketAddr, link: Link) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self::start(address, |_| forward_tcp(listener, target, link)))
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        forward: impl FnOnce(Arc<AtomicU64>) -> F,
    ) -> Self {
        let (stop, lost) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        tokio::spawn(stop.clone().run_until_cancelled_owned(forward(lost.clone())));
        Self { address, lost, _guard: stop.drop_guard() }
    }

    /// Packets that found the queue full, in both directions.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// One direction of a link, without I/O.
#[derive(Debug)]
struct Direction {
    link: Link,
    /// When all that was taken has left.
    free: Instant,
}

impl Direction {
    fn new(link: Link) -> Self {
        Self { link, free: Instant::now() }
    }

    /// When a packet arrives that comes to the link now; `None`: the queue has no room for it.
    fn take(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        if self.waiting(now) + bytes > self.link.queue {
            return None;
        }
        self.free = self.free.max(now) + self.link.time(bytes);
        Some(self.free + self.link.delay)
    }

    /// Bytes that have not left.
    fn waiting(&self, now: Instant) -> usize {
        let left = self.free.saturating_duration_since(now).as_secs_f64();
        (left * self.link.bits_per_second as f64 / 8.0) as usize
    }

    /// When so many bytes more will have room.
    fn has_room(&self, bytes: usize) -> Instant {
        let most = self.link.queue.saturating_sub(bytes);
        self.free.checked_sub(self.link.time(most)).unwrap_or(self.free)
    }
}

/// A packet under way: when it arrives, and from where it goes where.
type Flight = (Instant, Arc<UdpSocket>, Option<SocketAddr>, Vec<u8>);

async fn forward_udp(near: Arc<UdpSocket>, target: SocketAddr, link: Link, lost: Arc<AtomicU64>) {
    let (to_target, to_client) = (arrivals(), arrivals());
    let (mut up, down) = (Direction::new(link), Arc::new(Mutex::new(Direction::new(link))));
    let mut clients: HashMap<SocketAddr, (Arc<UdpSocket>, DropGuard)> = HashMap::new();
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        let Ok((size, client)) = near.recv_from(&mut buffer).await else { continue };
        let far = match clients.get(&client) {
            Some((far, _)) => far.clone(),
            None => {
                let Ok(far) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
                if far.connect(target).await.is_err() {
                    continue;
                }
                let (far, stop) = (Arc::new(far), CancellationToken::new());
                let back = answer(far.clone(), near.clone(), client, down.clone(), to_client.clone(), lost.clone());
                tokio::spawn(stop.clone().run_until_cancelled_owned(back));
                clients.insert(client, (far.clone(), stop.drop_guard()));
                far
            }
        };
        let packet = buffer.get(..size).unwrap_or_default().to_vec();
        let taken = up.take(size + UDP_HEADERS, Instant::now());
        if taken.is_none_or(|at| to_target.try_send((at, far, None, packet)).is_err()) {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Carries what the target answers to one client.
async fn answer(
    far: Arc<UdpSocket>,
    near: Arc<UdpSocket>,
    client: SocketAddr,
    down: Arc<Mutex<Direction>>,
    to_client: mpsc::Sender<Flight>,
    lost: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        // A target that is not there any more is an error of each packet.
        let Ok(size) = far.recv(&mut buffer).await else { continue };
        let taken = down.lock().ok().and_then(|mut down| down.take(size + UDP_HEADERS, Instant::now()));
        let packet = buffer.get(..size).unwrap_or_default().to_vec();
        if taken.is_none_or(|at| to_client.try_send((at, near.clone(), Some(client), packet)).is_err()) {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Delivers packets as they arrive, in order. Past so many UDP loses more, and TCP waits.
fn arrivals() -> mpsc::Sender<Flight> {
    let (sender, mut flights) = mpsc::channel::<Flight>(UNDER_WAY);
    tokio::spawn(async move {
        while let Some((at, socket, to, packet)) = flights.recv().await {
            tokio::time::sleep_until(at).await;
            let _ = match to {
                Some(to) => socket.send_to(&packet, to).await,
                None => socket.send(&packet).await,
            };
        }
    });
    sender
}

async fn forward_tcp(listener: TcpListener, target: SocketAddr, link: Link) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(async move {
            let Ok(socket) = TcpSocket::new_v4() else { return };
            // What the kernel takes beside the queue is to be little.
            let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
            let Ok(far) = socket.connect(target).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), TcpStream::into_split(far));
            let _ = tokio::join!(carry(near_read, far_write, link), carry(far_read, near_write, link));
        });
    }
}

/// Carries one direction of a TCP connection to its end.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: Link) {
    let (path, mut arrivals) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let depart = async move {
        let (mut direction, mut buffer) = (Direction::new(link), [0; SEGMENT]);
        loop {
            tokio::time::sleep_until(direction.has_room(SEGMENT + TCP_HEADERS)).await;
            let Ok(size @ 1..) = from.read(&mut buffer).await else { return };
            let at = direction.take(size + TCP_HEADERS, Instant::now());
            let segment = buffer.get(..size).unwrap_or_default().to_vec();
            if path.send((at.unwrap_or_else(Instant::now), segment)).await.is_err() {
                return;
            }
        }
    };
    let arrive = async move {
        while let Some((at, segment)) = arrivals.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&segment).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(depart, arrive);
}

/// Packets that have left or wait to leave: more than the links of tests have room for.
const UNDER_WAY: usize = 16 * 1024;
const MAX_PACKET: usize = 65_536;
const UDP_HEADERS: usize = 28;
const TCP_HEADERS: usize = 40;
const SEGMENT: usize = 1_400;
/// The kernel gives twice as much.
const RECEIVE_BUFFER: u32 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link { bits_per_second: 80_000, delay: Duration::from_millis(30), queue: 10_000 };

    #[test]
    fn packets_leave_one_after_the_other_and_past_the_queue_none() {
        let mut direction = Direction::new(LINK);
        let now = direction.free;
        // 10,000 bytes a second.
        let at: Vec<_> = (0..12).map_while(|_| direction.take(1_000, now)).collect();
        assert_eq!(at.len(), 10);
        for (index, at) in (1..).zip(&at) {
            assert_eq!((*at - now).as_millis(), 100 * index + 30);
        }
        let later = now + Duration::from_millis(150);
        assert_eq!(direction.waiting(later), 8_500);
        assert_eq!(direction.has_room(2_000), now + Duration::from_millis(200));
        assert!(direction.take(1_600, later).is_none() && direction.take(1_500, later).is_some());
    }

    #[tokio::test]
    async fn udp_takes_its_time_and_loses_what_comes_last() {
        let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let link = SlowLink::udp(target.local_addr().unwrap(), LINK).await.unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        client.connect(link.address).await.unwrap();
        let start = Instant::now();
        for index in 0..12_u8 {
            client.send(&[index; 972]).await.unwrap();
        }
        let mut buffer = [0; 2_000];
        for index in 0..10 {
            let (size, _) = target.recv_from(&mut buffer).await.unwrap();
            assert_eq!((size, buffer[0]), (972, index));
        }
        assert!(start.elapsed() >= Duration::from_millis(1_000), "{:?}", start.elapsed());
        assert_eq!(link.lost(), 2);
    }

    #[tokio::test]
    async fn tcp_takes_its_time_and_loses_nothing() {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let fast = Link { bits_per_second: 8_000_000, ..LINK };
        let link = SlowLink::tcp(target.local_addr().unwrap(), fast).await.unwrap();
        let mut client = TcpStream::connect(link.address).await.unwrap();
        let (mut far, _) = target.accept().await.unwrap();
        let (start, sent) = (Instant::now(), vec![7; 500_000]);
        let mut got = Vec::new();
        let (written, read) = tokio::join!(
            async {
                client.write_all(&sent).await?;
                client.shutdown().await
            },
            far.read_to_end(&mut got)
        );
        written.and(read.map(|_| ())).unwrap();
        assert!(got == sent && start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    }
}
