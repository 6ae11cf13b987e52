//! Stateless resets (RFC 9000 section 10.3): a client whose connection was lost with an earlier
//! process is told so at its next packet.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};

/// An endpoint that can prove to the clients of earlier processes with the same key that their
/// connections are gone.
pub(super) fn endpoint(key: Option<[u8; 32]>) -> EndpointConfig {
    let Some(key) = key else { return EndpointConfig::default() };
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key)));
    config.cid_generator(|| Box::new(Ids)).min_reset_interval(RESET_INTERVAL);
    config
}

/// Random ids, of which any may be an earlier process's. quinn's own are signed by a key of this
/// process: packets for others it drops without a word.
#[derive(Debug)]
struct Ids;

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; ID_LENGTH]>())
    }

    fn cid_len(&self) -> usize {
        ID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

const ID_LENGTH: usize = 8;
/// After a restart every client needs one. A reset is smaller than what it answers, so that a flood of
/// stray packets is not amplified.
const RESET_INTERVAL: Duration = Duration::from_micros(200);
