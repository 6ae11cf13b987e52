//! Handles of a registration and of a claim. Each lasts as long as its handle.

use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle};

use super::node::Node;

/// A node is known to the others for as long as this lives. When it is dropped the node is forgotten, in
/// the background.
#[derive(Debug)]
pub struct Registration {
    wanted: watch::Sender<Node>,
    task: JoinHandle<()>,
}

impl Registration {
    /// `task` says what `wanted` tells, until that is dropped, and takes it back then.
    pub(super) fn new(wanted: watch::Sender<Node>, task: JoinHandle<()>) -> Self {
        Self { wanted, task }
    }

    /// The node is like this now. Its name and kind stay.
    pub fn update(&self, change: impl FnOnce(&mut Node)) {
        self.wanted.send_if_modified(|node| {
            let before = node.clone();
            change(node);
            *node != before
        });
    }

    /// Takes the registration back, and waits until that is done (or cannot be: then it lapses).
    pub async fn close(self) {
        let Self { wanted, task } = self;
        drop(wanted);
        finish(task, "a registration").await;
    }
}

/// What only one may have is this holder's for as long as this lives. When it is dropped it is free, in
/// the background.
#[derive(Debug)]
pub struct Claim {
    held: watch::Receiver<bool>,
    /// Dropped when the claim ends.
    wanted: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Claim {
    /// `task` holds it and says so to `held`, until `wanted` is dropped.
    pub(super) fn new(held: watch::Receiver<bool>, wanted: watch::Sender<()>, task: JoinHandle<()>) -> Self {
        Self { held, wanted, task }
    }

    /// Whether it is held. False as soon as another may have it, because this node could not renew it in
    /// time; true again when it was got back.
    #[must_use]
    pub fn held(&self) -> watch::Receiver<bool> {
        self.held.clone()
    }

    /// Gives it up, and waits until another can have it (or that cannot be told: then it lapses).
    pub async fn close(self) {
        let Self { held: _, wanted, task } = self;
        drop(wanted);
        finish(task, "a claim").await;
    }
}

async fn finish(mut task: JoinHandle<()>, what: &str) {
    if tokio::time::timeout(PATIENCE, &mut task).await.is_err() {
        tracing::warn!("{what} was not taken back in time: it lapses by itself");
        task.abort();
    }
}

const PATIENCE: Duration = Duration::from_secs(3);
