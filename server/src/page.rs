//! The web page, embedded in the binary when it was built before; otherwise a page that says how to build it.

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../web/app/dist/page"]
#[allow_missing = true]
struct Dist;

/// Serves the page's files. The app keeps its own places behind `#`, so that what is no file is not there.
pub(crate) fn router(csp: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    Router::new().fallback(move |request: Request| {
        let csp = csp();
        async move { serve(&request, &csp) }
    })
}

fn serve(request: &Request, csp: &str) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if request.method() != http::Method::GET && request.method() != http::Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    if let Some(file) = Dist::get(path).filter(|_| !path.is_empty()) {
        return answer(path, file, request, csp);
    }
    if !path.is_empty() {
        return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    }
    match Dist::get("index.html") {
        Some(page) => answer("index.html", page, request, csp),
        None => {
            (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], include_str!("page_missing.html"))
                .into_response()
        }
    }
}

fn answer(path: &str, file: rust_embed::EmbeddedFile, request: &Request, csp: &str) -> Response {
    let etag = format!("\"{}\"", hex(&file.metadata.sha256_hash()));
    let unchanged = request.headers().get(header::IF_NONE_MATCH).is_some_and(|have| have.as_bytes() == etag.as_bytes());
    let body = if unchanged { Body::empty() } else { Body::from(file.data) };
    let mut response = Response::new(body);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    // The bundler puts a hash of the content in the name of everything under assets/.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let mime = if mime.type_() == mime_guess::mime::TEXT { format!("{mime}; charset=utf-8") } else { mime.to_string() };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let csp = csp.to_owned();
    for (name, value) in [(header::CONTENT_SECURITY_POLICY, csp), (header::CONTENT_TYPE, mime), (header::ETAG, etag)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
