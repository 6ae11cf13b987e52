//! Calls that wait in this core for their command's commit: those that came by REST or gRPC.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use gogochat_proto::{error::ErrorCode, v1};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The waiting calls.
pub(crate) struct Waiters {
    calls: Mutex<HashMap<u64, oneshot::Sender<Result<Bytes, v1::Error>>>>,
    next: AtomicU64,
    max: usize,
}

/// A place in the queue: given up when dropped.
pub(crate) struct Waiting {
    waiters: Arc<Waiters>,
    /// The call's number, for its return address.
    pub(crate) call: u64,
    answer: oneshot::Receiver<Result<Bytes, v1::Error>>,
}

impl Waiters {
    pub(crate) fn new(max: usize) -> Self {
        Self { calls: Mutex::default(), next: AtomicU64::new(1), max }
    }

    /// A new call.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub(crate) fn wait(self: &Arc<Self>) -> Result<Waiting, v1::Error> {
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        let mut calls = self.calls.lock();
        if calls.len() >= self.max {
            return Err(ErrorCode::Overloaded.with("too many calls wait for their commit"));
        }
        calls.insert(call, sender);
        Ok(Waiting { waiters: self.clone(), call, answer })
    }

    /// Answers a call, if it still waits.
    pub(crate) fn answer(&self, call: u64, answer: Result<Bytes, v1::Error>) {
        if let Some(sender) = self.calls.lock().remove(&call) {
            // Whoever gave up meanwhile does not need it.
            let _ = sender.send(answer);
        }
    }
}

impl Waiting {
    /// The answer, when it comes.
    ///
    /// # Errors
    /// The command's own.
    pub(crate) async fn answer(&mut self) -> Result<Bytes, v1::Error> {
        (&mut self.answer).await.unwrap_or_else(|_| Err(ErrorCode::Unavailable.with("the server is going away")))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.calls.lock().remove(&self.call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bounded_and_given_up_on_drop() {
        let waiters = Arc::new(Waiters::new(1));
        let mut first = waiters.wait().unwrap();
        assert_eq!(waiters.wait().err().unwrap().code, "overloaded");
        waiters.answer(first.call, Ok(Bytes::from_static(b"x")));
        assert_eq!(first.answer().await.unwrap(), "x");
        drop(waiters.wait().unwrap());
        assert!(waiters.wait().is_ok());
        waiters.answer(99, Ok(Bytes::new()));
    }
}
