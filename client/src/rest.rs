//! REST calls, as far as a client needs them before it has a session.

use std::time::Duration;

use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};

use gogochat_proto::{limits::MAX_BODY, v1};

use crate::{ConnectError, Dialer, RestError, Target};

/// REST over HTTP/1.1. Connections are kept and used again; calls at the same time each have their own.
#[derive(Debug)]
pub struct Rest {
    dialer: Dialer,
    target: Target,
    idle: Mutex<Vec<http1::SendRequest<Full<Bytes>>>>,
}

impl Rest {
    /// Calls to this server. Nothing is dialled yet.
    #[must_use]
    pub fn new(dialer: Dialer, target: Target) -> Self {
        Self { dialer, target, idle: Mutex::new(Vec::new()) }
    }

    /// Creates an account and signs this device in.
    ///
    /// # Errors
    /// `name_taken`, `invalid_argument`, `rate_limited`, or the server cannot be reached.
    pub async fn register(&self, name: &str, password: &str, device: &str) -> Result<v1::Session, RestError> {
        self.session("/v1/accounts", &json!({ "name": name, "password": password, "deviceName": device })).await
    }

    /// Signs this device in.
    ///
    /// # Errors
    /// `wrong_credentials`, `account_disabled`, `password_change_required` (see
    /// [`Self::redeem_one_time_password`]), `second_factor_required` (see [`Self::log_in_with`]),
    /// `rate_limited`, or the server cannot be reached.
    pub async fn log_in(&self, name: &str, password: &str, device: &str) -> Result<v1::Session, RestError> {
        self.session("/v1/sessions", &json!({ "name": name, "password": password, "deviceName": device })).await
    }

    /// Signs this device in where the account has a second factor: `factor` is a code of the
    /// authenticator, or a recovery code.
    ///
    /// # Errors
    /// `second_factor_wrong`, and as [`Self::log_in`].
    pub async fn log_in_with(
        &self,
        name: &str,
        password: &str,
        factor: &str,
        device: &str,
    ) -> Result<v1::Session, RestError> {
        let body = json!({ "name": name, "password": password, "secondFactor": factor, "deviceName": device });
        self.session("/v1/sessions", &body).await
    }

    /// Creates an account with an invitation, and signs this device in.
    ///
    /// # Errors
    /// `invitation_invalid`, and as [`Self::register`].
    pub async fn register_invited(
        &self,
        name: &str,
        password: &str,
        device: &str,
        invitation: &str,
    ) -> Result<v1::Session, RestError> {
        let body = json!({ "name": name, "password": password, "deviceName": device, "invitation": invitation });
        self.session("/v1/accounts", &body).await
    }

    /// Signs this device in with a one-time password, in place of which `new` is the password from then on.
    ///
    /// # Errors
    /// `wrong_credentials`, `invalid_argument` on `newPassword`, `account_disabled`, `rate_limited`, or the
    /// server cannot be reached.
    pub async fn redeem_one_time_password(
        &self,
        name: &str,
        one_time: &str,
        new: &str,
        device: &str,
    ) -> Result<v1::Session, RestError> {
        let body = json!({ "name": name, "password": one_time, "newPassword": new, "deviceName": device });
        self.session("/v1/sessions", &body).await
    }

    /// Changes what the user says of themselves: what is `None` stays, what is empty is cleared. How others
    /// see them now.
    ///
    /// # Errors
    /// `invalid_argument`, the token is of no use, or the server cannot be reached.
    pub async fn update_account(
        &self,
        access_token: &str,
        change: &v1::UpdateAccountRequest,
    ) -> Result<v1::Person, RestError> {
        let mut body = serde_json::Map::new();
        let texts =
            [("displayName", &change.display_name), ("signature", &change.signature), ("birthday", &change.birthday)];
        for (name, text) in texts {
            body.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
        }
        body.extend(change.gender.map(|gender| ("gender".to_owned(), json!(gender))));
        let body = Value::Object(body);
        let account = self.call(Method::PATCH, "/v1/account", Some(access_token), Some(&body)).await?;
        Ok(person(account.get("user").unwrap_or(&Value::Null)))
    }

    /// Exchanges a refresh token, once, for a new pair.
    ///
    /// # Errors
    /// `token_invalid`, `token_reused`, or the server cannot be reached.
    pub async fn refresh(&self, refresh_token: &str) -> Result<v1::Session, RestError> {
        self.session("/v1/sessions/refresh", &json!({ "refreshToken": refresh_token })).await
    }

    /// Signs this device out.
    ///
    /// # Errors
    /// The token is of no use, or the server cannot be reached.
    pub async fn log_out(&self, access_token: &str) -> Result<(), RestError> {
        self.call(Method::DELETE, "/v1/sessions/current", Some(access_token), None).await.map(|_| ())
    }

    /// Any REST call: the JSON of the answer.
    ///
    /// # Errors
    /// [`RestError::Refused`] with the server's error; or the server cannot be reached.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        access_token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, RestError> {
        let foreign = |status, body: &[u8]| RestError::Foreign {
            status,
            body: String::from_utf8_lossy(body).chars().take(200).collect(),
        };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.target.authority());
        if let Some(token) = access_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| RestError::Connect(ConnectError::Foreign("a request that HTTP cannot express")))?;

        let (status, answer) = tokio::time::timeout(TIMEOUT, self.exchange(request))
            .await
            .map_err(|_| RestError::Connect(ConnectError::TimedOut))??;
        let json: Value = match answer.as_ref() {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|_| foreign(status, body))?,
        };
        if (200..300).contains(&status) {
            return Ok(json);
        }
        Err(error(&json).map_or_else(|| foreign(status, &answer), RestError::Refused))
    }

    async fn session(&self, path: &str, body: &Value) -> Result<v1::Session, RestError> {
        let answer = self.call(Method::POST, path, None, Some(body)).await?;
        session(&answer).ok_or_else(|| RestError::Foreign { status: 200, body: "no session".to_owned() })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), RestError> {
        let mut connection = self.connection().await?;
        let response = connection.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), 16 * MAX_BODY)
            .collect()
            .await
            .map_err(|_| RestError::Foreign { status, body: "a body that ends early or has no end".to_owned() })?
            .to_bytes();
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        Ok((status, body))
    }

    async fn connection(&self) -> Result<http1::SendRequest<Full<Bytes>>, RestError> {
        loop {
            let Some(mut kept) = self.idle.lock().pop() else { break };
            if kept.ready().await.is_ok() {
                return Ok(kept);
            }
        }
        let stream = self.dialer.stream(&self.target).await?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the connection, which ends when its handle is dropped.
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a REST connection broke");
            }
        });
        Ok(connection)
    }
}

fn session(json: &Value) -> Option<v1::Session> {
    let text = |json: &Value, field: &str| json.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let user = json.get("user")?;
    Some(v1::Session {
        user: Some(person(user)),
        device_id: text(json, "deviceId"),
        access_token: json.get("accessToken")?.as_str()?.to_owned(),
        access_expires_ms: int64(json, "accessExpiresMs"),
        refresh_token: text(json, "refreshToken"),
        refresh_expires_ms: int64(json, "refreshExpiresMs"),
        administrator: json.get("administrator").and_then(Value::as_bool).unwrap_or_default(),
    })
}

fn person(json: &Value) -> v1::Person {
    let text = |field: &str| json.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    v1::Person { id: text("id"), name: text("name"), display_name: text("displayName"), signature: text("signature") }
}

fn error(json: &Value) -> Option<v1::Error> {
    let code = json.get("code")?.as_str()?.to_owned();
    let message = json.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = i32::try_from(int64(json, "status")).unwrap_or_default();
    let text = |json: &Value, field: &str| json.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let violations = json
        .get("violations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|v| v1::FieldViolation { field: text(v, "field"), description: text(v, "description") })
        .collect();
    Some(v1::Error {
        status,
        code,
        message,
        violations,
        retry_after_ms: int64(json, "retryAfterMs"),
        id: text(json, "id"),
    })
}

/// Proto3 JSON has 64-bit integers as strings.
fn int64(json: &Value, field: &str) -> i64 {
    json.get(field)
        .and_then(|value| value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok())))
        .unwrap_or_default()
}

const MAX_IDLE: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(30);
