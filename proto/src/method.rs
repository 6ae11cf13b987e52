//! The methods of the public services, read from their descriptors: how each travels, who may call it, where REST has it.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor, Value};

/// The descriptors of every `.proto` file, as a `FileDescriptorSet` (for reflection and code generators).
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.binpb");

/// The descriptors, parsed.
#[allow(clippy::expect_used, reason = "the bytes are compiled in; a test reads them")]
pub static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the committed descriptors"));

static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    POOL.services()
        .filter(|service| service.package_name() == "gogochat.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|descriptor| (name(&descriptor), Method::read(descriptor)))
        .collect()
});

/// A method of a public service.
#[derive(Debug, Clone)]
pub struct Method {
    /// The gRPC path without the first slash: "gogochat.v1.ChatService/SendMessage".
    pub name: String,
    /// Whether its calls travel in order, on the session's stream.
    pub ordered: bool,
    /// Whether its request carries a `client_msg_id`, under which it is repeated: such calls alone hold back later ones of their key, and are held back.
    pub repeatable: bool,
    /// Whether it may be called without a token.
    pub public: bool,
    /// Whether it is for administrators alone.
    pub administrator: bool,
    /// Where REST has it.
    pub http: HttpRule,
    /// The descriptor, with its messages and comments.
    pub descriptor: MethodDescriptor,
}

/// The `google.api.http` option of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// GET, PUT, POST, DELETE or PATCH.
    pub verb: http::Method,
    /// "/v1/conversations/{conversation_id}/events": names of request fields in braces.
    pub path: String,
    /// Whether the request's other fields are a JSON body; else they are query parameters.
    pub body: bool,
}

impl Method {
    /// The request message.
    #[must_use]
    pub fn input(&self) -> MessageDescriptor {
        self.descriptor.input()
    }

    /// The response message.
    #[must_use]
    pub fn output(&self) -> MessageDescriptor {
        self.descriptor.output()
    }

    fn read(descriptor: MethodDescriptor) -> Self {
        let options = descriptor.options();
        let option = |name: &str| {
            POOL.get_extension_by_name(name).map(|extension| options.get_extension(&extension).into_owned())
        };
        Self {
            name: name(&descriptor),
            ordered: option("gogochat.v1.lane").and_then(|lane| lane.as_enum_number()) == Some(1),
            repeatable: descriptor.input().get_field_by_name("client_msg_id").is_some(),
            public: option("gogochat.v1.public").and_then(|public| public.as_bool()) == Some(true),
            administrator: option("gogochat.v1.administrator").and_then(|only| only.as_bool()) == Some(true),
            http: option("google.api.http")
                .map_or_else(|| HttpRule::fallback(&descriptor), |rule| HttpRule::read(&rule)),
            descriptor,
        }
    }
}

impl HttpRule {
    fn read(rule: &Value) -> Self {
        let text = |field: &str| {
            rule.as_message()
                .and_then(|message| {
                    message.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned))
                })
                .filter(|text| !text.is_empty())
        };
        let verbs = [
            ("get", http::Method::GET),
            ("put", http::Method::PUT),
            ("post", http::Method::POST),
            ("delete", http::Method::DELETE),
            ("patch", http::Method::PATCH),
        ];
        let (verb, path) = verbs
            .into_iter()
            .find_map(|(field, verb)| text(field).map(|path| (verb, path)))
            .unwrap_or((http::Method::POST, String::new()));
        Self { verb, path, body: text("body").is_some() }
    }

    /// A method without the option; a test sees to it that there is none.
    fn fallback(descriptor: &MethodDescriptor) -> Self {
        Self { verb: http::Method::POST, path: format!("/v1/{}", descriptor.full_name()), body: true }
    }
}

/// The method of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Method> {
    METHODS.get(name)
}

/// Every method, in no order.
pub fn all() -> impl Iterator<Item = &'static Method> {
    METHODS.values()
}

fn name(descriptor: &MethodDescriptor) -> String {
    format!("{}/{}", descriptor.parent_service().full_name(), descriptor.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let send = find("gogochat.v1.ChatService/SendMessage").unwrap();
        assert!(send.ordered && send.repeatable && !send.public);
        let mark = find("gogochat.v1.ChatService/Mark").unwrap();
        assert!(mark.ordered && !mark.repeatable);
        assert_eq!(
            send.http,
            HttpRule {
                verb: http::Method::POST,
                path: "/v1/conversations/{conversation_id}/messages".into(),
                body: true
            }
        );
        let log_in = find("gogochat.v1.AccountService/LogIn").unwrap();
        assert!(log_in.public && !log_in.ordered);
    }

    #[test]
    fn every_method_has_a_route_of_its_own() {
        let mut routes: Vec<_> = all().map(|m| format!("{} {}", m.http.verb, m.http.path)).collect();
        assert!(routes.len() > 20);
        assert!(
            all()
                .all(|m| m.descriptor.options().has_extension(&POOL.get_extension_by_name("google.api.http").unwrap()))
        );
        routes.sort();
        let count = routes.len();
        routes.dedup();
        assert_eq!(routes.len(), count);
    }
}
