//! Reading events.

use gogochat_proto::ids::LogId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Db;
use crate::store::{
    Event, Range, StoreError,
    entity::{Fixed, event},
};

pub(super) async fn range<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: LogId,
    mut range: Range,
    limit: u32,
    max_bytes: usize,
) -> Result<Vec<Event>, StoreError> {
    let mut events: Vec<Event> = Vec::new();
    let mut bytes = 0;
    // In steps, so that a page of large events does not read many more of them than it gives.
    'page: while events.len() < limit as usize {
        let size = (limit as usize - events.len()).min(STEP);
        let rows = db.ask(step(log, range).limit(size as u64).all(db.conn)).await?;
        let is_last = rows.len() < size;
        for event in rows.into_iter().map(Event::from) {
            bytes += event.payload.len();
            if bytes > max_bytes && !events.is_empty() {
                break 'page;
            }
            match &mut range {
                Range::After(seq) | Range::Before { before: seq, .. } => *seq = event.seq,
            }
            events.push(event);
        }
        if is_last {
            break;
        }
    }
    if matches!(range, Range::Before { .. }) {
        events.reverse();
    }
    Ok(events)
}

fn step(log: LogId, range: Range) -> sea_orm::Select<event::Entity> {
    let events = event::Entity::find().filter(event::Column::LogId.eq(Fixed(log)));
    match range {
        Range::After(seq) => events.filter(event::Column::Seq.gt(seq)).order_by_asc(event::Column::Seq),
        Range::Before { before, at_least } => events
            .filter(event::Column::Seq.lt(before))
            .filter(event::Column::Seq.gte(at_least))
            .order_by_desc(event::Column::Seq),
    }
}

/// Events read at once.
const STEP: usize = 100;
