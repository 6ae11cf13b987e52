//! A member's row, as it is read.

use super::state::Member;
use crate::store::{Role, StoreError, sql::Row};

pub(super) fn read_member(row: &Row) -> Result<Member, StoreError> {
    Ok(Member {
        joined_ms: row.int(2)?,
        from_seq: row.int(3)?,
        delivered: row.int(4)?,
        read: row.int(5)?,
        moved: row.int(6)?,
        large: false,
        fresh: false,
        role: Role::numbered(row.get(7)?),
        muted_ms: row.int(8)?,
        said_ms: row.int(9)?,
        standing_changed: false,
    })
}

/// The columns.
pub(super) const MEMBER: &str =
    "log_id, user_id, joined_ms, from_seq, delivered_seq, read_seq, moved, role, muted_ms, said_ms";
