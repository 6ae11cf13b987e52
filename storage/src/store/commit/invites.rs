//! The rows of invites: loaded where they are used or changed, and written.

use gogochat_proto::ids::LogId;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{
    keys::Keys,
    state::{Cell, State},
};
use crate::store::{
    GroupInvite, StoreError,
    entity::{FixedBytes, invite::UNLIMITED},
    sql::{Db, Row},
};

/// Finds the groups that codes lead to, so that these are locked before the codes are read.
pub(super) async fn find<C: ConnectionTrait>(db: &Db<'_, C>, keys: &mut Keys) -> Result<(), StoreError> {
    let codes: Vec<_> = keys.codes.iter().map(|(code, _)| [code.value()]).collect();
    for row in db.rows_in("SELECT code, log_id FROM invite WHERE", ["code"], codes, "").await? {
        let (code, log): (Uuid, LogId) = (row.id(0)?, row.id(1)?);
        keys.logs.insert(log);
        keys.members.extend(keys.codes.iter().filter(|(of, _)| *of == code).map(|(_, user)| (log, *user)));
    }
    Ok(())
}

/// Loads the invites of these codes, and all of the groups whose invites are changed.
pub(super) async fn load<C: ConnectionTrait>(
    db: &Db<'_, C>,
    keys: &Keys,
    loaded: &mut State,
) -> Result<(), StoreError> {
    let codes = keys.codes.iter().map(|(code, _)| [code.value()]).collect();
    let logs = keys.inviting.iter().map(|log| [log.value()]).collect();
    let head = format!("SELECT {INVITE} FROM invite WHERE");
    let mut rows = db.rows_in(&head, ["code"], codes, "").await?;
    rows.extend(db.rows_in(&head, ["log_id"], logs, "").await?);
    for row in rows {
        let invite = read(&row)?;
        loaded.invites.entry(invite.code).or_insert_with(|| Cell::stored(invite));
    }
    Ok(())
}

/// Writes those that changed.
pub(super) async fn write<C: ConnectionTrait>(
    db: &Db<'_, C>,
    invites: Vec<(Uuid, Cell<GroupInvite>)>,
) -> Result<(), StoreError> {
    let (mut gone, mut rows) = (Vec::new(), Vec::new());
    for (code, cell) in invites {
        match cell.now {
            None if cell.stored => gone.push([code.value()]),
            None => {}
            Some(GroupInvite { log, creator, until_ms, uses_left, .. }) => {
                let uses_left = uses_left.map_or(UNLIMITED, i64::from);
                rows.push([code.value(), log.value(), creator.value(), until_ms.into(), uses_left.into()]);
            }
        }
    }
    db.delete_in("invite", ["code"], gone).await?;
    let columns = ["code", "log_id", "creator_id", "until_ms", "uses_left"];
    let upsert = (db.dialect.upsert)(&["code"], &["uses_left"]);
    db.insert("invite", columns, rows, &upsert).await
}

fn read(row: &Row) -> Result<GroupInvite, StoreError> {
    let uses_left = row.int(4)?;
    Ok(GroupInvite {
        code: row.id(0)?,
        log: row.id(1)?,
        creator: row.id(2)?,
        until_ms: row.int(3)?,
        uses_left: (uses_left != UNLIMITED).then(|| u32::try_from(uses_left).unwrap_or(0)),
    })
}

const INVITE: &str = "code, log_id, creator_id, until_ms, uses_left";
