//! What who knows an older contract would miss in a newer one.

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ServiceDescriptor,
};

/// Each break of a package in a sentence; empty when there is none.
pub(crate) fn breaks(package: &str, old: &DescriptorPool, new: &DescriptorPool) -> Vec<String> {
    let mut found = Vec::new();
    for message in old.all_messages().filter(|m| m.package_name() == package) {
        match new.get_message_by_name(message.full_name()) {
            Some(now) => message.fields().for_each(|field| compare_field(&field, &now, &mut found)),
            None => found.push(format!("message {} is gone", message.full_name())),
        }
    }
    for kind in old.all_enums().filter(|e| e.package_name() == package) {
        match new.get_enum_by_name(kind.full_name()) {
            Some(now) => compare_enum(&kind, &now, &mut found),
            None => found.push(format!("enum {} is gone", kind.full_name())),
        }
    }
    for service in old.services().filter(|s| s.package_name() == package) {
        match new.get_service_by_name(service.full_name()) {
            Some(now) => compare_service(&service, &now, &mut found),
            None => found.push(format!("service {} is gone", service.full_name())),
        }
    }
    found
}

fn compare_field(old: &FieldDescriptor, message: &MessageDescriptor, found: &mut Vec<String>) {
    let subject = format!("field {} ({})", old.full_name(), old.number());
    let Some(new) = message.get_field(old.number()) else {
        found.push(format!("{subject} is gone"));
        return;
    };
    if new.name() != old.name() {
        found.push(format!("{subject} is called {}", new.name()));
    } else if new.json_name() != old.json_name() {
        found.push(format!("{subject} is {} in JSON, was {}", new.json_name(), old.json_name()));
    }
    let mut differs = |was: String, is: String| {
        if was != is {
            found.push(format!("{subject} was {was} and is {is}"));
        }
    };
    differs(kind(old), kind(&new));
    differs(label(old).to_owned(), label(&new).to_owned());
    differs(group(old), group(&new));
}

fn kind(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.full_name().to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn label(field: &FieldDescriptor) -> &'static str {
    match field.cardinality() {
        Cardinality::Repeated => "repeated",
        Cardinality::Optional | Cardinality::Required => "single",
    }
}

/// The oneof that a field stands in; else whether it tells unset from default.
fn group(field: &FieldDescriptor) -> String {
    match field.containing_oneof() {
        Some(oneof) if !oneof.is_synthetic() => format!("in oneof {}", oneof.name()),
        _ if field.supports_presence() => "with presence".to_owned(),
        _ => "without presence".to_owned(),
    }
}

fn compare_enum(old: &EnumDescriptor, new: &EnumDescriptor, found: &mut Vec<String>) {
    for value in old.values() {
        let subject = format!("value {}.{} ({})", old.full_name(), value.name(), value.number());
        match new.get_value(value.number()) {
            None => found.push(format!("{subject} is gone")),
            Some(now) if now.name() != value.name() => found.push(format!("{subject} is called {}", now.name())),
            Some(_) => {}
        }
    }
}

fn compare_service(old: &ServiceDescriptor, new: &ServiceDescriptor, found: &mut Vec<String>) {
    for method in old.methods() {
        let subject = format!("method {}", method.full_name());
        let Some(now) = new.methods().find(|m| m.name() == method.name()) else {
            found.push(format!("{subject} is gone"));
            continue;
        };
        for (what, of) in ASPECTS {
            let (was, is) = (of(&method), of(&now));
            if was != is {
                found.push(format!("{subject}: its {what} was {was} and is {is}"));
            }
        }
    }
}

/// What a method may not change.
type Aspect = (&'static str, fn(&MethodDescriptor) -> String);
const ASPECTS: [Aspect; 7] = [
    ("request", |m| m.input().full_name().to_owned()),
    ("response", |m| m.output().full_name().to_owned()),
    ("client streaming", |m| m.is_client_streaming().to_string()),
    ("server streaming", |m| m.is_server_streaming().to_string()),
    ("lane", |m| option(m, "gogochat.v1.lane")),
    ("openness to callers without a token", |m| option(m, "gogochat.v1.public")),
    ("HTTP rule", |m| option(m, "google.api.http")),
];

/// A method's option as text, "unset" where it has the default.
fn option(method: &MethodDescriptor, name: &str) -> String {
    let pool = method.parent_pool();
    let Some(extension) = pool.get_extension_by_name(name) else { return "unset".to_owned() };
    let options = method.options();
    if options.has_extension(&extension) { options.get_extension(&extension).to_string() } else { "unset".to_owned() }
}
