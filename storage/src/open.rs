//! Opens what a configuration names: the only place that knows which backends there are.

use std::{path::Path, sync::Arc};

use crate::{
    bus::{Bus, channel::ChannelBus},
    presence::{Presence, memory::MemoryPresence},
    store::{
        Store,
        sqlite::{self, MigrateError},
    },
};

/// What to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// Where the store is: `sqlite:PATH`.
    pub store_url: String,
    /// Commands that may wait in each partition of the bus.
    pub bus_queue: usize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { store_url: "sqlite:data/gogochat.db".into(), bus_queue: 4_096 }
    }
}

/// What was opened.
#[derive(Clone)]
pub struct Storage {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The way of commands to their workers.
    pub bus: Arc<dyn Bus>,
    /// Who is connected.
    pub presence: Arc<dyn Presence>,
}

/// Why it could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The store's URL is of no known kind.
    #[error("there is no store for {0:?}: write sqlite:PATH")]
    UnknownStore(String),
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] MigrateError),
}

/// Opens it. The store has the newest schema then.
///
/// # Errors
/// A URL is of no known kind, the store cannot be used, or a newer program has written it.
pub async fn open(config: &StorageConfig) -> Result<Storage, OpenError> {
    let store = match config.store_url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => sqlite::open(Path::new(path)).await?,
        _ => return Err(OpenError::UnknownStore(config.store_url.clone())),
    };
    Ok(Storage {
        store: Arc::new(store),
        bus: Arc::new(ChannelBus::new(config.bus_queue)),
        presence: Arc::new(MemoryPresence::default()),
    })
}
