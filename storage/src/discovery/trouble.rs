//! What is amiss with discovery, while nodes go by what they knew last.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;

use crate::log_throttle::LogThrottle;

/// What is amiss, by what was tried in vain.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The key of the configuration that says where discovery is.
    service: &'static str,
    amiss: Mutex<BTreeMap<String, String>>,
    said: LogThrottle,
}

impl Trouble {
    pub(super) fn new(service: &'static str) -> Self {
        Self { service, amiss: Mutex::default(), said: LogThrottle::new(SELDOM) }
    }

    /// It was tried in vain, for this reason. The log says so now and then.
    pub(super) fn failed(&self, what: &str, reason: String) {
        if let Some(times) = self.said.due() {
            tracing::warn!(reason, times, "{}: {what} (tried again)", self.service);
        }
        self.amiss.lock().insert(what.to_owned(), reason);
    }

    /// It went well, or is wanted no more.
    pub(super) fn mended(&self, what: &str) {
        let mut amiss = self.amiss.lock();
        if amiss.remove(what).is_some() && amiss.is_empty() {
            tracing::info!("{}: all is well again", self.service);
        }
    }

    /// What is amiss.
    pub(super) fn told(&self) -> Option<String> {
        let amiss = self.amiss.lock();
        let (what, reason) = amiss.first_key_value()?;
        Some(format!("{}: {what}: {reason}", self.service))
    }
}

const SELDOM: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_as_long_as_anything_is_amiss() {
        let trouble = Trouble::new("cluster.etcd");
        assert_eq!(trouble.told(), None);
        trouble.failed("a key is not written", "no space".into());
        trouble.failed("the nodes are not heard of", "no leader".into());
        trouble.mended("the nodes are not heard of");
        assert_eq!(trouble.told().as_deref(), Some("cluster.etcd: a key is not written: no space"));
        trouble.mended("a key is not written");
        assert_eq!(trouble.told(), None);
    }
}
