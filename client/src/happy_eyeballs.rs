//! Which of a host's addresses: tried so that one that is broken delays the others by a moment (RFC 8305).

use std::{net::SocketAddr, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

/// Connects to the first address that answers: each is tried once the one before it has failed, or
/// has been silent for 250 ms, the families in turn (RFC 8305 sections 4 and 5). The last failure
/// when none answers, `None` when there is no address.
pub(crate) async fn first<T, E, F>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Option<Result<T, E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = in_turn(addresses).into_iter();
    let mut tried = FuturesUnordered::new();
    tried.push(connect(waiting.next()?));
    loop {
        let next = waiting.len() > 0;
        tokio::select! {
            biased;
            Some(outcome) = tried.next() => {
                if outcome.is_ok() {
                    return Some(outcome);
                }
                match waiting.next() {
                    Some(address) => tried.push(connect(address)),
                    None if tried.is_empty() => return Some(outcome),
                    None => {}
                }
            }
            () = tokio::time::sleep(PATIENCE), if next => tried.extend(waiting.next().map(&connect)),
        }
    }
}

/// The families one after the other, beginning with that of the first address: the resolver's choice.
fn in_turn(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<SocketAddr> = addresses.into_iter().collect();
    let begin = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == begin);
    one.reverse();
    other.reverse();
    let mut turns = Vec::new();
    while !one.is_empty() || !other.is_empty() {
        turns.extend(one.pop());
        turns.extend(other.pop());
    }
    turns
}

/// The Connection Attempt Delay of RFC 8305, section 8.
const PATIENCE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_route_of_one_family_costs_a_quarter_of_a_second() {
        let addresses = ["[::1]:1", "[::2]:1", "127.0.0.1:1"].map(address);
        let began = Instant::now();
        let connected = first(addresses, |address| async move {
            if address.is_ipv6() {
                return pending::<Result<SocketAddr, ()>>().await;
            }
            Ok(address)
        });
        assert_eq!(connected.await, Some(Ok(address("127.0.0.1:1"))));
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_followed_at_once_and_the_last_is_told() {
        let began = Instant::now();
        let addresses = ["127.0.0.1:1", "[::1]:1", "127.0.0.2:1"].map(address);
        let refused = first(addresses, |address| async move { Err::<(), _>(address) }).await;
        assert_eq!(refused, Some(Err(address("127.0.0.2:1"))));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(first([], |_| async { Ok::<(), ()>(()) }).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_that_answers_first_wins_although_others_were_begun() {
        let addresses = ["[::1]:1", "127.0.0.1:1"].map(address);
        let connected = first(addresses, |address| async move {
            tokio::time::sleep(Duration::from_millis(if address.is_ipv6() { 300 } else { 900 })).await;
            Ok::<_, ()>(address)
        });
        assert_eq!(connected.await, Some(Ok(address("[::1]:1"))));
    }

    #[test]
    fn families_take_turns_in_the_order_of_the_resolver() {
        let turns = in_turn(["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1"].map(address));
        assert_eq!(turns, ["[::1]:1", "127.0.0.1:1", "[::2]:1", "[::3]:1"].map(address));
    }
}
