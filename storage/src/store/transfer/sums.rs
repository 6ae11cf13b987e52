//! The sum of each table of an SQLite file: how many rows, and a hash over them. Damage shows by
//! it.

use sha2::{Digest as _, Sha256};

use super::{
    progress::{Progress, Report},
    tables::Table,
};
use crate::store::{Hash, SqlStore, StoreError};

/// What a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Sum {
    pub(in crate::store) table: String,
    pub(in crate::store) rows: i64,
    pub(in crate::store) hash: Hash,
}

/// Of all tables but these, whatever program has made them.
pub(in crate::store) async fn sums(
    store: &SqlStore,
    without: &[&str],
    report: Report<'_>,
) -> Result<Vec<Sum>, StoreError> {
    let mut sums = Vec::new();
    for table in Table::all_of(store).await?.into_iter().filter(|table| !without.contains(&table.name.as_str())) {
        let sum = sum(store, &table).await?;
        report(Progress::Checked { table: table.name, rows: sum.rows });
        sums.push(sum);
    }
    Ok(sums)
}

async fn sum(store: &SqlStore, table: &Table) -> Result<Sum, StoreError> {
    let (mut count, mut hash, mut last) = (0, Sha256::new(), None);
    loop {
        let rows = table.page(store, last.as_deref(), ROWS).await?;
        let Some(end) = rows.last() else { break };
        last = Some(table.key_of(end));
        count += rows.len() as i64;
        rows.iter().flatten().for_each(|field| field.hash(&mut hash));
    }
    Ok(Sum { table: table.name.clone(), rows: count, hash: hash.finalize().into() })
}

/// Rows read at once.
const ROWS: usize = 1_000;
