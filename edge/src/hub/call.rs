//! Sends the calls of sessions to a core.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gogochat_proto::{
    error::ErrorCode,
    method::Method,
    node::{self, invoke_request::Caller},
    v1,
};

use super::Hub;
use crate::{
    clients::Peer,
    metrics as names,
    principal::Principal,
    session::{CallRoute, calls::Begun},
    upstream::Away,
};

/// Sends an ordered call to the core where the session is open. While the session moves to another
/// core, the call waits until those before it are answered. So its order is kept, although the cores
/// know nothing of each other.
pub(super) async fn ordered(hub: &Hub, peer: &Arc<Peer>, call: v1::Call, Begun { number, awaited }: Begun) {
    metrics::counter!(names::CALLS, "lane" => "ordered").increment(1);
    let id = call.id;
    let deadline = tokio::time::Instant::now() + MOVE_TIMEOUT;
    loop {
        let arrived = peer.arrived.notified();
        tokio::pin!(arrived);
        arrived.as_mut().enable();
        let route = peer.session.lock().route(number);
        match route {
            CallRoute::Open { stream, left } => {
                hub.leave_stream(peer, left);
                let command = node::Command {
                    awaited,
                    session: peer.id,
                    call_id: number as u32,
                    method: call.method,
                    key: call.key,
                    body: call.body,
                };
                if let Err(Away) = hub.upstreams.command(command, stream).await {
                    break;
                }
                return;
            }
            CallRoute::Closed => break,
            CallRoute::Gone => return,
            CallRoute::Wait => {
                if tokio::time::timeout_at(deadline, arrived).await.is_err() {
                    break;
                }
            }
        }
    }
    peer.refuse(id, &ErrorCode::Unavailable.with("the core is not reachable"));
    hub.settle(peer);
}

/// Sends a call for which order does not matter to a core that runs its service.
pub(super) fn unordered(hub: &Arc<Hub>, peer: &Arc<Peer>, call: v1::Call, method: &'static Method) {
    metrics::counter!(names::CALLS, "lane" => "unordered").increment(1);
    hub.tasks.spawn(invoke(hub.clone(), peer.clone(), call, method.public));
}

async fn invoke(hub: Arc<Hub>, peer: Arc<Peer>, call: v1::Call, public: bool) {
    let principal = peer.session.lock().principal();
    let caller = principal.map(Principal::to_node).map(Caller::Principal);
    debug_assert!(caller.is_some() || public, "a session that is not live calls nothing");
    let address = peer.address.to_string();
    let request = node::InvokeRequest { method: call.method, body: call.body, caller, address, ..Default::default() };
    let (body, error) = match hub.upstreams.invoke(request).await {
        Ok(node::InvokeReply { body, error, .. }) => (body, error),
        Err(error) => (Bytes::new(), Some(error)),
    };
    peer.finish(v1::Reply { id: call.id, body, error });
}

/// How long a call waits for its session to arrive at another core.
const MOVE_TIMEOUT: Duration = Duration::from_secs(5);
