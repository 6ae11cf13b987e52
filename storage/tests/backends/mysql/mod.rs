//! MySQL, the real one.

mod alone;
pub(crate) mod database;
mod demoted;
mod opening;
mod strict;
mod trouble;

use self::database::{Reused, open};
use crate::{contract::store::model, store_contract};

store_contract!(crate::mysql::open);

#[tokio::test]
async fn agrees_with_the_model() {
    let stores = Reused::default();
    model::agrees_with_the_model(async || stores.open().await).await;
}

#[tokio::test]
async fn splits_are_equal() {
    let stores = Reused::default();
    model::splits_are_equal(async || stores.open().await).await;
}
