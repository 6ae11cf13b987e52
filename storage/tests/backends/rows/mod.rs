//! No statement reads more than twice the rows that it gives, plus 50: each method of the store and each
//! command, on a store so full that a bad plan shows. EXPLAIN alone does not: a count may go by an index,
//! and through all of it.

mod calls;
mod commands;
mod fill;
mod meter;

use std::collections::BTreeSet;

use gogochat_storage::store::{Logs as _, SqlStore, Store as _, Users as _, sqlite};
use sea_orm::{ConnectionTrait as _, Database};

use self::meter::Meter;
use crate::mysql::database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_reads_no_more_than_it_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gogochat.db");
    let store = sqlite::open(&path).await.unwrap();
    let filling = Database::connect(format!("sqlite:{}", path.display())).await.unwrap();
    filling.execute_unprepared("PRAGMA synchronous = OFF").await.unwrap();
    fill::fill(&filling).await;
    filling.close().await.unwrap();
    let meter = Meter::of_sqlite(&store).await;
    measure(&store, meter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_reads_no_more_than_it_gives() {
    let database = database::Database::create().await;
    let (store, raw) = (database.open().await, database.raw().await);
    fill::fill(&raw).await;
    for table in ["account", "device", "log", "member", "event", "silent_event", "sent", "contact", "audit", "feed"] {
        raw.execute_unprepared(&format!("ANALYZE TABLE {table}")).await.unwrap();
    }
    measure(&store, Meter::of_mysql(raw)).await;
}

async fn measure(store: &SqlStore, mut meter: Meter) {
    // The first who uses a connection makes it, or has it read the schema.
    store.check().await.unwrap();
    store.epoch().await.unwrap();
    store.last_seq(fill::long()).await.unwrap();
    store.find_users("nobody", 1).await.unwrap();
    commands::all(store, &mut meter).await;
    calls::all(store, &mut meter).await;
    let mut all = declared("    async fn ", "pub trait ", "(");
    all.extend(declared("    ", "pub enum Command ", " {"));
    meter.finish(&all);
}

/// What stands in the store's files in blocks that begin so: the names behind `before`, up to `behind`.
fn declared(before: &str, block: &str, behind: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(file).unwrap();
        let mut inside = false;
        for line in text.lines() {
            inside = (inside || line.starts_with(block)) && line != "}";
            let name = line.strip_prefix(before).filter(|rest| inside && rest.starts_with(char::is_alphabetic));
            names.extend(name.and_then(|rest| rest.split_once(behind)).map(|(name, _)| name.to_owned()));
        }
    }
    assert!(names.len() > 8, "{names:?}");
    names
}
