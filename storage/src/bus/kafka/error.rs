//! Why the bus did not open.

use rdkafka::error::KafkaError;

/// Why the bus did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No broker answers.
    #[error("no Kafka broker answers at core.kafka = {brokers:?}: {reason}")]
    Unreachable {
        /// As configured.
        brokers: String,
        /// What the last attempt ended with.
        reason: String,
    },
    /// A broker's certificate is not believed.
    #[error(
        "core.kafka_properties: the certificate of a broker of core.kafka = {brokers:?} is refused: {reason} (give the authority that signed it in \"ssl.ca.location\"; it has to be for the host that the broker is called by)"
    )]
    Untrusted {
        /// As configured.
        brokers: String,
        /// What librdkafka says.
        reason: String,
    },
    /// A broker does not take the user.
    #[error(
        "core.kafka_properties: Kafka at {brokers:?} refuses the user or password (\"sasl.mechanism\", \"sasl.username\", \"sasl.password\"): {reason}"
    )]
    Refused {
        /// As configured.
        brokers: String,
        /// What librdkafka says.
        reason: String,
    },
    /// The topic has another number of partitions.
    #[error(
        "core.kafka: the topic {topic:?} has {has} partitions, and has to have {}: give the cluster another name (cluster.name), or delete the topic",
        gogochat_proto::partition::PARTITIONS
    )]
    Partitions {
        /// Which.
        topic: String,
        /// How many it has.
        has: u32,
    },
    /// The topic cannot be made.
    #[error("core.kafka: the topic {topic:?} cannot be made: {reason}")]
    Topic {
        /// Which.
        topic: String,
        /// What the broker says.
        reason: String,
    },
    /// librdkafka does not take the configuration.
    #[error("core.kafka, or core.kafka_properties, is refused: {0}")]
    Config(String),
    /// The machine gives no thread.
    #[error("no thread for Kafka: {0}")]
    Thread(String),
}

impl OpenError {
    #[allow(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
    pub(super) fn config(error: KafkaError) -> Self {
        Self::Config(match error {
            // The value may be a password.
            KafkaError::ClientConfig(_, why, key, value) if value.is_empty() => format!("{key}: {why}"),
            KafkaError::ClientConfig(_, why, key, value) => format!("{key}: {}", why.replace(&value, "...")),
            other => other.to_string(),
        })
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
    pub(super) fn thread(error: std::io::Error) -> Self {
        Self::Thread(error.to_string())
    }
}
