//! What users say of themselves, and how they are found by it.

use std::sync::Arc;

use gogochat_proto::ids::UserId;
use gogochat_storage::store::{ProfileChange, Store};

use super::new_user;

async fn named(store: &Arc<dyn Store>, name: &str, display_name: &str) -> UserId {
    let (mut user, device) = new_user(name);
    user.display_name = display_name.into();
    assert!(store.create_user(user.clone(), device).await.unwrap());
    user.id
}

async fn found(store: &Arc<dyn Store>, text: &str, limit: u32) -> Vec<String> {
    let users = store.find_users_by_display_name(text, limit).await.unwrap();
    users.into_iter().map(|user| user.name).collect()
}

pub(crate) async fn a_profile_changes_as_far_as_it_is_said(store: Arc<dyn Store>) {
    let id = named(&store, "ann", "Ann").await;
    let other = named(&store, "bob", "Bob").await;
    let change = ProfileChange {
        signature: Some("Away 🏖".into()),
        birthday: Some("2000-02-29".into()),
        gender: Some(1),
        ..ProfileChange::default()
    };
    let now = store.change_profile(id, change).await.unwrap().unwrap();
    assert_eq!((now.display_name.as_str(), now.signature.as_str()), ("Ann", "Away 🏖"));
    assert_eq!((now.birthday.as_str(), now.gender), ("2000-02-29", 1));
    assert_eq!(store.user_by_name("ann").await.unwrap(), Some(now));

    let cleared = ProfileChange { signature: Some(String::new()), gender: Some(0), ..ProfileChange::default() };
    let now = store.change_profile(id, cleared).await.unwrap().unwrap();
    assert_eq!((now.signature.as_str(), now.birthday.as_str(), now.gender), ("", "2000-02-29", 0));
    // Twice the same is no fault.
    assert!(store.change_profile(id, ProfileChange::default()).await.unwrap().is_some());
    assert_eq!(store.change_profile(UserId::new_v7(), ProfileChange::default()).await.unwrap(), None);
    assert_eq!(store.users(&[other]).await.unwrap()[0].signature, "");
}

pub(crate) async fn people_are_found_by_their_display_name(store: Arc<dyn Store>) {
    for (name, display_name) in [
        ("u1", "Kenji Tanaka"),
        ("u2", "tanaka yuki"),
        ("u3", "ＴＡＮ"),
        ("u4", "李小明"),
        ("u5", "O'Tan"),
        ("u6", "Stan"),
        ("u7", "E\u{301}mile"),
    ] {
        named(&store, name, display_name).await;
    }
    // By the word and what follows it.
    assert_eq!(found(&store, "TAN", 10).await, ["u3", "u5", "u1", "u2"]);
    assert_eq!(found(&store, "tanaka y", 10).await, ["u2"]);
    assert_eq!(found(&store, "tan", 2).await.len(), 2);
    assert_eq!(found(&store, "小明", 10).await, ["u4"]);
    assert_eq!(found(&store, "\u{c9}mi", 10).await, ["u7"]);
    for nobody in ["anaka", "%", "_an", "x"] {
        assert!(found(&store, nobody, 10).await.is_empty(), "{nobody}");
    }
}

pub(crate) async fn each_is_found_once_and_by_the_latest_name(store: Arc<dyn Store>) {
    let id = named(&store, "ann", "tan tanya tanaka").await;
    assert_eq!(found(&store, "tan", 10).await, ["ann"]);
    for display_name in ["tan Bo", "tan Bo", "Bo Li"] {
        let change = ProfileChange { display_name: Some(display_name.into()), ..ProfileChange::default() };
        assert_eq!(store.change_profile(id, change).await.unwrap().unwrap().display_name, display_name);
    }
    assert!(found(&store, "tan", 10).await.is_empty());
    assert_eq!(found(&store, "li", 10).await, ["ann"]);
    assert_eq!(found(&store, "bo", 10).await, ["ann"]);
}
