//! Comparing a table: how many rows, and a hash over them in the order of their keys; of events,
//! for each log.

use gogochat_proto::ids::LogId;
use sha2::{Digest as _, Sha256};

use super::{
    progress::{Progress, TransferError},
    tables::{Field, Table},
};
use crate::store::{SqlStore, StoreError};

/// Compares it.
pub(super) async fn verify(source: &SqlStore, target: &SqlStore, table: &Table) -> Result<Progress, TransferError> {
    let (sources, targets) = tokio::join!(parts(source, table), parts(target, table));
    let (sources, targets) = (sources.map_err(TransferError::Source)?, targets.map_err(TransferError::Target)?);
    let (mut sources, mut targets) = (sources.into_iter().peekable(), targets.into_iter().peekable());
    let (mut rows, mut parts) = (0, 0);
    loop {
        // The lower id of the two: a log that only one of them has is no less of a difference.
        let log = [sources.peek(), targets.peek()].into_iter().flatten().map(|part| part.log.clone()).min();
        let Some(log) = log else { break };
        let one = sources.next_if(|part| part.log == log).unwrap_or_default();
        let other = targets.next_if(|part| part.log == log).unwrap_or_default();
        if (one.rows, &one.hash) != (other.rows, &other.hash) {
            return Err(TransferError::Differs {
                what: named(table, &log),
                source_rows: one.rows,
                source_hash: one.hash,
                target_rows: other.rows,
                target_hash: other.hash,
            });
        }
        rows += one.rows;
        parts += 1;
    }
    Ok(Progress::Verified { table: table.name.clone(), rows, parts })
}

/// A log's rows, or all of a table's.
#[derive(Debug, Default)]
struct Part {
    log: Vec<u8>,
    rows: i64,
    hash: String,
}

async fn parts(store: &SqlStore, table: &Table) -> Result<Vec<Part>, StoreError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut hash = Sha256::new();
    let mut last = None;
    loop {
        let rows = table.page(store, last.as_deref(), ROWS).await?;
        let Some(end) = rows.last() else { break };
        last = Some(table.key_of(end));
        for row in &rows {
            let log = match row.first() {
                Some(Field::Bytes(Some(log))) if table.by_log => log.as_slice(),
                _ => &[],
            };
            if parts.last().is_none_or(|part| part.log != log) {
                seal(&mut parts, &mut hash);
                parts.push(Part { log: log.to_vec(), ..Part::default() });
            }
            row.iter().for_each(|field| field.hash(&mut hash));
            if let Some(part) = parts.last_mut() {
                part.rows += 1;
            }
        }
    }
    seal(&mut parts, &mut hash);
    Ok(parts)
}

/// Ends the last part.
fn seal(parts: &mut [Part], hash: &mut Sha256) {
    let sum = hash.finalize_reset();
    if let Some(part) = parts.last_mut() {
        part.hash = sum.iter().take(HASH_SHOWN).map(|byte| format!("{byte:02x}")).collect();
    }
}

fn named(table: &Table, log: &[u8]) -> String {
    match LogId::from_slice(log) {
        Some(log) if table.by_log => format!("{} of log {log}", table.name),
        _ => table.name.clone(),
    }
}

/// Rows read at once.
const ROWS: usize = 1_000;

/// Bytes of the hash that are compared, and shown where they differ.
const HASH_SHOWN: usize = 16;
