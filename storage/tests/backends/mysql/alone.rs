//! One process alone.

use std::time::Duration;

use gogochat_storage::store::{
    Hold,
    mysql::{Alone, AloneError},
};
use sea_orm::{ConnectionTrait, Statement};

use super::database::Database;

#[tokio::test(flavor = "multi_thread")]
async fn one_alone_has_the_lock_and_gets_it_back_when_its_connection_is_lost() {
    let (database, another) = (Database::create().await, Database::create().await);
    let first = Alone::take(&database.url(), "chat").await.unwrap();
    // Of another database, or another name, it is another lock.
    Alone::take(&another.url(), "chat").await.unwrap();
    Alone::take(&database.url(), "other").await.unwrap();
    let refused = Alone::take(&database.url(), "chat").await.unwrap_err();
    assert!(matches!(&refused, AloneError::Others { holder, .. } if holder.contains("number")), "{refused:?}");

    let mut state = first.state();
    kill_holder(&database).await;
    within(&mut state, Hold::Unsure).await;
    within(&mut state, Hold::Held).await;

    drop(first);
    Alone::take(&database.url(), "chat").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_it_to_another_is_told() {
    let database = Database::create().await;
    let first = Alone::take(&database.url(), "chat").await.unwrap();
    let mut state = first.state();
    let second = tokio::spawn({
        let url = database.url();
        async move { Alone::take(&url, "chat").await }
    });
    // One that waits for it takes it before the first has noticed anything.
    kill_holder(&database).await;
    let _second = second.await.unwrap().unwrap();
    within(&mut state, Hold::Lost).await;
}

async fn kill_holder(database: &Database) {
    let raw = database.raw().await;
    let sql = "SELECT CAST(IS_USED_LOCK(SHA2(CONCAT('gogochat.chat.', DATABASE()), 224)) AS SIGNED)";
    let row = raw.query_one_raw(Statement::from_string(raw.get_database_backend(), sql)).await.unwrap();
    let id: i64 = row.unwrap().try_get_by_index(0).unwrap();
    raw.execute_unprepared(&format!("KILL {id}")).await.unwrap();
}

async fn within(state: &mut tokio::sync::watch::Receiver<Hold>, wanted: Hold) {
    let waiting = state.wait_for(|now| *now == wanted);
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
}
