//! Watches the services that a core needs: store, bus, presence, blobs. Each has a gauge, a line in
//! the log when it goes and when it is back, and a say in whether the core is ready.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use ::metrics::Gauge;
use gogochat_storage::{blobs::Blobs, bus::Bus, presence::Presence, store::Store};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// What does not answer, and without which a core cannot serve: by the key of the configuration
/// that says where it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outside {
    missing: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

/// Looks for as long as it lives.
type Look = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Outside {
    /// A task for each service. Messages go on without presence and blobs; without the store and
    /// the bus none does. Where there is no `chat` none goes by the bus.
    pub(crate) fn looks(
        &self,
        chat: bool,
        store: &Arc<dyn Store>,
        bus: &Arc<dyn Bus>,
        presence: &Arc<dyn Presence>,
        blobs: &Arc<dyn Blobs>,
        metrics: &Metrics,
    ) -> [Look; 4] {
        let (store, bus, presence, blobs) = (store.clone(), bus.clone(), presence.clone(), blobs.clone());
        let service = |key, vital, up: &Gauge, every| Service { key, vital, up: up.clone(), every };
        [
            Box::pin(self.clone().watch(service("core.store", true, &metrics.store_up, OFTEN), move || {
                let store = store.clone();
                async move { store.check().await.map_err(|error| error.to_string()) }
            })),
            Box::pin(self.clone().watch(service("core.bus", chat, &metrics.bus_up, OFTEN), move || {
                let bus = bus.clone();
                async move { bus.check().await.map_err(|error| error.to_string()) }
            })),
            Box::pin(self.clone().watch(service("core.presence", false, &metrics.presence_up, OFTEN), move || {
                let presence = presence.clone();
                async move { presence.check().await.map_err(|error| error.to_string()) }
            })),
            Box::pin(self.clone().watch(service("core.blobs", false, &metrics.blobs_up, RARELY), move || {
                let blobs = blobs.clone();
                async move { blobs.check().await.map_err(|error| error.to_string()) }
            })),
        ]
    }

    /// Whether all is there that a core cannot do without.
    ///
    /// # Errors
    /// What is not, and what was the last that was heard of it.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let missing = self.missing.lock();
        if missing.is_empty() {
            return Ok(());
        }
        Err(missing.iter().map(|(key, reason)| format!("{key}: {reason}")).collect::<Vec<_>>().join("; "))
    }

    async fn watch<F>(self, service: Service, ask: impl Fn() -> F)
    where
        F: Future<Output = Result<(), String>>,
    {
        let Service { key, vital, up, every } = service;
        let mut look = tokio::time::interval(every);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // It has just been opened.
        up.set(1.0);
        let (mut answered, mut misses, mut asked) = (true, 0, None);
        loop {
            look.tick().await;
            // One that is still under way is not begun beside: it may hold a thread, as on a file
            // system that hangs.
            let (begin, question) = asked.get_or_insert_with(|| (Instant::now(), Box::pin(ask())));
            let answer = match tokio::time::timeout(ANSWER, question).await {
                Ok(answer) => {
                    asked = None;
                    answer
                }
                Err(_) => {
                    if begin.elapsed() >= GIVEN_UP {
                        asked = None;
                    }
                    misses = MISSES;
                    Err(format!("no answer in {} s", ANSWER.as_secs()))
                }
            };
            misses = if answer.is_ok() { 0 } else { misses + 1 };
            if (1..MISSES).contains(&misses) {
                continue;
            }
            match (answered, &answer) {
                (true, Err(error)) => tracing::warn!(error, "{key}: it does not answer"),
                (false, Ok(())) => tracing::info!("{key}: it answers again"),
                _ => {}
            }
            answered = answer.is_ok();
            match answer {
                Ok(()) => self.missing.lock().remove(key),
                Err(reason) if vital => self.missing.lock().insert(key, reason),
                Err(_) => None,
            };
            // Last: who sees it finds the rest.
            up.set(if answered { 1.0 } else { 0.0 });
        }
    }
}

/// A service that is looked at.
struct Service {
    /// The key of the configuration that says where it is.
    key: &'static str,
    /// Whether a core cannot serve without it.
    vital: bool,
    up: Gauge,
    every: Duration,
}

const OFTEN: Duration = Duration::from_secs(2);
/// A store of blobs may charge for each look.
const RARELY: Duration = Duration::from_secs(10);
/// Longer than Redis and Kafka take to give up by themselves, and than most of what a busy store
/// has before it.
const ANSWER: Duration = Duration::from_secs(8);
/// Refusals in a row until a service counts as gone: what a connection tells that was broken, or a
/// broker that has just died, is not what the next one tells.
const MISSES: u32 = 2;
/// A question that takes so long is lost, and another is asked.
const GIVEN_UP: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

    use super::*;

    const GOOD: u8 = 0;
    const BAD: u8 = 1;
    const SILENT: u8 = 2;

    /// What readiness and the gauge say after a service has been like this for a while.
    async fn seen(vital: bool, how: &[u8]) -> Vec<(Result<(), String>, f64)> {
        let (outside, gauge, now) = (Outside::default(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU8::new(GOOD)));
        let service = Service { key: "core.x", vital, up: Gauge::from_arc(gauge.clone()), every: OFTEN };
        let asked = now.clone();
        let watching = tokio::spawn(outside.clone().watch(service, move || {
            let how = asked.load(Ordering::Relaxed);
            async move {
                match how {
                    GOOD => Ok(()),
                    BAD => Err("gone".to_owned()),
                    _ => std::future::pending().await,
                }
            }
        }));
        let mut seen = Vec::new();
        for how in how {
            now.store(*how, Ordering::Relaxed);
            // What was asked while it was silent never ends: it is lost when its time is up.
            tokio::time::sleep(GIVEN_UP + OFTEN + ANSWER + OFTEN).await;
            seen.push((outside.ready(), f64::from_bits(gauge.load(Ordering::Relaxed))));
        }
        watching.abort();
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_away_is_counted_and_what_is_vital_makes_the_core_unready() {
        let missing = |reason: &str| Err(format!("core.x: {reason}"));
        assert_eq!(
            seen(true, &[GOOD, BAD, GOOD, SILENT, GOOD]).await,
            [(Ok(()), 1.0), (missing("gone"), 0.0), (Ok(()), 1.0), (missing("no answer in 8 s"), 0.0), (Ok(()), 1.0)]
        );
        assert_eq!(seen(false, &[GOOD, BAD, GOOD]).await, [(Ok(()), 1.0), (Ok(()), 0.0), (Ok(()), 1.0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_refusal_is_no_outage_and_one_question_waits_at_a_time() {
        let (outside, gauge) = (Outside::default(), Arc::new(AtomicU64::new(0)));
        let (asked, waiting) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let service = Service { key: "core.x", vital: true, up: Gauge::from_arc(gauge.clone()), every: OFTEN };
        let counts = (asked.clone(), waiting.clone());
        let watching = tokio::spawn(outside.clone().watch(service, move || {
            let (nth, waiting) = (counts.0.fetch_add(1, Ordering::Relaxed), counts.1.clone());
            async move {
                if nth < 6 {
                    return if nth % 2 == 0 { Err("once".to_owned()) } else { Ok(()) };
                }
                waiting.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            }
        }));
        for _ in 0..6 {
            tokio::time::sleep(OFTEN).await;
            assert_eq!((outside.ready(), f64::from_bits(gauge.load(Ordering::Relaxed))), (Ok(()), 1.0));
        }
        tokio::time::sleep(GIVEN_UP / 2).await;
        assert!(outside.ready().is_err());
        assert_eq!(waiting.load(Ordering::Relaxed), 1);
        watching.abort();
    }
}
