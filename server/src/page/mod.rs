//! The web page over HTTP. Its files are embedded in the binary if they were built before it.
//! Otherwise there is one page, which says how to build them.
//!
//! Each file is sent in the form that the request accepts: as it is, or as one of the compressed
//! variants that the build has put beside it. Nothing is compressed or decompressed here.

mod conditional;
mod file;
mod negotiate;
#[cfg(test)]
mod tests;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use self::{
    conditional::has_current,
    file::{File, built},
    negotiate::{Coding, in_preference},
};

/// Serves the page's files. The app routes behind `#`, so any path without a file is a 404.
/// `csp` is the Content-Security-Policy of the moment.
pub(crate) fn router(csp: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    serving(built, csp)
}

/// Looks a file up by its name, such as `assets/index.js`.
type Files = fn(&str) -> Option<File>;

fn serving(files: Files, csp: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    Router::new().fallback(move |request: Request| {
        let response = serve(files, &request, &csp());
        async move { response }
    })
}

fn serve(files: Files, request: &Request, csp: &str) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let path = request.uri().path();
    if let Some(name) = public_name(path) {
        for coding in in_preference(request.headers()) {
            if let Some(file) = files(&format!("{name}{}", coding.suffix())) {
                return respond(name, coding, file, request, csp);
            }
        }
    }
    if path == "/" {
        let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, REVALIDATE)];
        return (headers, include_str!("missing.html")).into_response();
    }
    // A file that another version of the page has may be here a moment later, as in an upgrade.
    (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], "there is nothing here\n").into_response()
}

/// The name of the file that a path asks for. `None` for a compressed variant, which has no path
/// of its own, and for hidden files and `..`: a debug build looks names up on the disk.
fn public_name(path: &str) -> Option<&str> {
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name => name,
    };
    let is_plain = name.split('/').all(|segment| !segment.is_empty() && !segment.starts_with('.'));
    (is_plain && !Coding::COMPRESSED.iter().any(|coding| name.ends_with(coding.suffix()))).then_some(name)
}

/// Sends `file`, which is what the build stored of `name` in this coding.
fn respond(name: &str, coding: Coding, file: File, request: &Request, csp: &str) -> Response {
    let etag = file.etag();
    let length = file.bytes.len();
    let unchanged = has_current(request.headers(), &etag);
    // axum removes the body of an answer to HEAD.
    let mut response = Response::new(if unchanged { Body::empty() } else { Body::from(file.bytes) });
    let headers = response.headers_mut();
    // The bundler puts a hash of the content in the name of everything under assets/.
    let cache = if name.starts_with("assets/") { FOREVER } else { REVALIDATE };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // The length of a 200 to GET, also where no body follows (RFC 9110 section 8.6).
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    insert(headers, header::CONTENT_SECURITY_POLICY, csp);
    insert(headers, header::ETAG, &etag);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    insert(headers, header::CONTENT_TYPE, &content_type(name));
    if let Some(coding) = coding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn content_type(name: &str) -> String {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    if mime.type_() == mime_guess::mime::TEXT { format!("{mime}; charset=utf-8") } else { mime.to_string() }
}

/// Leaves the header out if it cannot have this value.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `Cache-Control` of a file whose name changes with its content: good for a year without asking.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// `Cache-Control` of all else: ask each time, by ETag.
const REVALIDATE: &str = "no-cache";
