//! Sessions and their cores: asking a core to open one, and what follows when it is opened,
//! refused, or moved to another core.

use std::sync::Arc;

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    error::ErrorCode,
    ids::LogId,
    limits::HEARTBEAT,
    node::{self, edge_item::Item},
    v1::{self, server_frame},
};

use super::Hub;
use crate::{
    clients::Peer,
    clock::{instant_of, now_ms},
    metrics as names,
    principal::Principal,
    session::{Asked, Opened, Session},
    tickets::TokenHash,
    upstream::CoreStream,
};

/// Has a core open the session: its home, or one that becomes its home. Where no core takes sessions,
/// the first that attaches opens it.
pub(super) fn open(hub: &Hub, peer: &Arc<Peer>) {
    loop {
        let (core, asked) = {
            let mut session = peer.session.lock();
            let core = match session.home() {
                Some(home) if home.takes() => home.clone(),
                _ => {
                    let Some(core) = hub.upstreams.pick() else { return };
                    session.set_home(&core);
                    core
                }
            };
            let Some(asked) = session.asks() else { return };
            (core, asked)
        };
        if core.send(request(peer, asked)) {
            return;
        }
    }
}

/// What a core is asked that a session is to be open at.
pub(super) fn requests(peer: &Peer, session: &Session) -> Vec<Item> {
    let known = session.principal().map(Asked::Live);
    known.into_iter().chain(session.asks()).map(|asked| request(peer, asked)).collect()
}

fn request(peer: &Peer, asked: Asked) -> Item {
    let (access_token, principal, token_hash) = match asked {
        Asked::Token(token) => (token, None, Bytes::new()),
        Asked::Ticket(principal, token) => (String::new(), Some(principal.to_node()), token.to_bytes()),
        Asked::Live(principal) => (String::new(), Some(principal.to_node()), Bytes::new()),
    };
    let address = peer.address.to_string();
    Item::Open(node::SessionOpen { session: peer.id, access_token, address, principal, token_hash })
}

/// A core has opened a session.
pub(super) fn opened(hub: &Hub, opened: &node::SessionOpened, core: &CoreStream, stream: u64) {
    let peer = hub.registry.peer(opened.session);
    let Some(peer) = peer.as_ref().filter(|peer| peer.session.lock().is_home(core)) else {
        // It left, or found another home, while this core was being asked. One that has not left yet
        // says so when it does.
        if peer.is_none_or(|peer| !peer.session.lock().is_open_on(|stream| core.has(stream))) {
            core.send(Item::Close(node::SessionClose { session: opened.session }));
        }
        return;
    };
    let Some(principal) = opened.principal.as_ref().and_then(Principal::from_node) else {
        tracing::error!(session = opened.session, "the core opened a session for nobody");
        return peer.outlet.close(CloseCode::Unavailable);
    };
    if hub.signed_out.lock().contains_key(&principal.device) {
        return peer.outlet.close(CloseCode::SignedOut);
    }
    let checked = TokenHash::from_slice(&opened.token_hash);
    let outcome = peer.session.lock().opened(principal, instant_of(opened.expires_ms), stream, checked);
    let abandoned = match outcome {
        Opened::Mismatch => return peer.outlet.close(CloseCode::TokenInvalid),
        Opened::Answer { abandoned } | Opened::Move { abandoned } => abandoned,
    };
    hub.leave_stream(peer, abandoned);
    let Some(share) = hub.registry.identify(peer, principal, hub.limits.sessions_per_user) else {
        return peer.outlet.close(CloseCode::RateLimited);
    };
    peer.session.lock().set_share(share);
    if matches!(outcome, Opened::Answer { .. }) {
        welcome(hub, peer, principal, opened);
    }
    reconcile(hub, peer, principal, opened);
    hub.settle(peer);
    peer.outlet.wake();
}

fn welcome(hub: &Hub, peer: &Peer, principal: Principal, opened: &node::SessionOpened) {
    metrics::counter!(names::OPENED, "transport" => peer.kind).increment(1);
    let ticket = hub.ticket(peer, opened.expires_ms);
    let ticket_use = {
        let mut session = peer.session.lock();
        session.give_place_back();
        session.ticket_use()
    };
    let welcome = v1::Welcome {
        session_id: peer.id.to_string(),
        user_id: principal.user.to_string(),
        device_id: principal.device.to_string(),
        own_seq: opened.own_seq,
        heartbeat_ms: HEARTBEAT.as_millis() as i32,
        time_ms: now_ms(),
        ticket,
        ticket_use: ticket_use.into(),
        epoch: opened.epoch.clone(),
    };
    peer.outlet.send(server_frame::Frame::Welcome(welcome), None);
    peer.session.lock().set_welcomed();
}

/// Subscribes the session to its user's logs, and to no others.
fn reconcile(hub: &Hub, peer: &Arc<Peer>, principal: Principal, opened: &node::SessionOpened) {
    let mut wanted: Vec<(LogId, i64)> = vec![(principal.user.into(), opened.own_seq)];
    wanted.extend(
        opened
            .subscriptions
            .iter()
            .filter_map(|subscription| Some((LogId::from_slice(&subscription.log_id)?, subscription.from_seq))),
    );
    wanted.sort_unstable();
    // Another core may have sent a later change already. Then this view is behind, and what follows in
    // the user's own log mends it.
    let is_latest = hub.registry.have(principal.user.into()).is_none_or(|have| have <= opened.own_seq);
    for log in peer.subscriptions().into_iter().filter(|_| is_latest) {
        if wanted.binary_search_by_key(&log, |(log, _)| *log).is_err() {
            hub.unsubscribe(peer, log);
        }
    }
    for (log, from_seq) in wanted {
        hub.subscribe(peer, log, from_seq);
    }
}

/// A core has refused to open a session.
pub(super) fn refused(hub: &Hub, refused: &node::SessionRefused, core: &Arc<CoreStream>) {
    let Some(peer) = hub.registry.peer(refused.session).filter(|peer| peer.session.lock().is_home(core)) else {
        return;
    };
    if core.is_leaving() && rehome(hub, &peer, core, Leaving::GoingAway) == Rehomed::Elsewhere {
        return;
    }
    let for_now = refused.error.as_ref().is_some_and(v1::Error::retryable);
    if for_now && peer.session.lock().refused_for_now(|stream| core.has(stream)) {
        return;
    }
    let code = refused.error.as_ref().and_then(|error| ErrorCode::from_name(&error.code));
    peer.outlet.close(match code {
        Some(ErrorCode::TokenExpired) => CloseCode::TokenExpired,
        Some(ErrorCode::RateLimited) => CloseCode::RateLimited,
        Some(ErrorCode::TokenInvalid | ErrorCode::Unauthenticated | ErrorCode::PermissionDenied) => {
            CloseCode::TokenInvalid
        }
        _ => CloseCode::Unavailable,
    });
}

/// Asks once more for a live session that its core refused for the moment. To be called now and then.
pub(super) fn ask_again(peer: &Peer) {
    let mut session = peer.session.lock();
    if session.take_ask_again()
        && let Some(home) = session.home()
    {
        // Where the core takes nothing any more, it is lost, and the session finds another home.
        let _ = requests(peer, &session).into_iter().all(|item| home.send(item));
    }
}

/// Why the sessions of a core have to find another home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It still answers what was sent to it.
    GoingAway,
    /// It answers nothing any more.
    Lost,
}

/// Where a session is at home after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rehomed {
    /// At another core.
    Elsewhere,
    /// Where it was, as there is no other core; nowhere, where its core is lost.
    NoOther,
}

/// Opens a session of this core's at another one.
pub(super) fn rehome(hub: &Hub, peer: &Peer, from: &CoreStream, leaving: Leaving) -> Rehomed {
    let mut session = peer.session.lock();
    if !session.is_home(from) {
        return Rehomed::Elsewhere;
    }
    // The session is held meanwhile: a core that is lost after that finds the session to be its own.
    while let Some(core) = hub.upstreams.pick().filter(|core| core.id != from.id) {
        if requests(peer, &session).into_iter().all(|item| core.send(item)) {
            session.set_home(&core);
            return Rehomed::Elsewhere;
        }
    }
    if leaving == Leaving::Lost {
        session.leave_home();
    }
    Rehomed::NoOther
}
