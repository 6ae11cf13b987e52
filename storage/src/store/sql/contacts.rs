//! Reading contacts.

use gogochat_proto::ids::UserId;
use sea_orm::ConnectionTrait;

use super::{Db, SqlId, row::USER, state};
use crate::store::{Contact, StoreError};

pub(super) async fn page<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<Contact>, StoreError> {
    let after = after.map_or_else(|| Vec::new().into(), UserId::value);
    let sql = format!(
        "SELECT c.state, c.note, c.since_ms, c.log_id, {USER} FROM contact c JOIN account a ON a.id = c.peer_id \
         WHERE c.user_id = ? AND c.peer_id > ? ORDER BY c.peer_id LIMIT ?"
    );
    let rows = db.rows(sql, vec![user.value(), after, i64::from(limit).into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Contact {
                state: state(row.int(0)?)?,
                note: row.text(1)?,
                since_ms: row.int(2)?,
                conversation: row.id_or_null(3)?,
                peer: row.user(4)?,
            })
        })
        .collect()
}

pub(super) async fn accepted<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    others: &[UserId],
) -> Result<Vec<UserId>, StoreError> {
    let keys = others.iter().map(|other| [user.value(), other.value()]).collect();
    let head = "SELECT peer_id FROM contact WHERE state = 3 AND";
    let rows = db.rows_in(head, ["user_id", "peer_id"], keys, "").await?;
    rows.iter().map(|row| row.id(0)).collect()
}
