//! The sub-protocol `gogochat.v1.json`: one frame a text message, in which `body` of Call and Reply is the method's message as an object.

use bytes::Bytes;
use prost::Message as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{decode, encode, encode_body, error_value};
use crate::{
    error::ErrorCode,
    frame::FrameError,
    limits::MAX_JSON,
    method::{self, Method, POOL},
    v1::{self, ClientFrame, ServerFrame, client_frame, server_frame},
};

/// Why a text message is no frame that can go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// More than 256 KiB: the session closes with `frame_too_large`.
    #[error("a frame of {0} bytes: the limit is {MAX_JSON}")]
    TooLarge(usize),
    /// No JSON, or no frame: the session closes with `protocol_error`.
    #[error("not a frame: {0}")]
    Malformed(String),
    /// A call whose body is not the method's request, or that is no JSON somewhere behind its id: it is
    /// answered with this error, and the session goes on.
    #[error("call {id}: {error}")]
    Call {
        /// The id of the call.
        id: u32,
        /// What its reply says.
        error: v1::Error,
    },
}

impl From<JsonError> for FrameError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::TooLarge(size) => Self::TooLarge(size as u64),
            JsonError::Malformed(_) | JsonError::Call { .. } => Self::Malformed,
        }
    }
}

/// A client's frame from a text message. The body of a call to an unknown method is dropped: the method's name is what is answered.
///
/// # Errors
/// See [`JsonError`]: two end the session, one answers the call.
pub fn client_frame_from_json(text: &str) -> Result<client_frame::Frame, JsonError> {
    if text.len() > MAX_JSON {
        return Err(JsonError::TooLarge(text.len()));
    }
    let malformed = |reason: String| JsonError::Malformed(reason);
    let mut value: Value = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
    let body = value.get_mut("call").and_then(Value::as_object_mut).and_then(|call| call.remove("body"));
    let descriptor = POOL
        .get_message_by_name("gogochat.v1.ClientFrame")
        .ok_or_else(|| malformed("the contract has no frames".to_owned()))?;
    let encoded = encode(descriptor, &value).map_err(|error| malformed(error.message))?;
    let frame = ClientFrame::decode(encoded).ok().and_then(|frame| frame.frame);
    match frame.ok_or_else(|| malformed("no frame of a known kind".to_owned()))? {
        client_frame::Frame::Call(mut call) => {
            call.body = call_body(&call, body.as_ref()).map_err(|error| JsonError::Call { id: call.id, error })?;
            Ok(client_frame::Frame::Call(call))
        }
        other => Ok(other),
    }
}

/// A server's frame as a text message. `method` tells which method the call of this id was made to.
///
/// # Errors
/// The bytes are no frame, or the body of a reply is not its method's response.
pub fn server_frame_to_json(
    encoded: &[u8],
    method: impl FnOnce(u32) -> Option<&'static Method>,
) -> Result<String, FrameError> {
    let value = match ServerFrame::decode(encoded).map_err(|_| FrameError::Malformed)?.frame {
        Some(server_frame::Frame::Reply(reply)) => reply_value(&reply, method(reply.id))?,
        _ => POOL
            .get_message_by_name("gogochat.v1.ServerFrame")
            .and_then(|descriptor| decode(descriptor, encoded).ok())
            .ok_or(FrameError::Malformed)?,
    };
    Ok(value.to_string())
}

/// What is no JSON for us may have the shape of JSON all the same: half of a surrogate pair (RFC 8259,
/// section 8.2), a number out of range, too many levels. Where that shape is a call's, the call is answered.
fn unreadable(text: &str, error: &serde_json::Error) -> JsonError {
    #[derive(Deserialize)]
    struct Shape {
        call: Head,
    }
    #[derive(Deserialize)]
    struct Head {
        id: u32,
    }
    match serde_json::from_str::<Shape>(text) {
        Ok(Shape { call: Head { id } }) => {
            JsonError::Call { id, error: ErrorCode::MalformedBody.with(format!("the call is no JSON: {error}")) }
        }
        Err(_) => JsonError::Malformed(error.to_string()),
    }
}

fn call_body(call: &v1::Call, body: Option<&Value>) -> Result<Bytes, v1::Error> {
    match (method::find(&call.method), body) {
        (None, _) | (_, None | Some(Value::Null)) => Ok(Bytes::new()),
        (Some(method), Some(body @ Value::Object(_))) => encode_body(method, body),
        (Some(_), Some(_)) => Err(ErrorCode::MalformedBody.with("`body` has to be a JSON object")),
    }
}

fn reply_value(reply: &v1::Reply, method: Option<&Method>) -> Result<Value, FrameError> {
    if let Some(error) = &reply.error {
        return Ok(json!({"reply": {"id": reply.id, "error": error_value(error)}}));
    }
    let method = method.ok_or(FrameError::Malformed)?;
    let body = decode(method.output(), &reply.body).map_err(|_| FrameError::Malformed)?;
    Ok(json!({"reply": {"id": reply.id, "body": body}}))
}
