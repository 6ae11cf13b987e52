//! Decides whether a session that begins may be opened now: checks its ticket, and takes a place.

use gogochat_proto::v1::{self, TicketUse};

use super::Hub;
use crate::{clients::Peer, clock::now_ms, metrics as names, openings::Whom, session::Asked, tickets::TokenHash};

/// Looks at the ticket that a client shows, if any, and gives a session that begins its place among
/// those that are being opened. `false`: there is none.
pub(super) fn admit(hub: &Hub, peer: &Peer, hello: &v1::Hello) -> bool {
    if peer.session.lock().is_live() {
        return true;
    }
    if !hello.ticket.is_empty() {
        let checked = hub.tickets.check(&hello.ticket, TokenHash::of(&hello.access_token), now_ms());
        let mut session = peer.session.lock();
        if let Ok(principal) = checked {
            session.vouch(principal);
        }
        let ticket_use = checked.map_or_else(|why| why, |_| TicketUse::Taken);
        session.set_ticket_use(ticket_use);
        metrics::counter!(names::TICKETS, "use" => use_name(ticket_use)).increment(1);
    }
    let mut session = peer.session.lock();
    let whom = match session.asks() {
        Some(Asked::Ticket(principal, _)) => Whom::Known(principal.user),
        _ => Whom::New(peer.address),
    };
    let place = hub.openings.take(whom);
    let admitted = place.is_some();
    if let Some(place) = place {
        session.set_place(place);
    }
    admitted
}

fn use_name(ticket_use: TicketUse) -> &'static str {
    match ticket_use {
        TicketUse::Taken => "ticket taken",
        TicketUse::Expired => "ticket expired",
        TicketUse::Invalid | TicketUse::Unspecified => "ticket invalid",
    }
}
