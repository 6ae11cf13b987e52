//! Reading events.

use gogochat_proto::ids::LogId;
use sea_orm::ConnectionTrait;

use super::{Db, Row, SqlId};
use crate::store::{Event, Range, StoreError};

pub(super) async fn range<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: LogId,
    range: Range,
    limit: u32,
    max_bytes: usize,
) -> Result<Vec<Event>, StoreError> {
    let (sql, mut from, end) = match range {
        Range::After(seq) => (FORWARD, seq, i64::MAX),
        Range::Before { before, at_least } => (BACKWARD, before, at_least),
    };
    let mut events: Vec<Event> = Vec::new();
    let mut bytes = 0;
    // In steps, so that a page of large events does not read many more of them than it gives.
    'page: while events.len() < limit as usize {
        let step = (limit as usize - events.len()).min(STEP);
        let values = vec![log.value(), from.into(), end.into(), (step as i64).into()];
        let rows = db.rows(format!("SELECT {EVENT} FROM event e WHERE {sql}"), values).await?;
        for row in &rows {
            let event = read(row, log, 0)?;
            bytes += event.payload.len();
            if bytes > max_bytes && !events.is_empty() {
                break 'page;
            }
            from = event.seq;
            events.push(event);
        }
        if rows.len() < step {
            break;
        }
    }
    if matches!(range, Range::Before { .. }) {
        events.reverse();
    }
    Ok(events)
}

/// An event in six columns from `first`, in the order of [`EVENT`].
pub(super) fn read(row: &Row, log: LogId, first: usize) -> Result<Event, StoreError> {
    Ok(Event {
        log,
        seq: row.int(first)?,
        time_ms: row.int(first + 1)?,
        sender: row.id(first + 2)?,
        device: row.id_or_null(first + 3)?,
        client_msg_id: row.id_or_null(first + 4)?,
        payload: row.bytes(first + 5)?,
        subscription: None,
    })
}

/// The columns of an event, of the alias `e`.
pub(super) const EVENT: &str = "e.seq, e.time_ms, e.sender_id, e.device_id, e.client_msg_id, e.payload";

const FORWARD: &str = "e.log_id = ? AND e.seq > ? AND e.seq <= ? ORDER BY e.seq LIMIT ?";
const BACKWARD: &str = "e.log_id = ? AND e.seq < ? AND e.seq >= ? ORDER BY e.seq DESC LIMIT ?";

/// Events read at once.
const STEP: usize = 100;
