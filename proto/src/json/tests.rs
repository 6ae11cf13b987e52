use proptest::prelude::*;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Value as Field};
use serde_json::json;

use super::*;
use crate::{
    error::violation,
    frame::FrameError,
    limits::{MAX_KNOWN, MAX_MARKS},
    method,
    v1::client_frame::Frame,
};

/// Numbers from a seed, for messages of any shape.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn number(&mut self) -> i64 {
        let any = i64::from_le_bytes([(); 8].map(|()| u8::try_from(self.roll(256)).unwrap()));
        [0, 1, -1, i64::MAX, i64::MIN, any, any >> 32][usize::try_from(self.roll(7)).unwrap()]
    }

    fn text(&mut self) -> String {
        ["", "a", "\"\\\u{0}\n", "\u{202e}漢字", "👩‍👩‍👧", "2024"][usize::try_from(self.roll(6)).unwrap()].repeat(2)
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: u32) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            if self.roll(4) == 0 || (depth == 0 && matches!(field.kind(), Kind::Message(_))) {
                continue;
            }
            if field.is_list() {
                let items = (0..self.roll(4)).map(|_| self.value(&field, depth)).collect();
                message.set_field(&field, Field::List(items));
            } else {
                let value = self.value(&field, depth);
                message.set_field(&field, value);
            }
        }
        message
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn value(&mut self, field: &FieldDescriptor, depth: u32) -> Field {
        match field.kind() {
            Kind::Bool => Field::Bool(self.roll(2) == 1),
            Kind::Int32 => Field::I32(self.number() as i32),
            Kind::Int64 => Field::I64(self.number()),
            Kind::Uint32 => Field::U32(self.number() as u32),
            Kind::Uint64 => Field::U64(self.number() as u64),
            Kind::String => Field::String(self.text()),
            Kind::Bytes => Field::Bytes(self.text().into_bytes().into()),
            Kind::Enum(kind) => Field::EnumNumber(self.variant(&kind)),
            Kind::Message(inner) => Field::Message(self.message(&inner, depth - 1)),
            other => panic!("no {other:?} in the contract so far"),
        }
    }

    /// A known value, or one that a newer peer may know.
    fn variant(&mut self, kind: &EnumDescriptor) -> i32 {
        let known: Vec<i32> = kind.values().map(|v| v.number()).chain([77]).collect();
        known[usize::try_from(self.roll(known.len() as u64)).unwrap()]
    }
}

fn messages() -> Vec<MessageDescriptor> {
    let all: Vec<_> = POOL.all_messages().filter(|m| m.package_name() == "gogochat.v1").collect();
    assert!(all.len() > 60);
    all
}

fn send() -> &'static Method {
    method::find("gogochat.v1.ChatService/SendMessage").unwrap()
}

fn fields_at_fault(error: &v1::Error) -> Vec<&str> {
    assert_eq!(error.code, "invalid_argument");
    assert_eq!(error.status, 3);
    error.violations.iter().map(|v| v.field.as_str()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_message_survives_json(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        for descriptor in messages() {
            let encoded = dice.message(&descriptor, 4).encode_to_vec();
            let value = decode(descriptor.clone(), &encoded).unwrap();
            let text = value.to_string();
            let again = encode(descriptor.clone(), &serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(&again[..], &encoded[..], "{}: {}", descriptor.full_name(), text);
        }
    }

    #[test]
    fn hostile_json_never_panics(text in hostile()) {
        for descriptor in messages() {
            if let Ok(value) = parse(text.as_bytes()) {
                let _ = encode(descriptor, &value);
            }
        }
        let _ = client_frame_from_json(&text);
        let _ = client_frame_from_json(&format!(
            r#"{{"call":{{"id":1,"method":"gogochat.v1.SyncService/Sync","body":{text}}}}}"#
        ));
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        for descriptor in messages() {
            let _ = decode(descriptor, &bytes);
        }
        let _ = server_frame_to_json(&bytes, |_| Some(send()));
        let _ = parse(&bytes);
    }
}

/// JSON with the contract's own names and any values in them.
fn hostile() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "\\PC{0,8}".prop_map(|s| json!(s)),
    ];
    let names = prop::sample::select(vec![
        "call",
        "marks",
        "known",
        "ownSeq",
        "own_seq",
        "kind",
        "memberIds",
        "x",
        "body",
        "id",
    ]);
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::vec((names.clone(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
    .prop_map(|value| value.to_string())
}

#[test]
fn both_spellings_of_names_numbers_and_enums_are_read() {
    let sync = method::find("gogochat.v1.SyncService/Sync").unwrap();
    let one = request_from_json(sync, br#"{"ownSeq":"7","known":[{"conversationId":"c","lastSeq":3}]}"#).unwrap();
    let other = request_from_json(sync, br#"{"own_seq":7,"known":[{"conversation_id":"c","last_seq":"3"}]}"#).unwrap();
    assert_eq!(one, other);
    let contact = POOL.get_message_by_name("gogochat.v1.Contact").unwrap();
    let by_name = encode(contact.clone(), &json!({"state": "CONTACT_STATE_INCOMING"})).unwrap();
    assert_eq!(by_name, encode(contact, &json!({"state": 2})).unwrap());
}

#[test]
fn what_is_written_is_complete_and_safe_for_javascript() {
    let reply = v1::SendMessageResponse { seq: i64::MAX, ..Default::default() };
    let json = response_to_json(send(), &reply.encode_to_vec()).unwrap();
    let value: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(value, json!({"seq": "9223372036854775807", "timeMs": "0", "duplicate": false}));
}

#[test]
fn fields_at_fault_are_named() {
    let fault = |json: &str| request_from_json(send(), json.as_bytes()).unwrap_err();
    assert_eq!(fields_at_fault(&fault(r#"{"text":"a","colour":1,"size":2}"#)), ["colour", "size"]);
    assert_eq!(fields_at_fault(&fault(r#"{"text":5}"#)), ["text"]);
    assert_eq!(fields_at_fault(&fault(r#"{"clientMsgId":"a","client_msg_id":"b"}"#)), ["clientMsgId"]);

    let sync = method::find("gogochat.v1.SyncService/Sync").unwrap();
    let fault = |json: &str| request_from_json(sync, json.as_bytes()).unwrap_err();
    assert_eq!(fields_at_fault(&fault(r#"{"known":[{},{"x":1}]}"#)), ["known[1].x"]);
    assert_eq!(fields_at_fault(&fault(r#"{"known":[{},{"lastSeq":"99999999999999999999"}]}"#)), ["known[1].lastSeq"]);
    assert_eq!(fields_at_fault(&fault(r#"{"ownSeq":1.5}"#)), ["ownSeq"]);
    assert_eq!(fields_at_fault(&fault(r#"{"known":{}}"#)), ["known"]);

    let said = |json: &str| fault(json).violations[0].description.clone();
    assert_eq!(fields_at_fault(&fault(r#"{"known":[{"last_seq":{}}]}"#)), ["known[0].lastSeq"]);
    assert_eq!(said(r#"{"known":{}}"#), "has to be a list");
    assert_eq!(said(r#"{"known":[5]}"#), "has to be an object");
    assert_eq!(said(r#"{"known":[{"unread":1.5}]}"#), "has to be a whole number from -2147483648 to 2147483647");
    assert_eq!(said(r#"{"pageToken":5}"#), "has to be a string");
    let page = method::find("gogochat.v1.ChatService/ListEvents").unwrap();
    let both = request_from_json(page, br#"{"afterSeq":1,"beforeSeq":2}"#).unwrap_err();
    assert_eq!(both.violations[0].description, "multiple fields provided for oneof 'from'");

    let many: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("x{n}"), json!(n))).collect();
    assert_eq!(fault(&Value::Object(many).to_string()).violations.len(), MAX_VIOLATIONS);
}

#[test]
fn what_is_no_object_is_malformed() {
    let deep = "[".repeat(30_000);
    let nested = format!("{{\"text\":{}", "{\"a\":".repeat(10_000));
    for json in ["", "x", "[]", "5", "null", "{", "{}{}", r#"{"text":1e999}"#, r#"{"text":"\ud800"}"#, &deep, &nested] {
        let error = request_from_json(send(), json.as_bytes()).unwrap_err();
        assert_eq!(error.code, "malformed_body", "{json:.40}");
    }
    assert_eq!(request_from_json(send(), b"{\"text\":\"\xff\"}").unwrap_err().code, "malformed_body");
}

#[test]
fn the_limits_and_past_them() {
    let of_size = |size: usize| format!("{{\"text\":\"{}\"}}", "a".repeat(size - 11));
    // In protobuf a text of this length takes 4 bytes more.
    assert!(request_from_json(send(), of_size(MAX_BODY - 4 + 11).as_bytes()).is_ok());
    let past = request_from_json(send(), of_size(MAX_BODY - 4 + 12).as_bytes()).unwrap_err();
    assert_eq!(
        (past.code.as_str(), past.message.as_str()),
        ("body_too_large", "65537 bytes as protobuf: the limit is 65536")
    );
    let padded = |size: usize| format!("{{\"text\":\"a\"{}}}", " ".repeat(size - 12));
    assert!(request_from_json(send(), padded(MAX_JSON).as_bytes()).is_ok());
    let past = request_from_json(send(), padded(MAX_JSON + 1).as_bytes()).unwrap_err();
    assert_eq!(
        (past.code.as_str(), past.message.as_str()),
        ("body_too_large", "262145 bytes of JSON: the limit is 262144")
    );

    let frame = |size: usize| format!("{{\"hello\":{{\"client\":\"{}\"}}}}", "a".repeat(size - 23));
    assert_eq!(frame(100).len(), 100);
    assert!(client_frame_from_json(&frame(MAX_JSON)).is_ok());
    assert_eq!(client_frame_from_json(&frame(MAX_JSON + 1)), Err(JsonError::TooLarge(MAX_JSON + 1)));
}

/// What the contract allows in one Sync and one Marks frame fits as JSON.
#[test]
fn a_full_sync_and_full_marks_fit() {
    let seq = "1000000";
    let head = |n: usize| {
        json!({
            "conversationId": uuid::Uuid::from_u128(n as u128).to_string(), "lastSeq": seq, "deliveredSeq": seq,
            "readSeq": seq, "othersDeliveredSeq": seq, "othersReadSeq": seq, "unread": 1_000,
        })
    };
    let sync = json!({"ownSeq": seq, "known": (0..MAX_KNOWN).map(head).collect::<Vec<_>>()});
    let method = method::find("gogochat.v1.SyncService/Sync").unwrap();
    let body = request_from_json(method, sync.to_string().as_bytes()).unwrap();
    assert_eq!(v1::SyncRequest::decode(body).unwrap().known.len(), MAX_KNOWN);
    let call = json!({"call": {"id": 1, "method": method.name, "body": sync}}).to_string();
    let Frame::Call(call) = client_frame_from_json(&call).unwrap() else { panic!() };
    assert_eq!(v1::SyncRequest::decode(call.body).unwrap().known.len(), MAX_KNOWN);
    let mark = |n: usize| json!({"conversationId": uuid::Uuid::from_u128(n as u128).to_string(), "deliveredSeq": i64::MAX.to_string(), "readSeq": i64::MAX.to_string()});
    let marks = json!({"marks": {"marks": (0..MAX_MARKS).map(mark).collect::<Vec<_>>()}}).to_string();
    let Frame::Marks(marks) = client_frame_from_json(&marks).unwrap() else { panic!() };
    assert_eq!(marks.marks.len(), MAX_MARKS);
}

#[test]
fn a_call_carries_its_body_in_protobuf() {
    let text = r#"{"call":{"id":1,"method":"gogochat.v1.ChatService/SendMessage","key":"k","body":{"conversationId":"k","text":"hi"}}}"#;
    let Frame::Call(call) = client_frame_from_json(text).unwrap() else { panic!() };
    assert_eq!((call.id, call.key.as_str()), (1, "k"));
    let body = v1::SendMessageRequest::decode(call.body).unwrap();
    assert_eq!((body.conversation_id.as_str(), body.text.as_str()), ("k", "hi"));
    let other = client_frame_from_json(r#"{"ping":{"nonce":"18446744073709551615"}}"#).unwrap();
    assert_eq!(other, Frame::Ping(v1::Ping { nonce: u64::MAX }));
}

#[test]
fn a_call_at_fault_is_answered_and_no_frame_ends_the_session() {
    let unknown = r#"{"call":{"id":2,"method":"gogochat.v1.ChatService/Nope","body":{"a":[1]}}}"#;
    let Frame::Call(call) = client_frame_from_json(unknown).unwrap() else { panic!() };
    assert_eq!((call.id, call.method.as_str(), call.body.len()), (2, "gogochat.v1.ChatService/Nope", 0));

    for (body, code) in [("[1]", "malformed_body"), ("\"a\"", "malformed_body"), ("{\"a\":1}", "invalid_argument")] {
        let text = format!(r#"{{"call":{{"id":3,"method":"gogochat.v1.ChatService/SendMessage","body":{body}}}}}"#);
        let Err(JsonError::Call { id: 3, error }) = client_frame_from_json(&text) else { panic!("{body}") };
        assert_eq!(error.code, code);
    }
    // Half of a surrogate pair, wherever it stands; a number that no number can be; levels without end.
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    for (key, text) in
        [("k", r#""\ud83e""#), ("k", r#""\udd7e a""#), (r"\ud800", r#""a""#), ("k", "1e999"), ("k", &deep)]
    {
        let text = format!(
            r#"{{"call":{{"body":{{"text":{text}}},"id":4,"key":"{key}","method":"gogochat.v1.ChatService/SendMessage"}}}}"#
        );
        let Err(JsonError::Call { id: 4, error }) = client_frame_from_json(&text) else { panic!("{text}") };
        assert_eq!(error.code, "malformed_body", "{text}");
    }
    for text in [r#"{"call":{"id":4,"key":"\ud800"}"#, r#"{"call":{"key":"\ud800"}}"#, r#"{"ping":{"nonce":"\ud800"}}"#]
    {
        let error = client_frame_from_json(text).unwrap_err();
        assert!(matches!(error, JsonError::Malformed(_)), "{text}: {error}");
    }
    for text in
        ["", "{}", "[]", "5", "{\"welcome\":{}}", "{\"call\":1}", "{\"call\":{\"id\":-1}}", "{\"ping\":{},\"pong\":{}}"]
    {
        let error = client_frame_from_json(text).unwrap_err();
        assert!(matches!(error, JsonError::Malformed(_)), "{text}: {error}");
        assert_eq!(FrameError::from(error), FrameError::Malformed);
    }
}

#[test]
fn replies_are_written_by_the_method_they_answer() {
    let reply = |reply: v1::Reply| v1::ServerFrame::from(v1::server_frame::Frame::Reply(reply)).encode_to_vec();
    let body = Bytes::from(v1::SendMessageResponse { seq: 5, time_ms: 6, duplicate: true }.encode_to_vec());
    let good = reply(v1::Reply { id: 9, body, error: None });
    assert_eq!(
        server_frame_to_json(&good, |id| (id == 9).then(send)).unwrap(),
        r#"{"reply":{"body":{"duplicate":true,"seq":"5","timeMs":"6"},"id":9}}"#
    );
    let error = Some(violation("text", "empty"));
    let bad = reply(v1::Reply { id: 9, error, ..Default::default() });
    let value: Value = serde_json::from_str(&server_frame_to_json(&bad, |_| None).unwrap()).unwrap();
    assert_eq!(value["reply"]["error"]["violations"], json!([{"field": "text", "description": "empty"}]));
    assert!(value["reply"].get("body").is_none());

    let event = v1::Event {
        seq: 1,
        body: Some(v1::event::Body::Message(v1::Message { text: "a".into() })),
        ..Default::default()
    };
    let event = v1::ServerFrame::from(v1::server_frame::Frame::Event(event)).encode_to_vec();
    let value: Value = serde_json::from_str(&server_frame_to_json(&event, |_| None).unwrap()).unwrap();
    assert_eq!(value["event"]["message"], json!({"text": "a"}));
    assert_eq!(value["event"]["seq"], json!("1"));
}
