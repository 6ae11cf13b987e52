//! The topic of commands: made where it is not there, refused where it has other partitions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::partition::PARTITIONS;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::Consumer,
    error::RDKafkaErrorCode,
};

use super::{
    client::{PATIENCE, PAUSE, Quiet, QuietConsumer, Trouble, trouble},
    error::OpenError,
};
use crate::bus::KafkaConfig;

/// Sees to it that the topic is there with the partitions that are wanted.
///
/// # Errors
/// No broker answers, or not to this user or without the right certificate; the topic has other
/// partitions, or the broker refuses to make it.
pub(super) async fn ensure(config: &KafkaConfig) -> Result<(), OpenError> {
    let client: QuietConsumer = config.consumer().create_with_context(Quiet::default()).map_err(OpenError::config)?;
    let client = Arc::new(client);
    let until = Instant::now() + PATIENCE;
    let mut made = false;
    loop {
        let (asks, topic) = (Arc::clone(&client), config.topic());
        let found = tokio::task::spawn_blocking(move || partitions(&asks, &topic, ASK)).await;
        let found = found.unwrap_or_else(|error| Err(error.to_string()));
        match found {
            Ok(Some(has)) if has == PARTITIONS => return Ok(()),
            Ok(Some(has)) => return Err(OpenError::Partitions { topic: config.topic(), has }),
            Ok(None) if !made => {
                make(config).await?;
                made = true;
            }
            // Made, but not known everywhere yet.
            Ok(None) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
            Ok(None) => return Err(OpenError::Topic { topic: config.topic(), reason: "it does not appear".into() }),
            Err(reason) => match (trouble(&client), config.brokers.clone()) {
                (Some(Trouble::Untrusted(reason)), brokers) => return Err(OpenError::Untrusted { brokers, reason }),
                (Some(Trouble::Refused(reason)), brokers) => return Err(OpenError::Refused { brokers, reason }),
                _ if made && Instant::now() < until => tokio::time::sleep(PAUSE).await,
                (Some(Trouble::Away(more)), brokers) => {
                    return Err(OpenError::Unreachable { brokers, reason: format!("{reason}: {more}") });
                }
                (None, brokers) => return Err(OpenError::Unreachable { brokers, reason }),
            },
        }
    }
}

/// How many partitions the topic has, all of them with a leader; `None` when there is no such topic.
pub(super) fn partitions(client: &QuietConsumer, topic: &str, wait: Duration) -> Result<Option<u32>, String> {
    let metadata = client.fetch_metadata(Some(topic), wait).map_err(|error| error.to_string())?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
        Some(error) => return Err(error.to_string()),
    }
    if let Some(without) = found.partitions().iter().find(|partition| partition.leader() < 0) {
        return Err(format!("partition {} of {topic} has no leader", without.id()));
    }
    Ok(Some(found.partitions().len() as u32))
}

async fn make(config: &KafkaConfig) -> Result<(), OpenError> {
    let topic = config.topic();
    let admin: AdminClient<DefaultClientContext> = config.client().create().map_err(OpenError::config)?;
    let replication = TopicReplication::Fixed(config.replication.map_or(-1, i32::from));
    // Brokers refuse a record whose time, a producer's, is far ahead of their own: the time is theirs.
    let new = NewTopic::new(&topic, PARTITIONS as i32, replication)
        .set("retention.ms", RETENTION_MS)
        .set("message.timestamp.type", "LogAppendTime");
    let options = AdminOptions::new().operation_timeout(Some(ASK)).request_timeout(Some(PATIENCE));
    let refused = |reason: String| OpenError::Topic { topic: topic.clone(), reason };
    let results = admin.create_topics([&new], &options).await.map_err(|error| refused(error.to_string()))?;
    match results.into_iter().next() {
        // Another node was faster.
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) => {
            tracing::info!(topic, partitions = PARTITIONS, "made the topic of commands");
            Ok(())
        }
        Some(Err((_, error))) => Err(refused(error.to_string())),
        None => Err(refused("the broker says nothing".into())),
    }
}

const ASK: Duration = Duration::from_secs(3);
/// Commands are read within moments; what clients have no answer to they repeat.
const RETENTION_MS: &str = "86400000";
