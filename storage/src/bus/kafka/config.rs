//! How Kafka is reached and used.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::config::ClientConfig;

/// How Kafka is reached and used.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers to begin with: `HOST:PORT`, several with commas.
    pub brokers: String,
    /// What the names of topic and consumer group begin with: clusters that share brokers have one each.
    pub prefix: String,
    /// Copies of the topic where it is made; `None` takes the broker's default.
    pub replication: Option<u16>,
    /// After how long without a heartbeat a core's partitions go to others. Brokers take 6 s and more, unless their
    /// `group.min.session.timeout.ms` allows less.
    pub session_timeout: Duration,
    /// After how long a command that Kafka has not confirmed is given up: it was lost with its era then.
    pub delivery_timeout: Duration,
    /// How long a command waits for others to travel with.
    pub linger: Duration,
    /// Further properties of librdkafka, for producer and consumer, such as `sasl.username`. They win over what is set here.
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

impl KafkaConfig {
    /// The topic of commands.
    pub(super) fn topic(&self) -> String {
        format!("{}.commands", self.prefix)
    }

    /// What any client needs.
    pub(super) fn client(&self) -> ClientConfig {
        self.over(ClientConfig::new())
    }

    /// The same over what a consumer or a producer has. `ClientConfig::config_map` is no way to put two together: it has another text in the
    /// place of each password.
    fn over(&self, mut client: ClientConfig) -> ClientConfig {
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "gogochat")
            .set("allow.auto.create.topics", "false")
            .set("socket.nagle.disable", "true")
            .set("socket.timeout.ms", "5000")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000");
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        client
    }

    /// A member of the group, or one that only asks how far the group is.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut consumer = ClientConfig::new();
        consumer
            .set("group.id", format!("{}.chat", self.prefix))
            .set("session.timeout.ms", millis(self.session_timeout))
            // Heartbeats tell the others that one has left or come: nothing is consumed before all have heard of it.
            .set("heartbeat.interval.ms", millis((self.session_timeout / 4).min(HEARTBEAT)))
            // Eager: cooperative rebalancing and manual offsets have lost assignments (librdkafka#4059).
            .set("partition.assignment.strategy", "range")
            .set("auto.offset.reset", "earliest")
            // An offset is stored when its command is committed to the store; what is stored goes to the broker at this interval and
            // whenever a partition is handed over. What a crash leaves unsaid is given again, and recognised by the store.
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "200")
            .set("fetch.wait.max.ms", "500")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "16384");
        self.over(consumer)
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut producer = ClientConfig::new();
        producer
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // A command alone never gives up, or a later one could overtake it: all that is on its way is given up together.
            .set("message.timeout.ms", "0")
            .set("linger.ms", millis(self.linger))
            // Each partition is bounded on its own before this is reached.
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "524288");
        self.over(producer)
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
/// A few times a second costs brokers nothing: there are as many consumers as cores.
const HEARTBEAT: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_reaches_every_client_as_it_is() {
        let properties = BTreeMap::from([("sasl.password".to_owned(), "secret".to_owned())]);
        let config = KafkaConfig { properties, ..KafkaConfig::default() };
        for client in [config.client(), config.consumer(), config.producer()] {
            assert_eq!(client.get("sasl.password"), Some("secret"));
        }
    }
}
