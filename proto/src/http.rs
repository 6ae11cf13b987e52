//! REST by the `google.api.http` options of the methods: which method a verb and path call, and its request from path, query and body.

mod query;

use std::{collections::BTreeSet, sync::LazyLock};

use bytes::Bytes;
use matchit::Router;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::{
    error::{self, ErrorCode, violation},
    json,
    method::{self, Method},
    v1,
};

/// A verb and path that call a method.
#[derive(Debug, Clone)]
pub struct Route {
    method: &'static Method,
    /// The path's fields by proto name, still percent-encoded.
    fields: Vec<(String, String)>,
}

/// Why a verb and path call nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Nothing is at this path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The path takes other verbs.
    #[error("this path takes {allow}")]
    WrongVerb {
        /// The value of the header `Allow` (RFC 9110 section 10.2.1).
        allow: String,
    },
}

/// The method that `verb` calls at `path` (no query), in time that does not grow with the number of methods.
///
/// # Errors
/// The path is unknown, or takes other verbs.
pub fn route(verb: &http::Method, path: &str) -> Result<Route, RouteError> {
    let matched = ROUTER.at(path).map_err(|_| RouteError::NotFound)?;
    // HEAD is GET whose body is left out (RFC 9110 section 9.3.2).
    let wanted = if verb == http::Method::HEAD { &http::Method::GET } else { verb };
    let method = matched
        .value
        .iter()
        .find(|method| method.http.verb == *wanted)
        .ok_or_else(|| RouteError::WrongVerb { allow: allow(matched.value) })?;
    let fields = matched.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Route { method, fields })
}

/// The verbs of a path, for the header `Allow`.
fn allow(methods: &[&Method]) -> String {
    let verbs = methods.iter().map(|method| method.http.verb.as_str());
    let head = verbs.clone().any(|verb| verb == "GET").then_some("HEAD");
    verbs.chain(head).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

impl Route {
    /// The method that is called.
    #[must_use]
    pub fn method(&self) -> &'static Method {
        self.method
    }

    /// The request in protobuf: fields from the path, and the others from the body or from the query, as the method's option has it.
    /// An empty body counts as `{}`.
    ///
    /// # Errors
    /// `body_too_large`, `malformed_body`, or `invalid_argument` with a violation for an unknown field or parameter, a wrong type,
    /// or a field of the body that is not what the path says.
    pub fn request(&self, query: Option<&str>, body: &[u8]) -> Result<Bytes, v1::Error> {
        let body = if body.is_empty() { Value::Object(Map::new()) } else { json::parse(body)? };
        let query = query::parse(query.unwrap_or_default())?;
        let mut fields = match (body, self.method.http.body) {
            (Value::Object(body), true) => {
                if let Some((name, _)) = query.first() {
                    return Err(violation(name, "this method takes its fields in the body, none in the query"));
                }
                body
            }
            (Value::Object(body), false) => {
                if let Some(name) = body.keys().next() {
                    return Err(violation(name, "this method takes its fields in the query, none in the body"));
                }
                query::fields(&self.method.input(), query)?
            }
            _ => return Err(ErrorCode::MalformedBody.with("the body has to be a JSON object")),
        };
        for (name, value) in &self.fields {
            self.set(&mut fields, name, value)?;
        }
        json::encode_body(self.method, &Value::Object(fields))
    }

    /// The response in JSON.
    ///
    /// # Errors
    /// The bytes are not the method's response.
    pub fn response(&self, encoded: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
        json::response_to_json(self.method, encoded)
    }

    /// Puts a field of the path among the others; where the client gave it there too, both have to agree.
    fn set(&self, fields: &mut Map<String, Value>, name: &str, raw: &str) -> Result<(), v1::Error> {
        let input = self.method.input();
        let json_name = input.get_field_by_name(name).map_or_else(|| name.to_owned(), |f| f.json_name().to_owned());
        let value = percent_decode_str(raw).decode_utf8().map_err(|_| violation(&json_name, "not UTF-8"))?;
        for given in [name, json_name.as_str()].into_iter().filter_map(|name| fields.get(name)) {
            if given.as_str() != Some(&*value) {
                return Err(violation(&json_name, "differs from the path"));
            }
        }
        fields.remove(name);
        fields.insert(json_name, Value::String(value.into_owned()));
        Ok(())
    }
}

impl RouteError {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::WrongVerb { .. } => 405,
        }
    }

    /// The error that the body of the answer holds.
    #[must_use]
    pub fn error(&self) -> v1::Error {
        ErrorCode::UnknownMethod.with(self.to_string())
    }
}

/// The HTTP status and JSON body that tell of an error.
#[must_use]
pub fn error_to_json(error: &v1::Error) -> (u16, Vec<u8>) {
    let status = ErrorCode::from_name(&error.code)
        .map_or_else(|| error::http_status(tonic::Code::from(error.status)), ErrorCode::http_status);
    (status, json::error_value(error).to_string().into_bytes())
}

/// Every path with the methods that stand there.
#[allow(clippy::expect_used, reason = "the paths are compiled in; a test routes each")]
static ROUTER: LazyLock<Router<Vec<&'static Method>>> = LazyLock::new(|| {
    let mut paths = std::collections::BTreeMap::<&str, Vec<&'static Method>>::new();
    for method in method::all() {
        paths.entry(&method.http.path).or_default().push(method);
    }
    let mut router = Router::new();
    for (path, methods) in paths {
        router.insert(path, methods).expect("the paths of the contract do not collide");
    }
    router
});

#[cfg(test)]
mod tests;
