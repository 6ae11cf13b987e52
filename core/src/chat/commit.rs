//! A batch's commit: all in one transaction, or one by one where one of them would fail the others.

use std::{sync::Arc, time::Instant};

use gogochat_storage::store::{Command, Logs, Outcome, StoreError};

use crate::{fanout::Fanout, metrics::Metrics};

/// Commits batches.
pub(super) struct Committer {
    store: Arc<dyn Logs>,
    fanout: Arc<Fanout>,
    metrics: Arc<Metrics>,
}

impl Committer {
    pub(super) fn new(store: Arc<dyn Logs>, fanout: Arc<Fanout>, metrics: Arc<Metrics>) -> Self {
        Self { store, fanout, metrics }
    }

    /// The outcome of each command, or why it has none.
    pub(super) async fn commit(&self, commands: Vec<Command>) -> Vec<Result<Outcome, StoreError>> {
        let count = commands.len();
        if count == 0 {
            return Vec::new();
        }
        let single = (count > 1).then(|| commands.clone());
        match self.transaction(commands).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(StoreError::Failed(reason)) if let Some(commands) = single => {
                // One of them cannot be committed: it must not take the others with it.
                tracing::error!(reason, count, "a batch failed; its commands go one by one");
                let mut outcomes = Vec::with_capacity(count);
                for command in commands {
                    let outcome = match self.transaction(vec![command]).await {
                        Ok(one) => one.into_iter().next().ok_or_else(|| StoreError::Failed("no outcome".into())),
                        Err(error) => Err(error),
                    };
                    let away = matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::Full));
                    outcomes.push(outcome);
                    if away {
                        break;
                    }
                }
                // What will be repeated must not be overtaken by what came behind it.
                let rest = outcomes.last().cloned();
                outcomes.extend(rest.into_iter().cycle().take(count - outcomes.len()));
                outcomes
            }
            Err(error) => vec![Err(error); count],
        }
    }

    async fn transaction(&self, commands: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        let count = commands.len();
        self.metrics.batch.record(count as f64);
        let began = Instant::now();
        let result = self.store.commit(commands).await.and_then(|outcomes| match outcomes.len() == count {
            true => Ok(outcomes),
            false => Err(StoreError::Failed(format!("{} outcomes for {count} commands", outcomes.len()))),
        });
        self.metrics.commit_seconds.record(began.elapsed());
        match &result {
            Ok(_) => self.metrics.commits.increment(1),
            Err(error) => {
                tracing::warn!(%error, count, "a batch was not committed");
                if matches!(error, StoreError::Unavailable(_)) {
                    self.fanout.progress.unanswered(Instant::now());
                }
                self.metrics.commit_failures.increment(1);
            }
        }
        result
    }
}
