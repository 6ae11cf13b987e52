//! How Kafka is reached and used.

use std::{collections::BTreeMap, fmt, time::Duration};

/// How Kafka is reached and used.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers to begin with: `HOST:PORT`, several with commas.
    pub brokers: String,
    /// What the names of topic and consumer group begin with: clusters that share brokers have one each.
    pub prefix: String,
    /// Copies of the topic where it is made; `None` takes the broker's default.
    pub replication: Option<u16>,
    /// After how long without a heartbeat a core's partitions go to others. Brokers take 6 s and more,
    /// unless their
    /// `group.min.session.timeout.ms` allows less.
    pub session_timeout: Duration,
    /// After how long a command that Kafka has not confirmed is given up: it was lost with its era then.
    pub delivery_timeout: Duration,
    /// How long a command waits for others to travel with.
    pub linger: Duration,
    /// Further properties of librdkafka, for producer and consumer, such as `sasl.username`. They win
    /// over what is set here.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            prefix: "gogochat".into(),
            replication: None,
            session_timeout: Duration::from_secs(6),
            delivery_timeout: Duration::from_secs(10),
            linger: Duration::ZERO,
            properties: BTreeMap::new(),
        }
    }
}

/// Without the values of properties: there may be a password among them.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("replication", &self.replication)
            .field("session_timeout", &self.session_timeout)
            .field("delivery_timeout", &self.delivery_timeout)
            .field("linger", &self.linger)
            .field("properties", &self.properties.keys())
            .finish()
    }
}
