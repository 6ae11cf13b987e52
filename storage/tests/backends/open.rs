//! Opening what a configuration names.

use gogochat_proto::ids::{CommandId, DeviceId, UserId};
use gogochat_storage::{
    bus::{BusCommand, BusError, ReplyTo},
    open::{BlobsConfig, OpenError, StorageConfig, open},
};

#[tokio::test]
async fn opens_what_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/down/store.db");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let blobs = folder.path().join("deep/blobs");
    let config = StorageConfig {
        store_url: format!("sqlite:{}", path.display()),
        bus_queue: 2,
        blobs: BlobsConfig::Folder(blobs.clone()),
        ..Default::default()
    };
    let storage = open(&config).await.unwrap();
    assert!(path.exists());
    storage.store.check().await.unwrap();
    storage.blobs.check().await.unwrap();
    assert!(blobs.is_dir());
    let command = BusCommand {
        id: CommandId::new_v7(),
        published_ms: 0,
        partition: 0,
        reply_to: ReplyTo { attachment: 0, session: 0, call_id: 0 },
        user: UserId::new_v7(),
        device: DeviceId::new_v7(),
        method: String::new(),
        body: Default::default(),
        rows: 0,
    };
    storage.bus.publish(command.clone()).await.unwrap();
    storage.bus.publish(command.clone()).await.unwrap();
    assert_eq!(storage.bus.publish(command).await, Err(BusError::Full { partition: 0 }));
    assert!(storage.presence.online(UserId::new_v7(), (0, 0), 0, 1).await.unwrap());
    // A second process may open the same file.
    open(&config).await.unwrap().store.check().await.unwrap();
}

#[tokio::test]
async fn refuses_what_it_does_not_know() {
    for (url, shown) in [
        ("", ""),
        ("sqlite", "sqlite"),
        ("sqlite:", "sqlite:"),
        ("/var/lib/gogochat.db", "/var/lib/gogochat.db"),
        ("postgres://chat:secret@localhost/chat", "postgres://..."),
        ("postgres://chat:secret", "postgres://..."),
        ("mysql//chat:secret@db/chat", "..."),
        ("chat:secret@db/chat", "..."),
        ("chat:secret", "..."),
        ("secret@db", "..."),
    ] {
        let config = StorageConfig { store_url: url.into(), bus_queue: 1, ..Default::default() };
        let error = open(&config).await.err().unwrap();
        assert!(matches!(&error, OpenError::UnknownStore(unknown) if unknown == shown), "{error:?}");
        assert!(error.to_string().contains("write sqlite:PATH"));
    }
}
