//! Copying a table.

use sea_orm::ConnectionTrait as _;

use super::{
    progress::{Progress, Report, TransferError},
    tables::{Field, Table},
};
use crate::store::{SqlStore, StoreError};

/// Copies what the target does not have yet.
pub(super) async fn copy(
    source: &SqlStore,
    target: &SqlStore,
    table: &Table,
    report: Report<'_>,
) -> Result<(), TransferError> {
    let total = table.count(source).await.map_err(TransferError::Source)?;
    let mut done = table.count(target).await.map_err(TransferError::Target)?;
    let mut last = table.last_key(target).await.map_err(TransferError::Target)?;
    loop {
        let rows = table.page(source, last.as_deref(), ROWS).await.map_err(TransferError::Source)?;
        let Some(end) = rows.last() else { break };
        last = Some(table.key_of(end));
        done += rows.len() as i64;
        write(target, table, rows).await.map_err(TransferError::Target)?;
        report(Progress::Copied { table: table.name.clone(), done, total });
    }
    Ok(())
}

/// Writes rows in one transaction.
async fn write(target: &SqlStore, table: &Table, rows: Vec<Vec<Field>>) -> Result<(), StoreError> {
    let transaction = target.write().await?;
    let db = target.within(&transaction);
    let mut result = Ok(());
    for part in parts(rows) {
        result = match table.insert(part) {
            Ok(insert) => db.ask(db.conn.execute(&insert)).await.map(drop),
            Err(error) => Err(error),
        };
        if result.is_err() {
            break;
        }
    }
    target.finish(transaction, result).await
}

/// Parts that each make a statement of a size that every server takes.
fn parts(rows: Vec<Vec<Field>>) -> Vec<Vec<Vec<Field>>> {
    let mut parts: Vec<Vec<Vec<Field>>> = Vec::new();
    let mut size = usize::MAX;
    for row in rows {
        let more: usize = row.iter().map(Field::size).sum();
        size = size.saturating_add(more);
        match parts.last_mut() {
            Some(part) if size <= BYTES => part.push(row),
            _ => {
                size = more;
                parts.push(vec![row]);
            }
        }
    }
    parts
}

/// Rows in a transaction. The widest row times this stays below the 65,535 values that a statement may have.
const ROWS: usize = 1_000;

/// Bytes of values in a statement.
const BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rows_go_alone() {
        let row = |size: usize| vec![Field::Int(Some(1)), Field::Bytes(Some(vec![0; size]))];
        let sizes = |rows: Vec<usize>| -> Vec<usize> {
            parts(rows.into_iter().map(row).collect()).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(vec![]), [0; 0]);
        assert_eq!(sizes(vec![10; 1_000]), [1_000]);
        assert_eq!(sizes(vec![1, BYTES + 1, 1, 1]), [1, 1, 2]);
        assert_eq!(sizes(vec![BYTES / 2, BYTES / 2, BYTES / 2]), [1, 1, 1]);
        assert_eq!(sizes(vec![BYTES / 3; 4]), [2, 2]);
    }
}
