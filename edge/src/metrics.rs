//! What the edge counts. [`describe`] tells the recorder what each metric means, which `/metrics`
//! shows.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Sessions open now, by transport: wt, wss, ws.
pub const SESSIONS: &str = "gogochat_edge_sessions";
/// Sessions that were opened (Welcome was sent), by transport.
pub const OPENED: &str = "gogochat_edge_sessions_opened_total";
/// Sessions that ended, by transport and close code; "gone" when the client left without one.
pub const CLOSED: &str = "gogochat_edge_sessions_closed_total";
/// Handshakes that failed or were refused, by transport and reason.
pub const REFUSED: &str = "gogochat_edge_handshakes_refused_total";
/// TCP connections that were ended, by reason: silent, stalled, evicted.
pub const ENDED: &str = "gogochat_edge_connections_ended_total";
/// Tickets that clients have shown, by what became of them.
pub const TICKETS: &str = "gogochat_edge_tickets_total";
/// Frames from clients.
pub const FRAMES_IN: &str = "gogochat_edge_frames_in_total";
/// Events delivered into sessions' queues.
pub const DELIVERED: &str = "gogochat_edge_deliveries_total";
/// Bytes of events delivered into sessions' queues.
pub const DELIVERED_BYTES: &str = "gogochat_edge_delivered_bytes_total";
/// Frames dropped from full queues, by kind: event, ephemeral.
pub const DROPPED: &str = "gogochat_edge_dropped_total";
/// Times that a client was not read for a moment, as it had sent more frames than its budget has room for.
pub const PACED: &str = "gogochat_edge_paced_total";
/// Resync frames queued for slow sessions.
pub const RESYNCS: &str = "gogochat_edge_resyncs_total";
/// Datagrams from clients past their rate.
pub const DATAGRAMS_SHED: &str = "gogochat_edge_datagrams_shed_total";
/// Bytes that wait in all sessions' queues, looked at once a second.
pub const QUEUED_BYTES: &str = "gogochat_edge_queued_bytes";
/// Frames that wait in all sessions' queues, looked at once a second.
pub const QUEUED_FRAMES: &str = "gogochat_edge_queued_frames";
/// Calls sent on to a core, by lane: ordered, unordered, rest.
pub const CALLS: &str = "gogochat_edge_calls_total";
/// Cores with `chat` that it is attached to.
pub const ATTACHED: &str = "gogochat_edge_attached";
/// Cores with `chat` that are known to be up and that this edge is not attached to, looked at once a second.
pub const OUT_OF_REACH: &str = "gogochat_edge_cores_out_of_reach";
/// Items in one batch to the core.
pub const BATCH: &str = "gogochat_edge_batch_items";
/// Gaps in a log's fan-out for which the core was asked to replay.
pub const GAPS: &str = "gogochat_edge_gaps_total";

/// Tells the recorder what each metric means.
pub fn describe() {
    describe_gauge!(SESSIONS, "Sessions open now, by transport");
    describe_counter!(OPENED, "Sessions that were opened, by transport");
    describe_counter!(CLOSED, "Sessions that ended, by transport and close code");
    describe_counter!(REFUSED, "Handshakes that failed or were refused, by transport and reason");
    describe_counter!(ENDED, "TCP connections that were ended for what their clients did not do, by reason");
    describe_counter!(TICKETS, "Tickets that clients have shown, by what became of them");
    describe_counter!(FRAMES_IN, "Frames from clients");
    describe_counter!(DELIVERED, "Events delivered into sessions' queues");
    describe_counter!(DELIVERED_BYTES, Unit::Bytes, "Bytes of events delivered into sessions' queues");
    describe_counter!(DROPPED, "Frames dropped from full queues, and typing past its budget, by kind");
    describe_counter!(PACED, "Times that a client was not read for a moment, as it sent too many frames");
    describe_counter!(RESYNCS, "Resync frames queued for slow sessions");
    describe_counter!(DATAGRAMS_SHED, "Datagrams from clients past their rate");
    describe_gauge!(QUEUED_BYTES, Unit::Bytes, "Bytes that wait in all sessions' queues");
    describe_gauge!(QUEUED_FRAMES, "Frames that wait in all sessions' queues");
    describe_counter!(CALLS, "Calls sent on to a core, by lane");
    describe_gauge!(ATTACHED, "Cores with chat that this edge is attached to");
    describe_gauge!(OUT_OF_REACH, "Cores with chat that are known to be up and that this edge is not attached to");
    describe_histogram!(BATCH, "Items in one batch to the core");
    describe_counter!(GAPS, "Gaps in a log's fan-out for which the core was asked to replay");
}
