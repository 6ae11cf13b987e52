//! The page that shows the document: static files without anything from elsewhere, fit for `script-src 'self'`.

/// Path, content type and bytes of each file. The page asks for `/openapi.json`.
pub const PAGE: &[(&str, &str, &[u8])] = &[
    ("/docs", "text/html; charset=utf-8", include_bytes!("../../docs-page/index.html")),
    ("/docs/", "text/html; charset=utf-8", include_bytes!("../../docs-page/index.html")),
    ("/docs/docs.js", "text/javascript; charset=utf-8", include_bytes!("../../docs-page/docs.js")),
    ("/docs/docs.css", "text/css; charset=utf-8", include_bytes!("../../docs-page/docs.css")),
];

/// The Content-Security-Policy with which the page is to be served.
pub const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
