//! What all clients of librdkafka here share.

use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::{
    client::ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};

/// A consumer that belongs to no group, or asks about one.
pub(super) type QuietConsumer = BaseConsumer<Quiet>;

/// Says little: while a broker is away librdkafka has a line for each attempt, and the bus itself says
/// that it is away.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    trouble: Mutex<Option<Trouble>>,
}

/// Why brokers are not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// One has shown a certificate that is not believed.
    Untrusted(String),
    /// One does not take the user.
    Refused(String),
    /// Anything else, which may pass.
    Away(String),
}

/// What has become of the client's connections, as far as it is known. A call that fails knows only that
/// it has failed.
pub(super) fn trouble(client: &QuietConsumer) -> Option<Trouble> {
    // What librdkafka has to say of them waits for this.
    for _ in 0..EVENTS {
        client.poll(Duration::ZERO);
    }
    client.context().trouble.lock().clone()
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
        let mut trouble = self.trouble.lock();
        let told = reason.to_owned();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::SSL) if reason.contains("certificate verify failed") => {
                *trouble = Some(Trouble::Untrusted(told));
            }
            Some(RDKafkaErrorCode::Authentication) => *trouble = Some(Trouble::Refused(told)),
            // It counts what the others are about.
            Some(RDKafkaErrorCode::AllBrokersDown) => {}
            _ if matches!(*trouble, None | Some(Trouble::Away(_))) => *trouble = Some(Trouble::Away(told)),
            _ => {}
        }
    }
}

impl ConsumerContext for Quiet {}

/// Passes on what librdkafka has to say.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, message, "librdkafka");
        }
        _ => tracing::debug!(facility, message, "librdkafka"),
    }
}

const EVENTS: usize = 64;

/// How long a node that starts waits for its broker.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
pub(super) const PAUSE: Duration = Duration::from_millis(100);
