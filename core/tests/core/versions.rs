//! Cores of two versions on one bus, as while a cluster is brought to a new one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gogochat_proto::v1;
use gogochat_storage::{
    bus::{Bus, BusCommand, BusError, Consumer, channel::ChannelBus},
    open::Storage,
};
use tokio::sync::watch;

use crate::support::{Edge, Node, config, message};

/// A bus on which a newer core has put its commands, of methods that this one does not know.
struct Newer {
    bus: ChannelBus,
    newer: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl Bus for Newer {
    async fn publish(&self, mut command: BusCommand) -> Result<(), BusError> {
        if self.newer.load(Ordering::SeqCst) {
            command.method = "gogochat.v1.ChatService/OfTheNextVersion".to_owned();
        }
        self.bus.publish(command).await
    }

    fn era(&self) -> watch::Receiver<u64> {
        self.bus.era()
    }

    fn assigned(&self) -> watch::Receiver<Vec<u32>> {
        self.bus.assigned()
    }

    async fn consumer(&self) -> Result<Box<dyn Consumer>, BusError> {
        self.bus.consumer().await
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}

#[tokio::test]
async fn a_method_of_a_newer_core_is_refused_for_now_and_others_go_on() {
    let newer = Arc::new(AtomicBool::new(false));
    let node = Node::with(config(), |storage| {
        let bus = Newer { bus: ChannelBus::new(64), newer: newer.clone() };
        Storage { bus: Arc::new(bus), ..storage }
    })
    .await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let request = message(log, "1");
    let mut send =
        async || edge.call::<v1::SendMessageResponse>(session, "ChatService/SendMessage", log, &request).await;
    newer.store(true, Ordering::SeqCst);
    let refused = send().await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("unavailable", true));
    newer.store(false, Ordering::SeqCst);
    assert_eq!(send().await.unwrap().seq, 2);
}
