//! [`Store`] on a writer and readers.

use async_trait::async_trait;
use gogochat_proto::ids::{DeviceId, LogId, UserId};
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use tokio::task::AbortHandle;

use super::{Db, Dialect, accounts, contacts, conversations, devices, events, migrate};
use crate::store::{
    Arrival, Command, Contact, Conversation, Device, DeviceKey, Event, Hash, Member, Membership, Millis, NewDevice,
    NewUser, Outcome, Range, Rotation, Store, StoreError, Tokens, User, commit,
};

/// A store in a SQL database.
#[derive(Debug)]
pub struct SqlStore {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    dialect: &'static Dialect,
    upkeep: Option<Upkeep>,
}

impl SqlStore {
    /// On connections whose database has the newest schema. The two may be the same. `upkeep` ends with the store.
    pub(in crate::store) fn new(
        writer: DatabaseConnection,
        reader: DatabaseConnection,
        dialect: &'static Dialect,
        upkeep: Option<Upkeep>,
    ) -> Self {
        Self { writer, reader, dialect, upkeep }
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

    fn read(&self) -> Db<'_, DatabaseConnection> {
        Db { conn: &self.reader, dialect: self.dialect }
    }

    fn within<'c>(&self, transaction: &'c DatabaseTransaction) -> Db<'c, DatabaseTransaction> {
        Db { conn: transaction, dialect: self.dialect }
    }

    async fn write(&self) -> Result<DatabaseTransaction, StoreError> {
        self.writer.begin_with_options(self.dialect.write).await.map_err(self.dialect.error)
    }

    /// Several reads that see one state.
    async fn snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        self.reader.begin().await.map_err(self.dialect.error)
    }

    /// Commits what went well, takes back what did not.
    async fn finish<T>(
        &self,
        transaction: DatabaseTransaction,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match result {
            Ok(value) => transaction.commit().await.map_err(self.dialect.error).map(|()| value),
            Err(error) => {
                if let Err(second) = transaction.rollback().await {
                    tracing::debug!(%second, "no rollback after a failure");
                }
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn commit(&self, batch: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.write().await?;
        let result = commit::commit(&self.within(&transaction), batch).await;
        self.finish(transaction, result).await
    }

    async fn create_user(&self, user: NewUser, device: NewDevice) -> Result<bool, StoreError> {
        let transaction = self.write().await?;
        let result = accounts::create(&self.within(&transaction), user, device).await;
        self.finish(transaction, result).await
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
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        let transaction = self.write().await?;
        let result = accounts::change_password(&self.within(&transaction), user, expected, new, keep).await;
        self.finish(transaction, result).await
    }

    async fn create_device(&self, device: NewDevice) -> Result<(), StoreError> {
        let transaction = self.write().await?;
        let result = devices::create(&self.within(&transaction), device).await;
        self.finish(transaction, result).await
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
        let transaction = self.write().await?;
        let result = devices::rotate(&self.within(&transaction), refresh, new, now, grace_ms).await;
        self.finish(transaction, result).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        devices::of_user(&self.read(), user).await
    }

    async fn revoke_device(&self, user: UserId, device: DeviceId) -> Result<bool, StoreError> {
        let transaction = self.write().await?;
        let result = devices::revoke(&self.within(&transaction), user, device).await;
        self.finish(transaction, result).await
    }

    async fn touch_devices(&self, seen: &[DeviceId], at: Millis) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        let transaction = self.write().await?;
        let result = devices::touch(&self.within(&transaction), seen, at).await;
        self.finish(transaction, result).await
    }

    async fn contacts(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Contact>, StoreError> {
        contacts::page(&self.read(), user, after, limit).await
    }

    async fn accepted_contacts(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        contacts::accepted(&self.read(), user, others).await
    }

    async fn last_seq(&self, log: LogId) -> Result<Option<i64>, StoreError> {
        conversations::last_seq(&self.read(), log).await
    }

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
        self.finish(snapshot, result).await
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

    async fn events(&self, log: LogId, range: Range, limit: u32, max_bytes: usize) -> Result<Vec<Event>, StoreError> {
        events::range(&self.read(), log, range, limit, max_bytes).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let transaction = self.write().await?;
        let result = migrate::check(&self.within(&transaction)).await;
        self.finish(transaction, result).await
    }

    async fn close(&self) {
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
