use http::Method as Verb;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind};
use serde_json::json;

use super::*;

fn at(verb: &Verb, path: &str) -> Route {
    route(verb, path).unwrap_or_else(|error| panic!("{verb} {path}: {error}"))
}

fn fields_at_fault(error: &v1::Error) -> Vec<&str> {
    assert_eq!(error.code, "invalid_argument");
    error.violations.iter().map(|v| v.field.as_str()).collect()
}

#[test]
fn every_method_is_found_at_its_path_with_its_fields() {
    for method in method::all() {
        let path = method.http.path.replace('{', "a%20").replace('}', "%2F");
        let route = at(&method.http.verb, &path);
        assert_eq!(route.method().name, method.name);
        let request = DynamicMessage::decode(method.input(), route.request(None, b"").unwrap()).unwrap();
        let names: Vec<&str> =
            method.http.path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(names.len(), route.fields.len());
        for name in names {
            assert_eq!(request.get_field_by_name(name).unwrap().as_str(), Some(format!("a {name}/").as_str()));
        }
    }
}

#[test]
fn what_is_not_in_path_or_body_fits_a_query() {
    for method in method::all().filter(|m| !m.http.body) {
        for field in method.input().fields() {
            assert!(!matches!(field.kind(), Kind::Message(_)), "{}: {}", method.name, field.name());
        }
    }
}

#[test]
fn unknown_paths_and_wrong_verbs() {
    for path in [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/nope",
        "/v1/account/",
        "/v1//account",
        "/v1/devices/",
        "/v1/devices/a/b",
        "v1/account",
    ] {
        let error = route(&Verb::GET, path).unwrap_err();
        assert_eq!((error.status(), error.error().code.as_str()), (404, "unknown_method"), "{path}");
    }
    let error = route(&Verb::PUT, "/v1/contacts").unwrap_err();
    assert_eq!(error, RouteError::WrongVerb { allow: "GET, HEAD, POST".into() });
    assert_eq!(error.status(), 405);
    assert!(matches!(route(&Verb::GET, "/v1/sessions/current"), Err(RouteError::WrongVerb { .. })));
}

#[test]
fn a_query_fills_fields_by_either_name() {
    let people = at(&Verb::GET, "/v1/people/batch");
    let ids = |query: &str| v1::GetPeopleRequest::decode(people.request(Some(query), b"").unwrap()).unwrap().user_ids;
    assert_eq!(ids("user_ids=a&userIds=b+c&&user_ids=%E6%BC%A2"), ["a", "b c", "漢"]);
    assert_eq!(ids(""), [""; 0]);

    let events = at(&Verb::GET, "/v1/conversations/c/events");
    let request =
        v1::ListEventsRequest::decode(events.request(Some("afterSeq=9007199254740993&limit=5"), b"").unwrap()).unwrap();
    assert_eq!(request.from, Some(v1::list_events_request::From::AfterSeq(9_007_199_254_740_993)));
    assert_eq!((request.conversation_id.as_str(), request.limit), ("c", 5));
    assert!(events.request(Some("conversation_id=c"), b"{}").is_ok());

    for (query, field) in [
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=99999999999", "limit"),
        ("colour=1", "colour"),
        ("conversation_id=d", "conversationId"),
        ("limit=%ff", "limit"),
    ] {
        assert_eq!(fields_at_fault(&events.request(Some(query), b"").unwrap_err()), [field], "{query}");
    }
    assert!(events.request(Some("after_seq=1&before_seq=2"), b"").is_err());
    assert_eq!(fields_at_fault(&events.request(None, br#"{"limit":1}"#).unwrap_err()), ["limit"]);
}

#[test]
fn a_bool_of_a_query() {
    let typing = crate::method::POOL.get_message_by_name("gogochat.v1.Typing").unwrap();
    let fields = |text: &str| query::fields(&typing, query::parse(text).unwrap());
    assert_eq!(fields("stopped=true").unwrap()["stopped"], json!(true));
    assert_eq!(fields("stopped=false").unwrap()["stopped"], json!(false));
    assert_eq!(fields_at_fault(&fields("stopped=1").unwrap_err()), ["stopped"]);
}

#[test]
fn the_path_wins_and_a_body_may_only_repeat_it() {
    let send = at(&Verb::POST, "/v1/conversations/c1/messages");
    let request = |body: &str| send.request(None, body.as_bytes());
    for body in [r#"{"text":"a"}"#, r#"{"conversationId":"c1","text":"a"}"#, r#"{"conversation_id":"c1","text":"a"}"#] {
        let request = v1::SendMessageRequest::decode(request(body).unwrap()).unwrap();
        assert_eq!((request.conversation_id.as_str(), request.text.as_str()), ("c1", "a"));
    }
    for body in [r#"{"conversationId":"c2"}"#, r#"{"conversation_id":"c2"}"#, r#"{"conversation_id":1}"#] {
        assert_eq!(fields_at_fault(&request(body).unwrap_err()), ["conversationId"], "{body}");
    }
    assert_eq!(request("[]").unwrap_err().code, "malformed_body");
    assert_eq!(fields_at_fault(&send.request(Some("text=a"), b"{}").unwrap_err()), ["text"]);
    let wrong = at(&Verb::POST, "/v1/conversations/%ff/messages").request(None, b"{}").unwrap_err();
    assert_eq!(fields_at_fault(&wrong), ["conversationId"]);
}

#[test]
fn errors_have_their_status() {
    for code in ErrorCode::ALL {
        let (status, json) = error_to_json(&code.with("why"));
        let value: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(status, code.http_status());
        assert!((400..600).contains(&status));
        assert_eq!((value["code"].as_str(), value["message"].as_str()), (Some(code.as_str()), Some("why")));
    }
    let newer = v1::Error { status: 5, code: "newer".into(), ..Default::default() };
    assert_eq!(error_to_json(&newer).0, 404);
}

proptest! {
    #[test]
    fn hostile_requests_never_panic(path in "/v1/[a-z/%{}*.0-9]{0,40}", query in "[a-z=&%+_0-9]{0,40}", body in "\\PC{0,40}") {
        for verb in [Verb::GET, Verb::POST, Verb::DELETE] {
            if let Ok(route) = route(&verb, &path) {
                let _ = route.request(Some(&query), body.as_bytes());
            }
            let _ = at(&Verb::GET, "/v1/conversations/c/events").request(Some(&query), b"");
        }
    }
}
