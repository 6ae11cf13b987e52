//! The datagrams of a client, taken where they are read, so that no task is woken for them.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use gogochat_proto::{close::CloseCode, frame, v1::client_frame};
use parking_lot::Mutex;

use super::{Hub, output};
use crate::{
    clients::Peer,
    metrics as names,
    session::{Output, bucket::Bucket, calls::ReplyTo},
    transport::{close_code, streams::TakeDatagram},
};

/// Takes the datagrams of one client.
pub(super) struct Datagrams {
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    rate: Mutex<Bucket>,
}

impl Datagrams {
    /// Those of this client.
    pub(super) fn new(hub: Arc<Hub>, peer: Arc<Peer>) -> Self {
        let rate = Mutex::new(Bucket::new(DATAGRAMS_A_SECOND, DATAGRAMS_AT_ONCE, Instant::now()));
        Self { hub, peer, rate }
    }

    /// Only what may be lost comes as a datagram.
    fn receive(&self, payload: Bytes) -> Result<(), CloseCode> {
        match frame::client_frame(payload).map_err(close_code)? {
            frame @ client_frame::Frame::Ephemeral(_) => {
                // It may have overtaken Hello.
                if self.peer.session.lock().is_live() {
                    let output = output::take(&self.peer, frame, ReplyTo::Session)?;
                    if let Some(Output::Ephemeral(log, ephemeral)) = output {
                        output::relay(&self.hub, &self.peer, log, ephemeral);
                    }
                }
                Ok(())
            }
            _ => Err(CloseCode::ProtocolError),
        }
    }
}

impl TakeDatagram for Datagrams {
    fn take(&self, payload: Bytes) {
        if !self.rate.lock().take(Instant::now()) {
            metrics::counter!(names::DATAGRAMS_SHED).increment(1);
        } else if let Err(code) = self.receive(payload) {
            self.peer.outlet.close(code);
        }
    }
}

const DATAGRAMS_A_SECOND: f32 = 100.0;
const DATAGRAMS_AT_ONCE: f32 = 200.0;
