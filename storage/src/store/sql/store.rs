//! [`Store`] on connections that commit, that write all else, and that read.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use gogochat_proto::ids::{DeviceId, LogId, UserId};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::AbortHandle,
};
use uuid::Uuid;

use super::{
    Db, Dialect, accounts, administration, audit,
    catch_up::{CatchUp, Uncounted},
    contacts, conversations, counters, devices, events, feed, followers, invites, migrate,
    readers::{Lane, ReadPool, Readers, Reading},
    second_factors, sign_outs,
    walk::Older,
};
use crate::store::{
    Administration, Arrival, AuditFilter, AuditPage, Block, By, Command, Connections, Contact, Contacts, Conversation,
    Conversations, Counters, Device, DeviceKey, Devices, Event, FactorProof, FactorSecret, Feed, FeedCommit, Followers,
    Following, GroupInvite, Hash, Invitation, Invited, Logs, LowestMarks, Mark, Marks, Member, Membership, Millis,
    NewDevice, NewUser, OpenGroup, Outcome, Place, ProfileChange, Range, Refusal, Role, Rotation, SecondFactor,
    SecondFactors, SignOut, Store, StoreError, Tokens, User, Users, Walk, Walked, commit,
};

/// A store in a SQL database.
#[derive(Debug)]
pub struct SqlStore {
    writers: Writers,
    readers: Readers,
    dialect: &'static Dialect,
    upkeep: Option<Upkeep>,
    catch_up: Option<CatchUp>,
    older: Older,
}

/// Connections that write.
#[derive(Debug)]
pub(in crate::store) struct Writers {
    /// For [`Logs::commit`].
    pub(in crate::store) commits: DatabaseConnection,
    /// How many commit at once: who comes later stands in line.
    pub(in crate::store) turns: Semaphore,
    /// For accounts and devices. The same as for commits where a database has one writer.
    pub(in crate::store) others: DatabaseConnection,
    /// How many of the others write, or wait for the one writer, at once: a commit waits for no more.
    pub(in crate::store) places: Semaphore,
}

impl SqlStore {
    /// On connections whose database has the newest schema. `upkeep` ends with the store.
    pub(in crate::store) fn new(
        writers: Writers,
        readers: Readers,
        dialect: &'static Dialect,
        upkeep: Option<Upkeep>,
    ) -> Self {
        Self { writers, readers, dialect, upkeep, catch_up: None, older: Older::default() }
    }

    /// On one connection for everything.
    pub(in crate::store) fn on_one(only: DatabaseConnection, dialect: &'static Dialect) -> Self {
        let limit = Connections::default().read_limit;
        let reader = || ReadPool::new("all", vec![Lane { connection: only.clone(), stops: None }], limit);
        let readers = Readers { sessions: reader(), pages: reader(), heavy: reader() };
        let (turns, places) = (Semaphore::new(1), Semaphore::new(1));
        let writers = Writers { commits: only.clone(), turns, others: only, places };
        Self::new(writers, readers, dialect, None)
    }

    /// Counts, beside its work, what was written without being counted.
    pub(in crate::store) fn catching_up(mut self) -> Self {
        let (writer, reader) = (self.writers.others.clone(), self.writers.others.clone());
        self.catch_up = Some(CatchUp::spawn(Uncounted { writer, reader, dialect: self.dialect }));
        self
    }

    /// Has logs counted that were read before they were.
    fn have_counted(&self, logs: Vec<LogId>) {
        for (log, catch_up) in logs.into_iter().zip(self.catch_up.iter().cycle()) {
            catch_up.ask(log);
        }
    }

    /// All its connections, each a handle of its own: for who measures or limits what it asks.
    pub fn connections(&self) -> impl Iterator<Item = &DatabaseConnection> {
        let Readers { sessions, pages, heavy } = &self.readers;
        let readers = [sessions, pages, heavy].into_iter().flat_map(ReadPool::connections);
        let upkeep = self.upkeep.as_ref().map(|upkeep| &upkeep.connection);
        readers.chain(upkeep).chain([&self.writers.others, &self.writers.commits])
    }

    #[cfg(test)]
    pub(in crate::store) fn writer(&self) -> &DatabaseConnection {
        &self.writers.commits
    }

    #[cfg(test)]
    pub(in crate::store) fn writers(&self) -> &Writers {
        &self.writers
    }

    #[cfg(test)]
    pub(in crate::store) fn readers(&self) -> &Readers {
        &self.readers
    }

    #[cfg(test)]
    pub(in crate::store) fn watch(&mut self, mut each: impl FnMut(&mut DatabaseConnection)) {
        let Readers { sessions, pages, heavy } = &mut self.readers;
        for pool in [sessions, pages, heavy] {
            pool.connections_mut().for_each(&mut each);
        }
        each(&mut self.writers.commits);
        each(&mut self.writers.others);
    }

    /// Of whoever works alone on this store: a connection without a limit of time.
    pub(in crate::store) fn alone(&self) -> Db<'_, DatabaseConnection> {
        Db::new(&self.writers.others, self.dialect)
    }

    pub(in crate::store) fn within<'c>(&self, transaction: &'c DatabaseTransaction) -> Db<'c, DatabaseTransaction> {
        Db::new(transaction, self.dialect)
    }

    pub(in crate::store) async fn write(&self) -> Result<DatabaseTransaction, StoreError> {
        self.begin(&self.writers.others).await
    }

    async fn begin(&self, connection: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
        let begun = connection.begin_with_options(self.dialect.write);
        self.dialect.wait(begun, |error| self.dialect.meaning(error)).await
    }

    fn on<'c>(&self, reading: &'c Reading) -> Db<'c, DatabaseConnection> {
        Db::new(reading.connection(), self.dialect)
    }

    /// Several reads that see one state.
    async fn snapshot(&self, reading: &Reading) -> Result<DatabaseTransaction, StoreError> {
        let reader = reading.connection().clone();
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

/// What `$work` makes of `$db`, which is in a writing transaction on `$connection`, committed. Where
/// another transaction stood in its way, it is run again.
macro_rules! transact {
    ($store:expr, $connection:ident, |$db:ident| $work:expr) => {{
        let mut attempt = 0;
        loop {
            attempt += 1;
            let transaction = $store.begin(&$store.writers.$connection).await?;
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

/// The same beside the commits, when it has a place.
macro_rules! beside {
    ($store:expr, |$db:ident| $work:expr) => {{
        let _place = turn(&$store.writers.places, PATIENCE, "too many write beside the commits").await?;
        transact!($store, others, |$db| $work)
    }};
}

/// What `$work` makes of `$db`, a connection for one kind of reading.
macro_rules! read {
    ($store:expr, $kind:ident, |$db:ident| $work:expr) => {{
        let reading = $store.readers.$kind.take().await?;
        let read = {
            let $db = $store.on(&reading);
            $work.await
        };
        reading.finish();
        read
    }};
}

/// The same in one snapshot: what is read is of one moment.
macro_rules! snapshot {
    ($store:expr, $kind:ident, |$db:ident| $work:expr) => {{
        let reading = $store.readers.$kind.take().await?;
        let transaction = $store.snapshot(&reading).await?;
        let read = {
            let $db = $store.within(&transaction);
            $work.await
        };
        let read = $store.finish(transaction, read).await;
        reading.finish();
        read
    }};
}

#[async_trait]
impl Logs for SqlStore {
    async fn commit(&self, mut batch: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let _turn = turn(&self.writers.turns, TURN, "too many commit at once").await?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let began = Instant::now();
            let transaction = self.begin(&self.writers.commits).await?;
            let db = self.within(&transaction);
            let result = commit::commit(&db, self.dialect.lend(&mut batch)).await;
            let conflict = db.met_a_conflict();
            let result = self.finish(transaction, result).await;
            // Who waited for long finds the same again.
            let short = conflict && began.elapsed() < LONG_WAIT;
            if !self.again(&result, short, attempt).await {
                break match result {
                    Err(StoreError::Unavailable(reason)) if conflict => Err(StoreError::Contended(reason)),
                    result => result,
                };
            }
        }
    }

    async fn contended(&self, batch: &[Command]) -> Result<Vec<bool>, StoreError> {
        if self.dialect.lock.is_empty() {
            return Ok(vec![false; batch.len()]);
        }
        beside!(self, |db| commit::contended(&db, batch))
    }

    async fn foresee(&self, command: &Command) -> Result<Option<Refusal>, StoreError> {
        read!(self, heavy, |db| commit::foresee(&db, command))
    }

    async fn foresee_here(&self, command: &Command) -> Result<Option<Refusal>, StoreError> {
        let _turn = turn(&self.writers.turns, TURN, "too many commit at once").await?;
        transact!(self, commits, |db| commit::foresee(&db, command))
    }

    async fn last_seq(&self, log: LogId) -> Result<Option<i64>, StoreError> {
        read!(self, pages, |db| conversations::last_seq(&db, log))
    }

    async fn last_seqs(&self, logs: &[LogId]) -> Result<Vec<(LogId, i64)>, StoreError> {
        read!(self, pages, |db| conversations::last_seqs(&db, logs))
    }

    async fn events(&self, log: LogId, range: Range, limit: u32, max_bytes: usize) -> Result<Vec<Event>, StoreError> {
        read!(self, pages, |db| events::range(&db, log, range, limit, max_bytes))
    }
}

#[async_trait]
impl Users for SqlStore {
    async fn create_user(&self, user: NewUser, device: NewDevice) -> Result<bool, StoreError> {
        beside!(self, |db| accounts::create(&db, user.clone(), device.clone()))
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        read!(self, sessions, |db| accounts::by_name(&db, name))
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        read!(self, sessions, |db| accounts::by_ids(&db, ids))
    }

    async fn find_users(&self, prefix: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        read!(self, heavy, |db| accounts::by_prefix(&db, prefix, limit))
    }

    async fn find_users_by_display_name(&self, text: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        read!(self, heavy, |db| accounts::by_display_name(&db, text, limit))
    }

    async fn change_profile(&self, user: UserId, change: ProfileChange) -> Result<Option<User>, StoreError> {
        beside!(self, |db| accounts::change_profile(&db, user, change.clone()))
    }

    async fn change_password(
        &self,
        user: UserId,
        expected: &str,
        new: &str,
        keep: DeviceId,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        beside!(self, |db| accounts::change_password(&db, user, expected, new, keep, by))
    }
}

#[async_trait]
impl Devices for SqlStore {
    async fn create_device(&self, device: NewDevice, expected: &str) -> Result<bool, StoreError> {
        beside!(self, |db| accounts::add_device(&db, device.clone(), expected))
    }

    async fn device_by_access(&self, access: &Hash) -> Result<Option<Device>, StoreError> {
        read!(self, sessions, |db| devices::by_access(&db, access))
    }

    async fn device(&self, device: DeviceId) -> Result<Option<Device>, StoreError> {
        read!(self, sessions, |db| devices::by_id(&db, device))
    }

    async fn arrival(&self, key: DeviceKey) -> Result<Option<Arrival>, StoreError> {
        read!(self, sessions, |db| devices::arrival(&db, key))
    }

    async fn knows_refresh(&self, refresh: &Hash) -> Result<bool, StoreError> {
        read!(self, sessions, |db| devices::knows_refresh(&db, refresh))
    }

    async fn rotate_tokens(
        &self,
        refresh: &Hash,
        new: Tokens,
        now: Millis,
        grace_ms: Millis,
    ) -> Result<Rotation, StoreError> {
        beside!(self, |db| devices::rotate(&db, refresh, new, now, grace_ms))
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        read!(self, pages, |db| devices::of_user(&db, user))
    }

    async fn revoke_device(&self, user: UserId, device: DeviceId, now: Millis) -> Result<bool, StoreError> {
        beside!(self, |db| devices::revoke(&db, user, device, now))
    }

    async fn sign_outs(&self, after: i64, limit: u32) -> Result<Vec<SignOut>, StoreError> {
        read!(self, sessions, |db| sign_outs::page(&db, after, limit))
    }

    async fn last_sign_out(&self) -> Result<i64, StoreError> {
        read!(self, sessions, |db| sign_outs::last(&db))
    }

    async fn touch_devices(&self, seen: &[DeviceId], at: Millis) -> Result<(), StoreError> {
        // In transactions of their own, so that commits have their turn between them.
        for part in seen.chunks(TOUCHED) {
            beside!(self, |db| devices::touch(&db, part, at))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Administration for SqlStore {
    async fn list_users(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        read!(self, heavy, |db| administration::list(&db, prefix, after, limit))
    }

    async fn create_user_alone(&self, user: NewUser, by: &By) -> Result<bool, StoreError> {
        beside!(self, |db| administration::create_alone(&db, user.clone(), by))
    }

    async fn set_disabled(
        &self,
        user: UserId,
        disabled: bool,
        reason: &str,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        beside!(self, |db| administration::set_disabled(&db, user, disabled, reason, by))
    }

    async fn set_administrator(&self, user: UserId, administrator: bool, by: &By) -> Result<bool, StoreError> {
        beside!(self, |db| administration::set_administrator(&db, user, administrator, by))
    }

    async fn reset_access(
        &self,
        user: UserId,
        password_hash: &str,
        until_ms: Millis,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        beside!(self, |db| administration::reset_access(&db, user, password_hash, until_ms, by))
    }

    async fn sign_out_user(
        &self,
        user: UserId,
        device: Option<DeviceId>,
        by: &By,
    ) -> Result<Vec<DeviceId>, StoreError> {
        beside!(self, |db| administration::sign_out_user(&db, user, device, by))
    }

    async fn redeem_one_time_password(&self, device: NewDevice, expected: &str, new: &str) -> Result<bool, StoreError> {
        beside!(self, |db| administration::redeem(&db, device.clone(), expected, new))
    }

    async fn create_invitation(&self, invitation: Invitation, by: &By) -> Result<(), StoreError> {
        beside!(self, |db| administration::invite(&db, invitation, by))
    }

    async fn knows_invitation(&self, code: &Hash, now: Millis) -> Result<bool, StoreError> {
        read!(self, sessions, |db| administration::is_invited(&db, code, now))
    }

    async fn create_invited_user(&self, user: NewUser, device: NewDevice, code: &Hash) -> Result<Invited, StoreError> {
        beside!(self, |db| administration::create_invited(&db, user.clone(), device.clone(), code))
    }

    async fn audit(&self, which: AuditFilter, before: Option<Uuid>, limit: u32) -> Result<AuditPage, StoreError> {
        read!(self, heavy, |db| audit::page(&db, which, before, limit))
    }
}

#[async_trait]
impl SecondFactors for SqlStore {
    async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>, StoreError> {
        read!(self, sessions, |db| second_factors::of(&db, user))
    }

    async fn recovery_codes_left(&self, user: UserId) -> Result<u64, StoreError> {
        read!(self, pages, |db| second_factors::codes_left(&db, user))
    }

    async fn begin_second_factor(&self, user: UserId, secret: FactorSecret) -> Result<bool, StoreError> {
        beside!(self, |db| second_factors::begin(&db, user, secret))
    }

    async fn turn_second_factor_on(
        &self,
        user: UserId,
        secret: FactorSecret,
        step: i64,
        recovery_codes: &[Hash],
        by: &By,
    ) -> Result<bool, StoreError> {
        beside!(self, |db| second_factors::turn_on(&db, user, secret, step, recovery_codes, by))
    }

    async fn use_second_factor(&self, user: UserId, proof: FactorProof) -> Result<bool, StoreError> {
        beside!(self, |db| second_factors::spend(&db, user, proof))
    }

    async fn remove_second_factor(&self, user: UserId, by: &By) -> Result<bool, StoreError> {
        beside!(self, |db| second_factors::remove(&db, user, by))
    }
}

#[async_trait]
impl Contacts for SqlStore {
    async fn contacts(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Contact>, StoreError> {
        read!(self, pages, |db| contacts::page(&db, user, after, limit))
    }

    async fn accepted_contacts(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        read!(self, pages, |db| contacts::accepted(&db, user, others))
    }

    async fn blocks(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Block>, StoreError> {
        read!(self, pages, |db| contacts::blocks(&db, user, after, limit))
    }
}

#[async_trait]
impl Conversations for SqlStore {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        read!(self, sessions, |db| conversations::memberships(&db, user))
    }

    async fn conversations(&self, user: UserId, only: &[LogId]) -> Result<Vec<Conversation>, StoreError> {
        let (found, uncounted) = snapshot!(self, pages, |db| conversations::named(&db, user, only))?;
        self.have_counted(uncounted);
        Ok(found)
    }

    async fn walk(&self, user: UserId, since: i64, walk: Option<Walk>, limit: u32) -> Result<Walked, StoreError> {
        let (walked, uncounted) =
            snapshot!(self, pages, |db| conversations::next(&db, user, since, walk, limit, &self.older))?;
        self.have_counted(uncounted);
        Ok(walked)
    }

    async fn members(
        &self,
        log: LogId,
        after: Option<(Millis, UserId)>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        read!(self, pages, |db| conversations::members(&db, log, Role::Member, after, limit))
    }

    async fn admins(&self, log: LogId, after: Option<(Millis, UserId)>, limit: u32) -> Result<Vec<Member>, StoreError> {
        read!(self, pages, |db| conversations::members(&db, log, Role::Admin, after, limit))
    }

    async fn member(&self, log: LogId, user: UserId) -> Result<Option<Member>, StoreError> {
        read!(self, pages, |db| conversations::member(&db, log, user))
    }

    async fn closed(&self, logs: &[LogId]) -> Result<Vec<LogId>, StoreError> {
        if logs.is_empty() {
            return Ok(Vec::new());
        }
        read!(self, pages, |db| conversations::closed(&db, logs))
    }

    async fn invites(&self, log: LogId, now: Millis) -> Result<Vec<GroupInvite>, StoreError> {
        read!(self, pages, |db| invites::of_group(&db, log, now))
    }

    async fn invite(&self, code: Uuid, now: Millis) -> Result<Option<OpenGroup>, StoreError> {
        read!(self, pages, |db| invites::by_code(&db, code, now))
    }

    async fn open_groups(&self, after: Option<LogId>, limit: u32) -> Result<Vec<OpenGroup>, StoreError> {
        read!(self, pages, |db| invites::open_groups(&db, after, limit))
    }

    async fn notice(&self, log: LogId) -> Result<Option<String>, StoreError> {
        read!(self, pages, |db| conversations::notice(&db, log))
    }
}

#[async_trait]
impl Marks for SqlStore {
    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Option<Outcome>>, StoreError> {
        if marks.is_empty() {
            return Ok(Vec::new());
        }
        beside!(self, |db| commit::marks(&db, marks))
    }

    async fn lowest_marks(&self, logs: &[LogId]) -> Result<Vec<LowestMarks>, StoreError> {
        read!(self, pages, |db| conversations::lowest(&db, logs))
    }
}

#[async_trait]
impl Feed for SqlStore {
    async fn raise_floor(&self, now: Millis, since: Millis) -> Result<i64, StoreError> {
        // While another program goes on writing there are always some. Those that are left get a position
        // above the floor.
        self.older.not_seen();
        for _ in 0..ROUNDS {
            let logs = read!(self, heavy, |db| feed::unfed(&db, UNFED))?;
            if logs.is_empty() {
                break;
            }
            self.older.seen();
            beside!(self, |db| commit::feed(&db, &logs))?;
        }
        // Once: while it waits, commits wait for it.
        let transaction = self.write().await?;
        let result = feed::raise_floor(&self.within(&transaction), now, since).await;
        self.finish(transaction, result).await
    }

    async fn commits(&self, after: i64, limit: u32) -> Result<Vec<FeedCommit>, StoreError> {
        snapshot!(self, heavy, |db| feed::commits(&db, after, limit))
    }

    async fn last_position(&self) -> Result<Option<i64>, StoreError> {
        read!(self, heavy, |db| feed::last(&db))
    }

    async fn trim_feed(&self, up_to: i64, kept: i64) -> Result<(), StoreError> {
        let slowest = read!(self, heavy, |db| followers::slowest(&db))?;
        // The commit that it handled last stays: by it, it is known that none behind it was dropped.
        let up_to = slowest.map_or(up_to, |slowest| up_to.min((slowest - 1).max(up_to - kept)));
        while beside!(self, |db| feed::trim(&db, up_to))? {}
        Ok(())
    }
}

#[async_trait]
impl Followers for SqlStore {
    async fn follow(&self, name: &str, shard: u16, owner: Uuid) -> Result<Following, StoreError> {
        beside!(self, |db| followers::follow(&db, name, shard, owner))
    }

    async fn note(&self, name: &str, owner: Uuid, places: &[(u16, Place)]) -> Result<Vec<bool>, StoreError> {
        beside!(self, |db| async {
            let mut noted = Vec::with_capacity(places.len());
            for (shard, place) in places {
                noted.push(followers::note(&db, name, *shard, owner, *place).await?);
            }
            Ok::<_, StoreError>(noted)
        })
    }

    async fn logs(&self, after: LogId, limit: u32) -> Result<Vec<(LogId, Option<i64>)>, StoreError> {
        read!(self, heavy, |db| followers::logs(&db, after, limit))
    }

    async fn check_counters(&self, log: LogId, from_seq: i64, to_seq: i64) -> Result<Counters, StoreError> {
        let found = snapshot!(self, heavy, |db| counters::check(&db, log, from_seq, to_seq))?;
        match found {
            Counters::Right => {}
            Counters::Wrong => {
                beside!(self, |db| counters::take_back(&db, log, from_seq))?;
                self.have_counted(vec![log]);
            }
            Counters::Uncounted => self.have_counted(vec![log]),
        }
        Ok(found)
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn installation(&self) -> Result<Uuid, StoreError> {
        read!(self, sessions, |db| migrate::installation(&db))
    }

    async fn epoch(&self) -> Result<Uuid, StoreError> {
        read!(self, sessions, |db| feed::history(&db)).map(|history| history.epoch.0)
    }

    async fn renew_epoch(&self) -> Result<Uuid, StoreError> {
        beside!(self, |db| feed::renew_epoch(&db))
    }

    async fn check(&self) -> Result<(), StoreError> {
        beside!(self, |db| migrate::check(&db))
    }

    async fn close(&self) {
        self.catch_up.iter().for_each(CatchUp::stop);
        self.upkeep.iter().for_each(|upkeep| upkeep.task.abort());
        for pool in self.connections() {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(%error, "the store did not close well");
            }
        }
    }
}

/// Stands in line for a place to write.
async fn turn<'s>(places: &'s Semaphore, patience: Duration, many: &str) -> Result<SemaphorePermit<'s>, StoreError> {
    match tokio::time::timeout(patience, places.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(StoreError::Unavailable(many.into())),
    }
}

/// A transaction that waited this long for others' locks is not run again at once.
const LONG_WAIT: Duration = Duration::from_millis(1_900);
/// Devices that one transaction notes as seen.
const TOUCHED: usize = 1_024;
/// How long a commit stands in line: as long as anybody waits for its answer.
const TURN: Duration = Duration::from_secs(10);
/// How long a caller waits for a place to write beside the commits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Logs that are brought into the feed at once.
const UNFED: u64 = 100;
/// How often that is done before the floor is raised.
const ROUNDS: usize = 50;

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
