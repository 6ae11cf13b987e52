use std::collections::HashSet;

use super::*;

/// Every value under a key of this name, wherever it stands.
fn values<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(key));
            object.values().for_each(|inner| values(inner, key, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| values(inner, key, found)),
        _ => {}
    }
}

fn operation(method: &Method) -> &'static Value {
    &document()["paths"][&method.http.path][method.http.verb.as_str().to_ascii_lowercase()]
}

#[test]
fn every_reference_leads_somewhere() {
    let mut references = Vec::new();
    values(document(), "$ref", &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(document().pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_method_is_there_once() {
    let mut ids = Vec::new();
    values(document(), "operationId", &mut ids);
    let unique: HashSet<_> = ids.iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!((ids.len(), unique.len()), (method::all().count(), ids.len()));
    for method in method::all() {
        let operation = operation(method);
        assert_eq!(operation["operationId"], method.descriptor.name());
        assert_eq!(operation["security"].as_array().unwrap().is_empty(), method.public, "{}", method.name);
        assert_eq!(operation.get("requestBody").is_some(), method.http.body);
        assert!(!operation["summary"].as_str().unwrap().is_empty());
        let output = format!("#/components/schemas/{}", method.output().name());
        assert_eq!(operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"], output);
        assert!(operation["responses"]["400"].is_object() && operation["responses"]["default"].is_object());
    }
}

#[test]
fn parameters_are_those_of_path_and_query() {
    for method in method::all() {
        let parameters = operation(method)["parameters"].as_array().unwrap();
        let named = |place: &str| -> Vec<&str> {
            parameters.iter().filter(|p| p["in"] == place).map(|p| p["name"].as_str().unwrap()).collect()
        };
        let template: Vec<&str> =
            method.http.path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(named("path"), template, "{}", method.name);
        let others = method.input().fields().count() - template.len();
        assert_eq!(named("query").len(), if method.http.body { 0 } else { others }, "{}", method.name);
        assert!(parameters.iter().filter(|p| p["in"] == "path").all(|p| p["required"] == true));
    }
    let events = method::find("gogochat.v1.ChatService/ListEvents").unwrap();
    let limit = operation(events)["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "limit").unwrap();
    assert!(limit["description"].as_str().unwrap().starts_with("1 to 500"));
}

#[test]
fn error_codes_of_the_comments_exist() {
    for method in method::all() {
        let comment = comments::of(&method.descriptor.parent_service().parent_file(), method.descriptor.path());
        for code in comments::errors(&comment) {
            assert!(ErrorCode::from_name(code).is_some(), "{}: {code}", method.name);
        }
    }
    let send = method::find("gogochat.v1.ChatService/SendMessage").unwrap();
    assert_eq!(operation(send)["responses"]["404"]["description"], "not_a_member.");
    let description = document()["info"]["description"].as_str().unwrap();
    for code in ErrorCode::ALL {
        assert!(description.contains(&format!("| {} |", code.as_str())));
    }
}

#[test]
fn every_message_has_a_schema_by_the_json_mapping() {
    let schemas = document()["components"]["schemas"].as_object().unwrap();
    for message in POOL.all_messages().filter(|m| m.package_name() == PACKAGE) {
        let properties = schemas[message.name()]["properties"].as_object().unwrap();
        let names: HashSet<String> = message.fields().map(|f| f.json_name().to_owned()).collect();
        assert_eq!(properties.keys().cloned().collect::<HashSet<_>>(), names);
    }
    assert_eq!(schemas["Head"]["properties"]["lastSeq"]["type"], "string");
    assert_eq!(schemas["SendMessageRequest"]["additionalProperties"], false);
    assert!(schemas["Error"].get("additionalProperties").is_none());
    assert_eq!(schemas["ContactState"]["enum"][3], "CONTACT_STATE_ACCEPTED");
    assert_eq!(schemas["Call"]["properties"]["body"]["type"], "object");
    assert_eq!(schemas["Contact"]["properties"]["state"]["$ref"], "#/components/schemas/ContactState");
}

#[test]
fn every_field_of_a_request_has_its_rule() {
    for method in method::all() {
        for field in method.input().fields().filter(rules::needs_one) {
            assert!(rules::of(&field).is_some(), "{}", field.full_name());
        }
    }
    let schemas = &document()["components"]["schemas"];
    let property = |message: &str, name: &str| {
        let mut schema = schemas[message]["properties"][name].clone();
        schema.as_object_mut().unwrap().remove("description");
        schema
    };
    let name = json!({"type": "string", "minLength": 3, "maxLength": 32, "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$"});
    assert_eq!(property("RegisterRequest", "name"), name);
    assert_eq!(property("RegisterRequest", "password"), json!({"type": "string", "minLength": 8, "maxLength": 128}));
    assert_eq!(property("SendMessageRequest", "text"), json!({"type": "string", "minLength": 1, "maxLength": 16_384}));
    let id = json!({"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36});
    assert_eq!(property("SendMessageRequest", "clientMsgId"), id);
    assert_eq!(
        property("AddMembersRequest", "userIds"),
        json!({"type": "array", "items": id, "minItems": 1, "maxItems": 1_000})
    );
    assert_eq!(property("SyncRequest", "known")["maxItems"], 1_000);
    assert_eq!(property("SyncRequest", "ownSeq")["pattern"], "^[0-9]{1,19}$");
    let events = method::find("gogochat.v1.ChatService/ListEvents").unwrap();
    let limit = operation(events)["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "limit").unwrap();
    assert_eq!(limit["schema"], json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 500}));
    // What the server says may grow.
    assert_eq!(property("Person", "name"), json!({"type": "string"}));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    for (path, kind, bytes) in PAGE {
        let text = std::str::from_utf8(bytes).unwrap();
        for foreign in ["https://", "http://", "@import", "url(", " on", "javascript:"] {
            let wanted = if foreign == " on" {
                text.contains(" onclick") || text.contains(" onload")
            } else {
                text.contains(foreign)
            };
            assert!(!wanted, "{path} ({kind}) has {foreign}");
        }
        assert!(!text.contains("innerHTML") && !text.contains("style=\""), "{path}");
        if path.ends_with(".js") {
            assert!(text.contains("\"/openapi.json\""));
        }
    }
    let (_, _, html) = PAGE[0];
    let html = std::str::from_utf8(html).unwrap();
    for (path, ..) in &PAGE[1..] {
        assert!(html.contains(path));
    }
    assert!(!html.contains("<script>") && !html.contains("<style"));
}
