//! What librdkafka is told.

use std::time::Duration;

use rdkafka::config::ClientConfig;

use crate::bus::KafkaConfig;

impl KafkaConfig {
    /// The topic of commands.
    pub(super) fn topic(&self) -> String {
        format!("{}.commands", self.prefix)
    }

    /// What any client needs.
    pub(super) fn client(&self) -> ClientConfig {
        self.over(ClientConfig::new())
    }

    /// The same over what a consumer or a producer has. `ClientConfig::config_map` is no way to put two
    /// together: it has another text in the place of each password.
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
            // Heartbeats tell the others that one has left or come: nothing is consumed before all have
            // heard of it.
            .set("heartbeat.interval.ms", millis((self.session_timeout / 4).min(HEARTBEAT)))
            // Eager: cooperative rebalancing and manual offsets have lost assignments (librdkafka#4059).
            .set("partition.assignment.strategy", "range")
            .set("auto.offset.reset", "earliest")
            // An offset is stored when its command is committed to the store; what is stored goes to the
            // broker at this interval and whenever a partition is handed over. What a crash leaves
            // unsaid is given again, and recognised by the store.
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
            // A command alone never gives up, or a later one could overtake it: all that is on its way
            // is given up together.
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
    use std::collections::BTreeMap;

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
