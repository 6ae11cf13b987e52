//! What a core counts. [`describe`] lists every name with its meaning.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Commands in one transaction.
pub const BATCH: &str = "gogochat_core_batch_commands";

/// Rows of one transaction.
pub const BATCH_ROWS: &str = "gogochat_core_batch_rows";

/// Tells the recorder what each metric means. To be called once, after a recorder was installed and
/// before a core starts.
pub fn describe() {
    describe_counter!("gogochat_core_commits_total", "Transactions of the chat worker");
    describe_counter!("gogochat_core_commit_failures_total", "Transactions that the store did not take");
    describe_histogram!("gogochat_core_commit_seconds", "From handing a batch to the store to its outcome");
    describe_histogram!(BATCH, "Commands in one transaction");
    describe_histogram!(BATCH_ROWS, "Rows that the commands of one transaction may load and write");
    describe_gauge!(
        "gogochat_core_feed_lag",
        "Commits that a follower of the feed is behind, in its slowest shard here"
    );
    describe_counter!(
        "gogochat_core_unread_wrong_total",
        "Logs whose unread messages were counted wrongly, and are counted anew"
    );
    describe_counter!("gogochat_core_marks_total", "Members' marks that moved and were committed");
    describe_counter!("gogochat_core_mark_commits_total", "Transactions that move marks");
    describe_counter!("gogochat_core_marks_refused_total", "Marks that were refused, or dropped, as too many wait");
    describe_gauge!("gogochat_core_marks_waiting", "Marks and calls of Mark that wait for their commit");
    describe_gauge!("gogochat_core_bus_depth", "Commands that were taken and wait for their answer");
    describe_gauge!("gogochat_core_store_up", "1: the store answers, 0: it does not");
    describe_gauge!("gogochat_core_bus_up", "1: the bus takes commands, 0: it does not");
    describe_gauge!("gogochat_core_presence_up", "1: presence answers, 0: it does not");
    describe_gauge!("gogochat_core_blobs_up", "1: the place of blobs answers, 0: it does not");
    describe_counter!("gogochat_core_commands_total", "Commands put on the bus");
    describe_counter!("gogochat_core_refused_total", "Commands and calls refused, by code");
    describe_counter!("gogochat_core_calls_total", "Unary calls, by method");
    describe_histogram!("gogochat_core_call_seconds", "From a unary call to its answer, by method");
    describe_gauge!("gogochat_core_attachments", "Edges attached");
    describe_gauge!("gogochat_core_sessions", "Open sessions");
    describe_counter!("gogochat_core_slow_edges_total", "Attachments closed because the edge read too slowly");
    describe_counter!("gogochat_core_fanout_frames_total", "Events sent to edges live");
    describe_counter!("gogochat_core_replayed_frames_total", "Events sent to edges from the store");
    describe_counter!("gogochat_core_shed_total", "Typing and presence frames dropped for a busy edge");
    describe_histogram!(
        "gogochat_core_presence_refresh_seconds",
        "From the first to the last open session told to presence again"
    );
    describe_counter!("gogochat_core_presence_lost_total", "Comings and goings that presence was too busy to take");
}

/// Handles to what is counted on hot paths.
pub(crate) struct Metrics {
    pub(crate) commits: Counter,
    pub(crate) commit_failures: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) batch: Histogram,
    pub(crate) batch_rows: Histogram,
    pub(crate) unread_wrong: Counter,
    pub(crate) marks: Counter,
    pub(crate) mark_commits: Counter,
    pub(crate) marks_refused: Counter,
    pub(crate) marks_waiting: Gauge,
    pub(crate) bus_depth: Gauge,
    pub(crate) store_up: Gauge,
    pub(crate) bus_up: Gauge,
    pub(crate) presence_up: Gauge,
    pub(crate) blobs_up: Gauge,
    pub(crate) commands: Counter,
    pub(crate) attachments: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) slow_edges: Counter,
    pub(crate) fanout: Counter,
    pub(crate) replayed: Counter,
    pub(crate) shed: Counter,
    pub(crate) presence_lost: Counter,
    pub(crate) presence_refresh: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            commits: counter!("gogochat_core_commits_total"),
            commit_failures: counter!("gogochat_core_commit_failures_total"),
            commit_seconds: histogram!("gogochat_core_commit_seconds"),
            batch: histogram!(BATCH),
            batch_rows: histogram!(BATCH_ROWS),
            unread_wrong: counter!("gogochat_core_unread_wrong_total"),
            marks: counter!("gogochat_core_marks_total"),
            mark_commits: counter!("gogochat_core_mark_commits_total"),
            marks_refused: counter!("gogochat_core_marks_refused_total"),
            marks_waiting: gauge!("gogochat_core_marks_waiting"),
            bus_depth: gauge!("gogochat_core_bus_depth"),
            store_up: gauge!("gogochat_core_store_up"),
            bus_up: gauge!("gogochat_core_bus_up"),
            presence_up: gauge!("gogochat_core_presence_up"),
            blobs_up: gauge!("gogochat_core_blobs_up"),
            commands: counter!("gogochat_core_commands_total"),
            attachments: gauge!("gogochat_core_attachments"),
            sessions: gauge!("gogochat_core_sessions"),
            slow_edges: counter!("gogochat_core_slow_edges_total"),
            fanout: counter!("gogochat_core_fanout_frames_total"),
            replayed: counter!("gogochat_core_replayed_frames_total"),
            shed: counter!("gogochat_core_shed_total"),
            presence_lost: counter!("gogochat_core_presence_lost_total"),
            presence_refresh: histogram!("gogochat_core_presence_refresh_seconds"),
        }
    }
}

impl Metrics {
    /// A call or command was refused. Codes are few: the label stays bounded.
    pub(crate) fn refused(&self, code: &str) {
        counter!("gogochat_core_refused_total", "code" => code.to_owned()).increment(1);
    }

    /// How far a follower of the feed is behind.
    pub(crate) fn feed_lag(&self, follower: &'static str, commits: i64) {
        gauge!("gogochat_core_feed_lag", "follower" => follower).set(commits as f64);
    }

    /// A unary call of a known method.
    pub(crate) fn call(&self, method: &'static str) {
        counter!("gogochat_core_calls_total", "method" => method).increment(1);
    }

    /// It was answered.
    pub(crate) fn answered(&self, method: &'static str, took: Duration) {
        histogram!("gogochat_core_call_seconds", "method" => method).record(took);
    }
}
