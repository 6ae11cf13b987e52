//! The real store with faults on demand: what is tested is how the core takes them.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use gogochat_proto::ids::{DeviceId, LogId, UserId};
use gogochat_storage::{
    open::Storage,
    store::{
        Administration, Arrival, AuditFilter, AuditPage, Block, By, Command, Contact, Contacts, Conversation,
        Conversations, Counters, Device, DeviceKey, Devices, Event, FactorProof, FactorSecret, Feed, FeedCommit,
        Followers, Following, GroupInvite, Hash, Invitation, Invited, Logs, LowestMarks, Mark, Marks, Member,
        Membership, Millis, NewDevice, NewUser, OpenGroup, Outcome, Place, ProfileChange, Range, Refusal, Rotation,
        SecondFactor, SecondFactors, SignOut, Store, StoreError, Tokens, User, Users, Walk, Walked,
    },
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// The switchboard.
pub(crate) struct Faults {
    /// So many of the next commits fail, and how.
    failing: AtomicI64,
    /// One of so many fails; 0: none.
    every: AtomicI64,
    how: Mutex<StoreError>,
    /// Commits that may go through; closed gates hold them.
    gate: Semaphore,
    gated: AtomicI64,
    /// So many of the next commits are carried out, and their answers are lost.
    unanswered: AtomicI64,
    /// So many of the next sign-outs are carried out, and their answers are lost.
    unanswered_sign_outs: AtomicI64,
    /// So many of the next looks at sign-outs fail.
    failing_looks: AtomicI64,
    /// Commits that have begun.
    pub(crate) begun: AtomicI64,
    /// So many of the next moves of marks fail.
    failing_marks: AtomicI64,
    /// So many of the next moves of marks are carried out, and their answers are lost.
    unanswered_marks: AtomicI64,
    /// Moves of marks wait while this is set.
    marks_held: tokio::sync::watch::Sender<bool>,
    /// What was marked, or was to be.
    pub(crate) marks: Mutex<Vec<Vec<Mark>>>,
    /// Looks at where logs end, and reads of a log's events, that have begun.
    pub(crate) looks: AtomicI64,
    pub(crate) reads: AtomicI64,
    /// Looks and reads that may go through; they are held while this is there.
    held: Mutex<Option<Arc<Semaphore>>>,
    /// So many of the next looks at where logs end fail.
    failing_ends: AtomicI64,
    /// A text whose command cannot be committed.
    poison: Mutex<Option<Vec<u8>>>,
    /// A log whose row another transaction holds.
    pub(crate) held_log: Mutex<Option<LogId>>,
    /// What was committed, or was to be.
    pub(crate) batches: Mutex<Vec<Vec<Command>>>,
    /// Looks at what would be refused.
    pub(crate) foreseen: AtomicI64,
    /// So many of a batch are carried out, and the others are left.
    pub(crate) first_alone: AtomicI64,
    /// Whether looks of who is about to commit fail.
    pub(crate) failing_looks_here: AtomicI64,
    /// Exchanges of refresh tokens.
    pub(crate) rotations: AtomicI64,
    /// How the commit after that one fails.
    after_poison: Mutex<Option<StoreError>>,
}

impl Faults {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            failing: AtomicI64::new(0),
            every: AtomicI64::new(0),
            how: Mutex::new(StoreError::Full),
            gate: Semaphore::new(0),
            gated: AtomicI64::new(0),
            unanswered: AtomicI64::new(0),
            unanswered_sign_outs: AtomicI64::new(0),
            failing_looks: AtomicI64::new(0),
            begun: AtomicI64::new(0),
            failing_marks: AtomicI64::new(0),
            unanswered_marks: AtomicI64::new(0),
            marks_held: tokio::sync::watch::Sender::new(false),
            marks: Mutex::default(),
            looks: AtomicI64::new(0),
            reads: AtomicI64::new(0),
            held: Mutex::default(),
            failing_ends: AtomicI64::new(0),
            poison: Mutex::new(None),
            after_poison: Mutex::new(None),
            held_log: Mutex::new(None),
            batches: Mutex::default(),
            foreseen: AtomicI64::new(0),
            first_alone: AtomicI64::new(i64::MAX),
            failing_looks_here: AtomicI64::new(0),
            rotations: AtomicI64::new(0),
        })
    }

    pub(crate) fn fail(&self, commits: i64, how: StoreError) {
        *self.how.lock() = how;
        self.failing.store(commits, Ordering::SeqCst);
    }

    pub(crate) fn fail_one_of(&self, commits: i64, how: StoreError) {
        *self.how.lock() = how;
        self.every.store(commits, Ordering::SeqCst);
    }

    /// The next commit is carried out, and its answer is lost.
    pub(crate) fn lose_an_answer(&self) {
        self.unanswered.fetch_add(1, Ordering::SeqCst);
    }

    /// The next sign-out is carried out, in whichever way, and its answer is lost.
    pub(crate) fn lose_a_sign_out(&self) {
        self.unanswered_sign_outs.fetch_add(1, Ordering::SeqCst);
    }

    /// So many of the next looks at who was signed out find the store away.
    pub(crate) fn fail_looks(&self, looks: i64) {
        self.failing_looks.store(looks, Ordering::SeqCst);
    }

    /// Holds commits until `release`.
    pub(crate) fn hold(&self) {
        self.gated.store(1, Ordering::SeqCst);
    }

    pub(crate) fn release(&self) {
        self.gated.store(0, Ordering::SeqCst);
        self.gate.add_permits(1_000);
    }

    /// Lets so many commits pass that are held.
    pub(crate) fn let_through(&self, commits: usize) {
        self.gate.add_permits(commits);
    }

    /// So many of the next moves of marks find the store away.
    pub(crate) fn fail_marks(&self, moves: i64) {
        self.failing_marks.store(moves, Ordering::SeqCst);
    }

    /// The next move of marks is carried out, and its answer is lost.
    pub(crate) fn lose_marks(&self) {
        self.unanswered_marks.fetch_add(1, Ordering::SeqCst);
    }

    /// Holds moves of marks, or lets them through again.
    pub(crate) fn hold_marks(&self, held: bool) {
        self.marks_held.send_replace(held);
    }

    /// Holds looks and reads until [`Self::release_reads`].
    pub(crate) fn hold_reads(&self) {
        *self.held.lock() = Some(Arc::new(Semaphore::new(0)));
    }

    pub(crate) fn release_reads(&self) {
        if let Some(held) = self.held.lock().take() {
            held.close();
        }
    }

    pub(crate) fn fail_ends(&self, looks: i64) {
        self.failing_ends.store(looks, Ordering::SeqCst);
    }

    async fn read(&self, count: &AtomicI64) {
        count.fetch_add(1, Ordering::SeqCst);
        let held = self.held.lock().clone();
        if let Some(held) = held {
            // It is closed when they are released.
            let _ = held.acquire().await;
        }
    }

    pub(crate) fn poison(&self, text: &str) {
        *self.poison.lock() = Some(text.as_bytes().to_vec());
    }

    pub(crate) fn fail_after_poison(&self, how: StoreError) {
        *self.after_poison.lock() = Some(how);
    }

    /// Puts itself before the store.
    pub(crate) fn before(self: &Arc<Self>, storage: Storage) -> Storage {
        Storage { store: Arc::new(Faulty { store: storage.store, faults: self.clone() }), ..storage }
    }

    async fn pass(&self, batch: &[Command]) -> Result<(), StoreError> {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        self.batches.lock().push(batch.to_vec());
        if let Some(log) = *self.held_log.lock()
            && batch.iter().any(|command| command.home() == log)
        {
            let reason = "a test".to_owned();
            return Err(StoreError::Contended(reason));
        }
        let every = self.every.load(Ordering::SeqCst);
        if every > 0 && number % every == 0 {
            return Err(self.how.lock().clone());
        }
        if self.gated.load(Ordering::SeqCst) > 0 {
            self.gate.acquire().await.unwrap().forget();
        }
        if self.failing.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Err(self.how.lock().clone());
        }
        self.failing.fetch_add(1, Ordering::SeqCst);
        if let Some(poison) = &*self.poison.lock()
            && batch.iter().any(|command| {
                matches!(command, Command::Append { payload, .. } if payload.windows(poison.len()).any(|w| w == poison))
            })
        {
            if let Some(how) = self.after_poison.lock().take() {
                self.fail(1, how);
            }
            return Err(StoreError::Failed("poison".into()));
        }
        Ok(())
    }
}

struct Faulty {
    store: Arc<dyn Store>,
    faults: Arc<Faults>,
}

/// The answer, unless it is one of those to be lost.
fn answered<T>(answer: Result<T, StoreError>, lost: &AtomicI64) -> Result<T, StoreError> {
    match lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left > 0).then_some(left - 1)) {
        Ok(_) => Err(StoreError::Unavailable("the answer is lost".into())),
        Err(_) => answer,
    }
}

#[tonic::async_trait]
impl Logs for Faulty {
    async fn commit(&self, batch: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        self.faults.pass(&batch).await?;
        let mut batch = batch;
        batch.truncate(usize::try_from(self.faults.first_alone.load(Ordering::SeqCst)).unwrap());
        answered(self.store.commit(batch).await, &self.faults.unanswered)
    }

    async fn contended(&self, batch: &[Command]) -> Result<Vec<bool>, StoreError> {
        let held = *self.faults.held_log.lock();
        match held {
            Some(log) => Ok(batch.iter().map(|command| command.home() == log).collect()),
            None => self.store.contended(batch).await,
        }
    }

    async fn foresee(&self, command: &Command) -> Result<Option<Refusal>, StoreError> {
        self.faults.foreseen.fetch_add(1, Ordering::SeqCst);
        self.store.foresee(command).await
    }

    async fn foresee_here(&self, command: &Command) -> Result<Option<Refusal>, StoreError> {
        let failing = self.faults.failing_looks_here.load(Ordering::SeqCst);
        if failing > 0 {
            return Err(StoreError::Unavailable("all connections are busy".into()));
        }
        self.store.foresee_here(command).await
    }

    async fn last_seq(&self, log: LogId) -> Result<Option<i64>, StoreError> {
        self.store.last_seq(log).await
    }

    async fn last_seqs(&self, logs: &[LogId]) -> Result<Vec<(LogId, i64)>, StoreError> {
        self.faults.read(&self.faults.looks).await;
        answered(self.store.last_seqs(logs).await, &self.faults.failing_ends)
    }

    async fn events(&self, log: LogId, range: Range, limit: u32, max_bytes: usize) -> Result<Vec<Event>, StoreError> {
        self.faults.read(&self.faults.reads).await;
        self.store.events(log, range, limit, max_bytes).await
    }
}

#[tonic::async_trait]
impl Marks for Faulty {
    async fn mark(&self, marks: &[Mark]) -> Result<Vec<Option<Outcome>>, StoreError> {
        let faults = &self.faults;
        faults.marks.lock().push(marks.to_vec());
        let _ = faults.marks_held.subscribe().wait_for(|held| !held).await;
        answered(Ok(()), &faults.failing_marks)?;
        answered(self.store.mark(marks).await, &faults.unanswered_marks)
    }

    async fn lowest_marks(&self, logs: &[LogId]) -> Result<Vec<LowestMarks>, StoreError> {
        self.store.lowest_marks(logs).await
    }
}

#[tonic::async_trait]
impl Followers for Faulty {
    async fn follow(&self, name: &str, shard: u16, owner: Uuid) -> Result<Following, StoreError> {
        self.store.follow(name, shard, owner).await
    }

    async fn note(&self, name: &str, owner: Uuid, places: &[(u16, Place)]) -> Result<Vec<bool>, StoreError> {
        self.store.note(name, owner, places).await
    }

    async fn logs(&self, after: LogId, limit: u32) -> Result<Vec<(LogId, Option<i64>)>, StoreError> {
        self.store.logs(after, limit).await
    }

    async fn check_counters(&self, log: LogId, from_seq: i64, to_seq: i64) -> Result<Counters, StoreError> {
        self.store.check_counters(log, from_seq, to_seq).await
    }
}

#[tonic::async_trait]
impl Users for Faulty {
    async fn create_user(&self, user: NewUser, device: NewDevice) -> Result<bool, StoreError> {
        self.store.create_user(user, device).await
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.store.user_by_name(name).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        self.store.users(ids).await
    }

    async fn find_users(&self, prefix: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        self.store.find_users(prefix, limit).await
    }

    async fn change_password(
        &self,
        user: UserId,
        expected: &str,
        new: &str,
        keep: DeviceId,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        let changed = self.store.change_password(user, expected, new, keep, by).await;
        answered(changed, &self.faults.unanswered_sign_outs)
    }

    async fn find_users_by_display_name(&self, text: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        self.store.find_users_by_display_name(text, limit).await
    }

    async fn change_profile(&self, user: UserId, change: ProfileChange) -> Result<Option<User>, StoreError> {
        self.store.change_profile(user, change).await
    }
}

#[tonic::async_trait]
impl Administration for Faulty {
    async fn list_users(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        self.store.list_users(prefix, after, limit).await
    }

    async fn create_user_alone(&self, user: NewUser, by: &By) -> Result<bool, StoreError> {
        self.store.create_user_alone(user, by).await
    }

    async fn set_disabled(
        &self,
        user: UserId,
        disabled: bool,
        reason: &str,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        let changed = self.store.set_disabled(user, disabled, reason, by).await;
        answered(changed, &self.faults.unanswered_sign_outs)
    }

    async fn set_administrator(&self, user: UserId, administrator: bool, by: &By) -> Result<bool, StoreError> {
        self.store.set_administrator(user, administrator, by).await
    }

    async fn reset_access(
        &self,
        user: UserId,
        password_hash: &str,
        until_ms: Millis,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        let changed = self.store.reset_access(user, password_hash, until_ms, by).await;
        answered(changed, &self.faults.unanswered_sign_outs)
    }

    async fn sign_out_user(
        &self,
        user: UserId,
        device: Option<DeviceId>,
        by: &By,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let changed = self.store.sign_out_user(user, device, by).await;
        answered(changed, &self.faults.unanswered_sign_outs)
    }

    async fn redeem_one_time_password(&self, device: NewDevice, expected: &str, new: &str) -> Result<bool, StoreError> {
        self.store.redeem_one_time_password(device, expected, new).await
    }

    async fn create_invitation(&self, invitation: Invitation, by: &By) -> Result<(), StoreError> {
        self.store.create_invitation(invitation, by).await
    }

    async fn knows_invitation(&self, code: &Hash, now: i64) -> Result<bool, StoreError> {
        self.store.knows_invitation(code, now).await
    }

    async fn create_invited_user(&self, user: NewUser, device: NewDevice, code: &Hash) -> Result<Invited, StoreError> {
        self.store.create_invited_user(user, device, code).await
    }

    async fn audit(&self, which: AuditFilter, before: Option<uuid::Uuid>, limit: u32) -> Result<AuditPage, StoreError> {
        self.store.audit(which, before, limit).await
    }
}

#[tonic::async_trait]
impl SecondFactors for Faulty {
    async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>, StoreError> {
        self.store.second_factor(user).await
    }

    async fn recovery_codes_left(&self, user: UserId) -> Result<u64, StoreError> {
        self.store.recovery_codes_left(user).await
    }

    async fn begin_second_factor(&self, user: UserId, secret: FactorSecret) -> Result<bool, StoreError> {
        self.store.begin_second_factor(user, secret).await
    }

    async fn turn_second_factor_on(
        &self,
        user: UserId,
        secret: FactorSecret,
        step: i64,
        recovery_codes: &[Hash],
        by: &By,
    ) -> Result<bool, StoreError> {
        self.store.turn_second_factor_on(user, secret, step, recovery_codes, by).await
    }

    async fn use_second_factor(&self, user: UserId, proof: FactorProof) -> Result<bool, StoreError> {
        self.store.use_second_factor(user, proof).await
    }

    async fn remove_second_factor(&self, user: UserId, by: &By) -> Result<bool, StoreError> {
        self.store.remove_second_factor(user, by).await
    }
}

#[tonic::async_trait]
impl Devices for Faulty {
    async fn knows_refresh(&self, refresh: &Hash) -> Result<bool, StoreError> {
        self.store.knows_refresh(refresh).await
    }

    async fn rotate_tokens(
        &self,
        refresh: &Hash,
        new: Tokens,
        now: Millis,
        grace_ms: Millis,
    ) -> Result<Rotation, StoreError> {
        self.faults.rotations.fetch_add(1, Ordering::SeqCst);
        match self.store.rotate_tokens(refresh, new, now, grace_ms).await {
            Ok(Rotation::Reused { user, device }) => {
                answered(Ok(Rotation::Reused { user, device }), &self.faults.unanswered_sign_outs)
            }
            other => other,
        }
    }

    async fn revoke_device(&self, user: UserId, device: DeviceId, now: Millis) -> Result<bool, StoreError> {
        answered(self.store.revoke_device(user, device, now).await, &self.faults.unanswered_sign_outs)
    }

    async fn sign_outs(&self, after: i64, limit: u32) -> Result<Vec<SignOut>, StoreError> {
        answered(self.store.sign_outs(after, limit).await, &self.faults.failing_looks)
    }

    async fn create_device(&self, device: NewDevice, expected: &str) -> Result<bool, StoreError> {
        self.store.create_device(device, expected).await
    }

    async fn device_by_access(&self, access: &Hash) -> Result<Option<Device>, StoreError> {
        self.store.device_by_access(access).await
    }

    async fn device(&self, device: DeviceId) -> Result<Option<Device>, StoreError> {
        self.store.device(device).await
    }

    async fn arrival(&self, key: DeviceKey) -> Result<Option<Arrival>, StoreError> {
        self.store.arrival(key).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        self.store.devices(user).await
    }

    async fn last_sign_out(&self) -> Result<i64, StoreError> {
        self.store.last_sign_out().await
    }

    async fn touch_devices(&self, seen: &[DeviceId], at: Millis) -> Result<(), StoreError> {
        self.store.touch_devices(seen, at).await
    }
}

#[tonic::async_trait]
impl Contacts for Faulty {
    async fn contacts(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Contact>, StoreError> {
        self.store.contacts(user, after, limit).await
    }

    async fn accepted_contacts(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        self.store.accepted_contacts(user, others).await
    }

    async fn blocks(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Block>, StoreError> {
        self.store.blocks(user, after, limit).await
    }
}

#[tonic::async_trait]
impl Conversations for Faulty {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        self.store.memberships(user).await
    }

    async fn conversations(&self, user: UserId, only: &[LogId]) -> Result<Vec<Conversation>, StoreError> {
        self.store.conversations(user, only).await
    }

    async fn walk(&self, user: UserId, since: i64, walk: Option<Walk>, limit: u32) -> Result<Walked, StoreError> {
        self.store.walk(user, since, walk, limit).await
    }

    async fn members(
        &self,
        log: LogId,
        after: Option<(Millis, UserId)>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        self.store.members(log, after, limit).await
    }

    async fn admins(&self, log: LogId, after: Option<(Millis, UserId)>, limit: u32) -> Result<Vec<Member>, StoreError> {
        self.store.admins(log, after, limit).await
    }

    async fn closed(&self, logs: &[LogId]) -> Result<Vec<LogId>, StoreError> {
        self.store.closed(logs).await
    }

    async fn invites(&self, log: LogId, now: Millis) -> Result<Vec<GroupInvite>, StoreError> {
        self.store.invites(log, now).await
    }

    async fn invite(&self, code: uuid::Uuid, now: Millis) -> Result<Option<OpenGroup>, StoreError> {
        self.store.invite(code, now).await
    }

    async fn open_groups(&self, after: Option<LogId>, limit: u32) -> Result<Vec<OpenGroup>, StoreError> {
        self.store.open_groups(after, limit).await
    }

    async fn notice(&self, log: LogId) -> Result<Option<String>, StoreError> {
        self.store.notice(log).await
    }

    async fn member(&self, log: LogId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.store.member(log, user).await
    }
}

#[tonic::async_trait]
impl Feed for Faulty {
    async fn raise_floor(&self, now: Millis, since: Millis) -> Result<i64, StoreError> {
        self.store.raise_floor(now, since).await
    }

    async fn commits(&self, after: i64, limit: u32) -> Result<Vec<FeedCommit>, StoreError> {
        self.store.commits(after, limit).await
    }

    async fn last_position(&self) -> Result<Option<i64>, StoreError> {
        self.store.last_position().await
    }

    async fn trim_feed(&self, up_to: i64, kept: i64) -> Result<(), StoreError> {
        self.store.trim_feed(up_to, kept).await
    }
}

#[tonic::async_trait]
impl Store for Faulty {
    async fn installation(&self) -> Result<uuid::Uuid, StoreError> {
        self.store.installation().await
    }

    async fn epoch(&self) -> Result<uuid::Uuid, StoreError> {
        self.store.epoch().await
    }

    async fn renew_epoch(&self) -> Result<uuid::Uuid, StoreError> {
        self.store.renew_epoch().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
