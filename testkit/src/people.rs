//! People for tests, made by REST as any client would.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::http::{self, Answer};

/// A registered person with one signed-in device.
#[derive(Debug, Clone)]
pub struct Person {
    /// The user's id.
    pub id: String,
    /// The user's name.
    pub name: String,
    /// The device's access token.
    pub token: String,
    /// The device's refresh token.
    pub refresh: String,
    address: SocketAddr,
}

/// The password of everybody here.
pub const PASSWORD: &str = "correct horse battery";

impl Person {
    /// Registers a person of this name.
    ///
    /// # Errors
    /// The server refused.
    pub async fn register(address: SocketAddr, name: &str) -> anyhow::Result<Self> {
        let body = json!({ "name": name, "password": PASSWORD, "deviceName": "test" });
        let session = expect(http::call(address, "POST", "/v1/accounts", "", &body).await?)?;
        Self::signed_in(address, &session)
    }

    /// Signs a person of this name in on a device of their own.
    ///
    /// # Errors
    /// The server refused.
    pub async fn log_in(address: SocketAddr, name: &str) -> anyhow::Result<Self> {
        let body = json!({ "name": name, "password": PASSWORD, "deviceName": "another" });
        let session = expect(http::call(address, "POST", "/v1/sessions", "", &body).await?)?;
        Self::signed_in(address, &session)
    }

    /// Signs the same person in on a further device.
    ///
    /// # Errors
    /// The server refused.
    pub async fn another_device(&self) -> anyhow::Result<Self> {
        Self::log_in(self.address, &self.name).await
    }

    fn signed_in(address: SocketAddr, session: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            id: text(session, "/user/id")?,
            name: text(session, "/user/name")?,
            token: text(session, "/accessToken")?,
            refresh: text(session, "/refreshToken")?,
            address,
        })
    }

    /// Makes the two contacts of each other: the id of their conversation.
    ///
    /// # Errors
    /// The server refused.
    pub async fn befriend(&self, other: &Self) -> anyhow::Result<String> {
        self.call("POST", "/v1/contacts", &json!({ "userId": other.id })).await?;
        let accepted = other.call("POST", &format!("/v1/contacts/{}/accept", self.id), &Value::Null).await?;
        text(&accepted, "/conversationId")
    }

    /// A call by REST as this person.
    ///
    /// # Errors
    /// The server refused.
    pub async fn call(&self, verb: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        expect(self.try_call(verb, path, body).await?)
    }

    /// A call by REST as this person, whatever the answer.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn try_call(&self, verb: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        http::call(self.address, verb, path, &self.token, body).await
    }

    /// Sends a message: its seq.
    ///
    /// # Errors
    /// The server refused.
    pub async fn send(&self, conversation: &str, client_msg_id: &str, message: &str) -> anyhow::Result<i64> {
        let path = format!("/v1/conversations/{conversation}/messages");
        let sent = self.call("POST", &path, &json!({ "clientMsgId": client_msg_id, "text": message })).await?;
        Ok(text(&sent, "/seq")?.parse()?)
    }
}

/// The JSON of an answer with status 200.
fn expect(answer: Answer) -> anyhow::Result<Value> {
    ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// The string at a JSON pointer (RFC 6901).
///
/// # Errors
/// There is none.
pub fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    Ok(value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer} in {value}"))?.to_owned())
}
