//! Each frame with its JSON form and its bytes.

use std::collections::BTreeMap;

use gogochat_proto::{
    close::CloseCode,
    error::ErrorCode,
    frame, json,
    method::{self, Method, POOL},
    v1::{self, ClientFrame, ServerFrame, client_frame, server_frame::Frame},
};
use prost::Message as _;

use crate::anatomy;

/// The parts of the document, by name.
pub(crate) fn sections() -> BTreeMap<String, String> {
    let client = CLIENT.iter().map(|(name, text)| ((*name).to_owned(), client_section(text)));
    let server = server().into_iter().map(|(name, frame)| (name.to_owned(), server_section(frame)));
    client.chain(server).collect()
}

/// Client frames in JSON, from which the bytes are made.
const CLIENT: &[(&str, &str)] = &[
    ("hello", r#"{"hello":{"accessToken":"a.k3v9","client":"example/1.0","ticket":"AQIDBA=="}}"#),
    (
        "call",
        r#"{"call":{"id":7,"method":"gogochat.v1.ChatService/SendMessage","key":"0190163d-8694-739b-aea5-966c26f8ad91","body":{"conversationId":"0190163d-8694-739b-aea5-966c26f8ad91","clientMsgId":"6f0c3a52-8f0e-4d6e-9a51-0f5f2a1c7b3d","text":"Hello"}}}"#,
    ),
    (
        "marks",
        r#"{"marks":{"marks":[{"conversationId":"0190163d-8694-739b-aea5-966c26f8ad91","deliveredSeq":"12","readSeq":"10"}]}}"#,
    ),
    ("typing", r#"{"ephemeral":{"conversationId":"0190163d-8694-739b-aea5-966c26f8ad91","typing":{}}}"#),
    ("ping", r#"{"ping":{"nonce":"300"}}"#),
];

/// Server frames, from which both forms are made.
fn server() -> Vec<(&'static str, Frame)> {
    let text = str::to_owned;
    let welcome = v1::Welcome {
        session_id: text("s-81"),
        user_id: text(USER),
        device_id: text(DEVICE),
        own_seq: 4,
        heartbeat_ms: 15_000,
        time_ms: 1_700_000_000_000,
        ticket: vec![1, 2, 3, 4].into(),
        ticket_use: v1::TicketUse::Taken.into(),
        epoch: text("019016a4-5f0e-4c3e-8a53-7d2b1f3c9e10"),
    };
    let sent = v1::SendMessageResponse { seq: 13, time_ms: 1_700_000_000_123, duplicate: false };
    let event = v1::Event {
        log_id: text(CONVERSATION),
        seq: 13,
        time_ms: 1_700_000_000_123,
        sender_id: text(USER),
        device_id: text(DEVICE),
        client_msg_id: text("6f0c3a52-8f0e-4d6e-9a51-0f5f2a1c7b3d"),
        body: Some(v1::event::Body::Message(v1::Message { text: text("Hello") })),
    };
    let presence = v1::Ephemeral {
        conversation_id: text(CONVERSATION),
        user_id: text(USER),
        kind: Some(v1::ephemeral::Kind::Presence(v1::Presence { online: true, last_seen_ms: 1_700_000_000_000 })),
    };
    let watermark = v1::Watermark {
        conversation_id: text(CONVERSATION),
        user_id: text(USER),
        delivered_seq: 13,
        read_seq: 12,
        ..Default::default()
    };
    let error = ErrorCode::NotAMember.with("no such conversation");
    vec![
        ("welcome", Frame::Welcome(welcome)),
        ("reply", Frame::Reply(v1::Reply { id: 7, body: sent.encode_to_vec().into(), error: None })),
        ("reply with an error", Frame::Reply(v1::Reply { id: 7, error: Some(error), ..Default::default() })),
        ("event", Frame::Event(event)),
        ("presence", Frame::Ephemeral(presence)),
        ("watermark", Frame::Watermark(watermark)),
        ("pong", Frame::Pong(v1::Pong { nonce: 300 })),
        ("resync", Frame::Resync(v1::Resync { log_id: text(CONVERSATION), from_seq: 13 })),
        (
            "drain",
            Frame::Drain(v1::Drain {
                deadline_ms: 10_000,
                target: "https://edge-2.example.org".into(),
                ticket: vec![1, 2, 3, 4].into(),
            }),
        ),
        ("close", CloseCode::TokenExpired.frame().frame.expect("a frame")),
    ]
}

fn client_section(text: &str) -> String {
    let parsed = json::client_frame_from_json(text).expect("a frame");
    let bytes = frame::encode(&ClientFrame::from(parsed.clone()));
    let mut decoder = frame::Decoder::default();
    decoder.push(&bytes);
    let again = frame::client_frame(decoder.next().expect("a frame").expect("a whole one")).expect("a client frame");
    assert_eq!(again, parsed);
    let body = match &parsed {
        client_frame::Frame::Call(call) => method::find(&call.method).map(Method::input),
        _ => None,
    };
    let descriptor = POOL.get_message_by_name("gogochat.v1.ClientFrame").expect("the message");
    section(text, &bytes, &anatomy::explain(&descriptor, &bytes, body.as_ref()))
}

fn server_section(frame: Frame) -> String {
    let send = method::find("gogochat.v1.ChatService/SendMessage");
    let frame = ServerFrame::from(frame);
    let json = json::server_frame_to_json(&frame.encode_to_vec(), |_| send).expect("a frame");
    let bytes = frame::encode(&frame);
    let descriptor = POOL.get_message_by_name("gogochat.v1.ServerFrame").expect("the message");
    section(&json, &bytes, &anatomy::explain(&descriptor, &bytes, send.map(Method::output).as_ref()))
}

fn section(json: &str, bytes: &[u8], explained: &str) -> String {
    format!("```json\n{json}\n```\n\n```\n{}\n```\n\n```\n{explained}\n```", anatomy::hex(bytes))
}

const CONVERSATION: &str = "0190163d-8694-739b-aea5-966c26f8ad91";
const USER: &str = "01900b3c-52c1-7cc1-8d5e-2f1f66b8c0aa";
const DEVICE: &str = "01900b3c-52c2-7a10-9b7c-0d5f6a3b1e44";
