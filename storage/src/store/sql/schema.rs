//! The schema, made from the entities.

use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, IdenStatic as _, Schema,
    sea_query::{Index, IndexCreateStatement, Table, TableCreateStatement},
};

use super::{Db, name_words, order, owners};
use crate::store::{
    StoreError,
    entity::{
        account, audit, block, contact, device, event, feed, follower, history, installation, invitation, invite, log,
        member, name_word, notice, recovery_code, schema_step, schema_version, second_factor, sent, signed_out,
        silent_event, spent_refresh,
    },
};

/// The definition of an entity's table, unless it is there.
pub(in crate::store) fn table<C: ConnectionTrait>(db: &Db<'_, C>, entity: impl EntityTrait) -> TableCreateStatement {
    let mut table = Schema::new(db.conn.get_database_backend()).create_table_from_entity(entity);
    table.if_not_exists();
    (db.dialect.table)(&mut table);
    table
}

/// Makes all of a new store's tables that are not there yet.
pub(super) async fn create<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    // Those first that others refer to.
    db.define(&table(db, account::Entity)).await?;
    db.define(&table(db, name_word::Entity)).await?;
    db.define(&table(db, audit::Entity)).await?;
    db.define(&table(db, invitation::Entity)).await?;
    db.define(&table(db, second_factor::Entity)).await?;
    db.define(&table(db, recovery_code::Entity)).await?;
    db.define(&table(db, device::Entity)).await?;
    db.define(&table(db, spent_refresh::Entity)).await?;
    db.define(&table(db, signed_out::Entity)).await?;
    db.define(&table(db, contact::Entity)).await?;
    db.define(&table(db, block::Entity)).await?;
    let mut pair = Index::create().unique().name("log_pair").col(log::Column::UserA).col(log::Column::UserB).take();
    db.define(table(db, log::Entity).index(&mut pair)).await?;
    db.define(&table(db, member::Entity)).await?;
    db.define(&table(db, event::Entity)).await?;
    db.define(&table(db, silent_event::Entity)).await?;
    db.define(&table(db, notice::Entity)).await?;
    db.define(&table(db, invite::Entity)).await?;
    db.define(&table(db, sent::Entity)).await?;
    db.define(&table(db, installation::Entity)).await?;
    db.define(&table(db, history::Entity)).await?;
    db.define(&feed_table(db)).await?;
    db.define(&table(db, follower::Entity)).await?;
    Ok(())
}

/// Makes all indexes that are not there yet.
pub(super) async fn index<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    for index in indexes() {
        define_index(db, index).await?;
    }
    db.define_as(db.dialect.unfed_index).await
}

async fn define_index<C: ConnectionTrait>(db: &Db<'_, C>, mut index: IndexCreateStatement) -> Result<(), StoreError> {
    // MySQL has no such words; there an index that is there is passed over.
    if db.conn.get_database_backend() == DbBackend::Sqlite {
        index.if_not_exists();
    }
    db.define(&index).await
}

/// Where the database gives positions, its first is behind [`feed::FIRST`].
fn feed_table<C: ConnectionTrait>(db: &Db<'_, C>) -> TableCreateStatement {
    let mut table = table(db, feed::Entity);
    if db.dialect.numbers {
        let columns = table.get_columns().to_vec();
        let mut numbered = Table::create().table(feed::Entity).if_not_exists().take();
        for mut column in columns {
            if column.get_column_name() == feed::Column::Position.as_str() {
                column.auto_increment();
            }
            numbered.col(&mut column);
        }
        (db.dialect.table)(&mut numbered);
        numbered.extra(format!("AUTO_INCREMENT = {}", feed::FIRST + 1));
        table = numbered;
    }
    table
}

fn indexes() -> [IndexCreateStatement; 14] {
    let device_user = Index::create().name("device_user").table(device::Entity).col(device::Column::UserId).take();
    let spent_device = Index::create()
        .name("spent_refresh_device")
        .table(spent_refresh::Entity)
        .col(spent_refresh::Column::DeviceId)
        .take();
    // Of a device that has exchanged its token for weeks, those that have lapsed.
    let spent_lapsed = Index::create()
        .name("spent_refresh_lapsed")
        .table(spent_refresh::Entity)
        .col(spent_refresh::Column::DeviceId)
        .col(spent_refresh::Column::ExpiresMs)
        .take();
    let member_user = Index::create()
        .name("member_user")
        .table(member::Entity)
        .col(member::Column::UserId)
        .col(member::Column::LogId)
        .take();
    let member_joined = Index::create()
        .name("member_joined")
        .table(member::Entity)
        .col(member::Column::LogId)
        .col(member::Column::JoinedMs)
        .col(member::Column::UserId)
        .take();
    let audit =
        |name, column| Index::create().name(name).table(audit::Entity).col(column).col(audit::Column::Id).take();
    let audit_actor = audit("audit_actor", audit::Column::ActorId);
    let audit_subject = audit("audit_subject", audit::Column::SubjectId);
    let audit_act = audit("audit_act", audit::Column::Act);
    let invitation_until =
        Index::create().name("invitation_until").table(invitation::Entity).col(invitation::Column::UntilMs).take();
    [
        device_user,
        spent_device,
        spent_lapsed,
        member_user,
        member_joined,
        moved_index(),
        role_index(),
        Index::create().name("invite_log").table(invite::Entity).col(invite::Column::LogId).take(),
        Index::create().name("log_joining").table(log::Entity).col(log::Column::Joining).col(log::Column::Id).take(),
        audit_actor,
        audit_subject,
        audit_act,
        invitation_until,
        Index::create().name("follower_position").table(follower::Entity).col(follower::Column::Position).take(),
    ]
}

/// For what has moved, the latest first or behind a position, and for the large groups of a user.
fn moved_index() -> IndexCreateStatement {
    Index::create()
        .name("member_moved")
        .table(member::Entity)
        .col(member::Column::UserId)
        .col(member::Column::Large)
        .col(member::Column::Moved)
        .col(member::Column::LogId)
        .take()
}

/// For the owner and the admins of a group, and for who follows.
fn role_index() -> IndexCreateStatement {
    Index::create()
        .name("member_role")
        .table(member::Entity)
        .col(member::Column::LogId)
        .col(member::Column::Role)
        .col(member::Column::JoinedMs)
        .col(member::Column::UserId)
        .take()
}

/// A step that leads from one version of the schema to the next.
#[derive(Debug)]
pub(super) struct Step {
    /// Where it leads.
    pub(super) version: i64,
    /// The oldest version of a program that may go on writing behind it. During a rolling upgrade the
    /// release before and this one run on one store, and either may start again. So this is the
    /// version of the release before, as long as a step only adds what that one need not know: tables,
    /// and columns that have a default.
    pub(super) compatible_from: i64,
}

/// The steps since the versions that were made by lists of statements.
pub(super) const STEPS: [Step; 8] = [
    Step { version: COUNTED, compatible_from: LISTED },
    Step { version: FED, compatible_from: LISTED },
    // What the release before registers is found by display name once that is changed.
    Step { version: ADMINISTERED, compatible_from: LISTED },
    // The release before knows neither roles nor mutes: it lets pass what it let pass.
    Step { version: GOVERNED, compatible_from: LISTED },
    // The release before logs in by the password alone, until its last core is gone.
    Step { version: TWO_FACTORS, compatible_from: LISTED },
    // What the release before drops of the feed is noticed: its followers walk through all logs.
    Step { version: FOLLOWED, compatible_from: LISTED },
    Step { version: BLOCKING, compatible_from: LISTED },
    Step { version: INVITING, compatible_from: LISTED },
];

/// The newest version that a list of statements made.
pub(super) const LISTED: i64 = 4;
/// Unread messages are counted by numbers that are kept.
pub(super) const COUNTED: i64 = 5;
/// Commits write a feed, and say in members' rows what has moved.
pub(super) const FED: i64 = 6;
/// Users have profiles and administrators, and are found by their display names.
pub(super) const ADMINISTERED: i64 = 7;
/// Groups have owners and admins, and settings.
pub(super) const GOVERNED: i64 = 8;
/// Log-ins may ask for a second factor.
pub(super) const TWO_FACTORS: i64 = 9;
/// The feed has followers whose positions are kept.
pub(super) const FOLLOWED: i64 = 10;
/// Users block each other.
pub(super) const BLOCKING: i64 = 11;
/// Groups are joined by invites, or by oneself.
pub(super) const INVITING: i64 = 12;
/// The version of this program.
pub(super) const VERSION: i64 = INVITING;

/// Adds what a store of a listed version lacks beside whole tables.
pub(super) async fn change_listed<C: ConnectionTrait>(db: &Db<'_, C>, from: i64) -> Result<(), StoreError> {
    if (1..3).contains(&from) {
        add_column::<_, sent::Entity>(db, sent::Column::Refused).await?;
    }
    Ok(())
}

/// Adds what a step adds beside whole tables.
pub(super) async fn change<C: ConnectionTrait>(db: &Db<'_, C>, step: &Step) -> Result<(), StoreError> {
    if step.version == COUNTED {
        add_column::<_, log::Entity>(db, log::Column::SilentEvents).await?;
        add_column::<_, log::Entity>(db, log::Column::CountedSeq).await?;
    }
    if step.version == FED {
        add_column::<_, log::Entity>(db, log::Column::Moved).await?;
        add_column::<_, log::Entity>(db, log::Column::FedSeq).await?;
        add_column::<_, log::Entity>(db, log::Column::Marked).await?;
        add_column::<_, member::Entity>(db, member::Column::Moved).await?;
        add_column::<_, member::Entity>(db, member::Column::Large).await?;
        order::by_time(db).await?;
    }
    if step.version == ADMINISTERED {
        for column in [
            account::Column::Signature,
            account::Column::Birthday,
            account::Column::Gender,
            account::Column::AdministratorMs,
            account::Column::DisabledMs,
            account::Column::OneTimeUntilMs,
        ] {
            add_column::<_, account::Entity>(db, column).await?;
        }
        add_column::<_, device::Entity>(db, device::Column::Address).await?;
        name_words::rebuild(db).await?;
    }
    if step.version == INVITING {
        add_column::<_, log::Entity>(db, log::Column::Joining).await?;
    }
    if step.version == GOVERNED {
        for column in [log::Column::History, log::Column::Posting, log::Column::SlowMs] {
            add_column::<_, log::Entity>(db, column).await?;
        }
        for column in [member::Column::Role, member::Column::MutedMs, member::Column::SaidMs] {
            add_column::<_, member::Entity>(db, column).await?;
        }
        owners::note_all(db).await?;
    }
    Ok(())
}

async fn add_column<C: ConnectionTrait, E: EntityTrait>(db: &Db<'_, C>, column: E::Column) -> Result<(), StoreError> {
    let mut definition = Schema::new(db.conn.get_database_backend()).get_column_def::<E>(column);
    db.define(Table::alter().table(E::default().table_ref()).add_column(&mut definition)).await
}

/// The definitions of the tables that say where the schema stands.
pub(super) fn version_tables<C: ConnectionTrait>(db: &Db<'_, C>) -> [TableCreateStatement; 2] {
    [table(db, schema_version::Entity), table(db, schema_step::Entity)]
}
