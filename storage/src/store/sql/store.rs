//! [`Store`] on a writer and readers.

use std::time::Duration;

use async_trait::async_trait;
use gogochat_proto::ids::{DeviceId, LogId, UserId};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{
    Db, Dialect, accounts,
    catch_up::{CatchUp, Uncounted},
    contacts, conversations, devices, events, migrate, sign_outs,
};
use crate::store::{
    Arrival, Command, Contact, Contacts, Conversation, Conversations, Device, DeviceKey, Devices, Event, Hash, Logs,
    Member, Membership, Millis, NewDevice, NewUser, Outcome, Range, Rotation, SignOut, Store, StoreError, Tokens, User,
    Users, commit,
};

/// A store in a SQL database.
#[derive(Debug)]
pub struct SqlStore {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    dialect: &'static Dialect,
    upkeep: Option<Upkeep>,
    catch_up: Option<CatchUp>,
}

impl SqlStore {
    /// On connections whose database has the newest schema. The two may be the same. `upkeep` ends with
    /// the store.
    pub(in crate::store) fn new(
        writer: DatabaseConnection,
        reader: DatabaseConnection,
        dialect: &'static Dialect,
        upkeep: Option<Upkeep>,
    ) -> Self {
        Self { writer, reader, dialect, upkeep, catch_up: None }
    }

    /// Counts, beside its work, what was written without being counted.
    pub(in crate::store) fn catching_up(mut self) -> Self {
        let (writer, reader) = (self.writer.clone(), self.reader.clone());
        self.catch_up = Some(CatchUp::spawn(Uncounted { writer, reader, dialect: self.dialect }));
        self
    }

    #[cfg(test)]
    pub(in crate::store) fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    #[cfg(test)]
    pub(in crate::store) fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    #[cfg(test)]
    pub(in crate::store) fn watch(&mut self, each: impl Fn(&mut DatabaseConnection)) {
        each(&mut self.writer);
        each(&mut self.reader);
    }

    pub(in crate::store) fn read(&self) -> Db<'_, DatabaseConnection> {
        Db::new(&self.reader, self.dialect)
    }

    pub(in crate::store) fn within<'c>(&self, transaction: &'c DatabaseTransaction) -> Db<'c, DatabaseTransaction> {
        Db::new(transaction, self.dialect)
    }

    pub(in crate::store) async fn write(&self) -> Result<DatabaseTransaction, StoreError> {
        let begun = self.writer.begin_with_options(self.dialect.write);
        self.dialect.wait(begun, |error| self.dialect.meaning(error)).await
    }

    /// Several reads that see one state.
    async fn snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        let reader = self.reader.clone();
        // To its end even where the caller has gone: half-begun, it would stay on its connection, and
        // what is read there later be old.
        let begun = tokio::spawn(async move { reader.begin().await });
        let begun = async { begun.await.unwrap_or_else(|cause| Err(DbErr::Custom(cause.to_string()))) };
        self.dialect.wait(begun, |error| self.dialect.meaning(error)).await
    }

    /// Whether a transaction is worth running again, after a pause that lets the other get to its end.
    async fn again<T>(&self, result: &Result<T, StoreError>, conflict: bool, attempt: u32) -> bool {
        let Err(error) = result else { return false };
        if !conflict || attempt >= self.dialect.attempts {
            return false;
        }
        tracing::debug!(%error, attempt, "a transaction is run again");
        tokio::time::sleep(PAUSE * attempt).await;
        true
    }

    /// Commits what went well, takes back what did not.
    pub(in crate::store) async fn finish<T>(
        &self,
        transaction: DatabaseTransaction,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match result {
            Ok(value) => {
                self.dialect.wait(transaction.commit(), |error| self.dialect.meaning(error)).await.map(|()| value)
            }
            Err(error) => {
                if let Err(second) =
                    self.dialect.wait(transaction.rollback(), |error| self.dialect.meaning(error)).await
                {
                    tracing::debug!(%second, "no rollback after a failure");
                }
                Err(error)
            }
        }
    }
}

/// What `$work` makes of `$db`, which is in a writing transaction, committed. Where another transaction
/// stood in its way, it is run again.
macro_rules! transact {
    ($store:expr, |$db:ident| $work:expr) => {{
        let mut attempt = 0;
        loop {
            attempt += 1;
            let transaction = $store.write().await?;
            let $db = $store.within(&transaction);
            let result = $work.await;
            let conflict = $db.met_a_conflict();
            let result = $store.finish(transaction, result).await;
            if !$store.again(&result, conflict, attempt).await {
                break result;
            }
        }
    }};
}

#[async_trait]
impl Logs for SqlStore {
    async fn commit(&self, mut batch: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        transact!(self, |db| commit::commit(&db, self.dialect.lend(&mut batch)))
    }

    async fn last_seq(&self, log: LogId) -> Result<Option<i64>, StoreError> {
        conversations::last_seq(&self.read(), log).await
    }

    async fn last_seqs(&self, logs: &[LogId]) -> Result<Vec<(LogId, i64)>, StoreError> {
        conversations::last_seqs(&self.read(), logs).await
    }

    async fn events(&self, log: LogId, range: Range, limit: u32, max_bytes: usize) -> Result<Vec<Event>, StoreError> {
        events::range(&self.read(), log, range, limit, max_bytes).await
    }
}

#[async_trait]
impl Users for SqlStore {
    async fn create_user(&self, user: NewUser, device: NewDevice) -> Result<bool, StoreError> {
        transact!(self, |db| accounts::create(&db, user.clone(), device.clone()))
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        accounts::by_name(&self.read(), name).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        accounts::by_ids(&self.read(), ids).await
    }

    async fn find_users(&self, prefix: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        accounts::by_prefix(&self.read(), prefix, limit).await
    }

    async fn change_password(
        &self,
        user: UserId,
        expected: &str,
        new: &str,
        keep: DeviceId,
        now: Millis,
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        transact!(self, |db| accounts::change_password(&db, user, expected, new, keep, now))
    }
}

#[async_trait]
impl Devices for SqlStore {
    async fn create_device(&self, device: NewDevice, expected: &str) -> Result<bool, StoreError> {
        transact!(self, |db| accounts::add_device(&db, device.clone(), expected))
    }

    async fn device_by_access(&self, access: &Hash) -> Result<Option<Device>, StoreError> {
        devices::by_access(&self.read(), access).await
    }

    async fn device(&self, device: DeviceId) -> Result<Option<Device>, StoreError> {
        devices::by_id(&self.read(), device).await
    }

    async fn arrival(&self, key: DeviceKey) -> Result<Option<Arrival>, StoreError> {
        devices::arrival(&self.read(), key).await
    }

    async fn rotate_tokens(
        &self,
        refresh: &Hash,
        new: Tokens,
        now: Millis,
        grace_ms: Millis,
    ) -> Result<Rotation, StoreError> {
        transact!(self, |db| devices::rotate(&db, refresh, new, now, grace_ms))
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        devices::of_user(&self.read(), user).await
    }

    async fn revoke_device(&self, user: UserId, device: DeviceId, now: Millis) -> Result<bool, StoreError> {
        transact!(self, |db| devices::revoke(&db, user, device, now))
    }

    async fn sign_outs(&self, after: i64, limit: u32) -> Result<Vec<SignOut>, StoreError> {
        sign_outs::page(&self.read(), after, limit).await
    }

    async fn last_sign_out(&self) -> Result<i64, StoreError> {
        sign_outs::last(&self.read()).await
    }

    async fn touch_devices(&self, seen: &[DeviceId], at: Millis) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        transact!(self, |db| devices::touch(&db, seen, at))
    }
}

#[async_trait]
impl Contacts for SqlStore {
    async fn contacts(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Contact>, StoreError> {
        contacts::page(&self.read(), user, after, limit).await
    }

    async fn accepted_contacts(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        contacts::accepted(&self.read(), user, others).await
    }
}

#[async_trait]
impl Conversations for SqlStore {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        conversations::memberships(&self.read(), user).await
    }

    async fn conversations(
        &self,
        user: UserId,
        only: Option<&[LogId]>,
        after: Option<(Millis, LogId)>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        let snapshot = self.snapshot().await?;
        let result = conversations::page(&self.within(&snapshot), user, only, after, limit).await;
        let (page, uncounted) = self.finish(snapshot, result).await?;
        for (log, catch_up) in uncounted.into_iter().zip(self.catch_up.iter().cycle()) {
            catch_up.ask(log);
        }
        Ok(page)
    }

    async fn members(
        &self,
        log: LogId,
        after: Option<(Millis, UserId)>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        conversations::members(&self.read(), log, after, limit).await
    }

    async fn member(&self, log: LogId, user: UserId) -> Result<Option<Member>, StoreError> {
        conversations::member(&self.read(), log, user).await
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn installation(&self) -> Result<Uuid, StoreError> {
        migrate::installation(&self.read()).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        transact!(self, |db| migrate::check(&db))
    }

    async fn close(&self) {
        self.catch_up.iter().for_each(CatchUp::stop);
        let upkeep = self.upkeep.as_ref().map(|upkeep| {
            upkeep.task.abort();
            &upkeep.connection
        });
        for pool in [Some(&self.reader), upkeep, Some(&self.writer)].into_iter().flatten() {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(%error, "the store did not close well");
            }
        }
    }
}

/// How long a transaction that others stood in the way of waits, times how often it was tried.
const PAUSE: Duration = Duration::from_millis(5);

/// What a database needs done beside the work, on a connection of its own.
#[derive(Debug)]
pub(in crate::store) struct Upkeep {
    task: AbortHandle,
    connection: DatabaseConnection,
}

impl Upkeep {
    /// Runs it until the store is closed or dropped.
    pub(in crate::store) fn spawn(
        task: impl Future<Output = ()> + Send + 'static,
        connection: DatabaseConnection,
    ) -> Self {
        Self { task: tokio::spawn(task).abort_handle(), connection }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}
