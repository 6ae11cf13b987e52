//! The router over a few files in memory, and over none.

use std::borrow::Cow;

use axum::body::{Bytes, to_bytes};
use tower::ServiceExt as _;

use super::*;

/// A script with both variants, a style with none, a text where gzip alone is smaller.
fn files(name: &str) -> Option<File> {
    const FILES: &[(&str, &[u8])] = &[
        ("index.html", b"<!doctype html>"),
        ("index.html.br", b"page br"),
        ("index.html.gz", b"page gz"),
        ("assets/a-1.js", b"the script"),
        ("assets/a-1.js.br", b"js br"),
        ("assets/a-1.js.gz", b"js gzip"),
        ("assets/b-2.css", b"style"),
        ("icon.svg", b"<svg/>"),
        ("note.txt", b"some text"),
        ("note.txt.gz", b"txt gz"),
        (".hidden", b"of no concern"),
        ("assets/.hidden", b"of no concern"),
    ];
    let (at, (_, bytes)) = FILES.iter().enumerate().find(|(_, (own, _))| *own == name)?;
    Some(File { bytes: Cow::Borrowed(*bytes), hash: [u8::try_from(at).unwrap(); 32] })
}

fn nothing(_: &str) -> Option<File> {
    None
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

async fn ask(files: Files, verb: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(verb).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let router = serving(files, || "default-src 'self'".to_owned());
    let (parts, body) = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: to_bytes(body, 10_000).await.unwrap() }
}

async fn get(path: &str, accept: &str) -> Answer {
    ask(files, "GET", path, &[("accept-encoding", accept)]).await
}

#[tokio::test]
async fn each_file_comes_in_the_coding_that_is_asked_for_and_there() {
    let cases = [
        ("/", "br, gzip", "page br", Some("br"), "text/html; charset=utf-8"),
        ("/index.html", "gzip", "page gz", Some("gzip"), "text/html; charset=utf-8"),
        ("/", "", "<!doctype html>", None, "text/html; charset=utf-8"),
        ("/assets/a-1.js", "gzip, br", "js br", Some("br"), "text/javascript; charset=utf-8"),
        ("/assets/a-1.js?v=1", "gzip, br;q=0", "js gzip", Some("gzip"), "text/javascript; charset=utf-8"),
        ("/assets/a-1.js", "deflate", "the script", None, "text/javascript; charset=utf-8"),
        ("/assets/b-2.css", "br, gzip", "style", None, "text/css; charset=utf-8"),
        ("/icon.svg", "br, identity;q=0", "<svg/>", None, "image/svg+xml"),
        ("/note.txt", "br, gzip;q=0.1", "txt gz", Some("gzip"), "text/plain; charset=utf-8"),
        ("/note.txt", "br, identity, gzip;q=0.1", "some text", None, "text/plain; charset=utf-8"),
    ];
    for (path, accept, body, coding, kind) in cases {
        let answer = get(path, accept).await;
        assert_eq!((answer.status, &answer.body[..]), (200, body.as_bytes()), "{path}: {accept}");
        assert_eq!((answer.header("content-encoding"), answer.header("content-type")), (coding, Some(kind)), "{path}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{path}");
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()), "{path}");
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'self'"));
        assert_eq!(
            (answer.header("x-content-type-options"), answer.header("referrer-policy")),
            (Some("nosniff"), Some("no-referrer"))
        );
        let cache = if path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
    }
}

#[tokio::test]
async fn a_file_that_the_caller_has_is_not_sent_again() {
    let mut tags = Vec::new();
    for accept in ["br", "gzip", ""] {
        let whole = get("/assets/a-1.js", accept).await;
        let tag = whole.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let (weak, listed) = (format!("W/{tag}"), format!("\"other\", {tag}"));
        for verb in ["GET", "HEAD"] {
            for have in [&tag, &weak, &listed, "*"] {
                let headers = [("accept-encoding", accept), ("if-none-match", have)];
                let answer = ask(files, verb, "/assets/a-1.js", &headers).await;
                assert_eq!((answer.status, answer.body.len()), (304, 0), "{have}");
                // As in the whole answer, also the length that it would have; but nothing about a
                // body that is not there.
                let mut expected = whole.headers.clone();
                expected.remove("content-type").unwrap();
                expected.remove("content-encoding");
                assert_eq!(answer.headers, expected, "{have}");
            }
        }
        tags.push(tag);
    }
    // Each variant has its own: one of another variant is another.
    for (accept, have) in [("br", 1), ("br", 2), ("gzip", 0), ("", 0)] {
        let headers = [("accept-encoding", accept), ("if-none-match", tags[have].as_str())];
        assert_eq!(ask(files, "GET", "/assets/a-1.js", &headers).await.status, 200, "{accept:?}: {have}");
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "{tags:?}");
    // Nothing is matched by `*` where nothing is.
    assert_eq!(ask(files, "GET", "/nothing", &[("if-none-match", "*")]).await.status, 404);
}

#[tokio::test]
async fn head_says_what_get_sends() {
    for path in ["/", "/assets/a-1.js", "/icon.svg"] {
        for accept in ["br", "gzip", ""] {
            let whole = get(path, accept).await;
            let head = ask(files, "HEAD", path, &[("accept-encoding", accept)]).await;
            assert_eq!((head.status, head.body.len(), head.headers), (200, 0, whole.headers), "{path}: {accept}");
        }
    }
    let nothing = ask(files, "HEAD", "/nothing", &[]).await;
    assert_eq!((nothing.status, nothing.body.len()), (404, 0));
    let post = ask(files, "POST", "/", &[]).await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn what_is_no_file_of_the_page_is_not_there() {
    let paths = [
        "/assets/a-1.js.br",
        "/assets/a-1.js.gz",
        "/index.html.br",
        "/.hidden",
        "/assets/.hidden",
        "/assets/../icon.svg",
        "/./icon.svg",
        "//icon.svg",
        "//",
        "/assets//a-1.js",
        "/assets/",
        "/assets",
        "/chats",
        "*",
    ];
    for path in paths {
        for files in [files, nothing] {
            let answer = ask(files, "GET", path, &[("accept-encoding", "br, gzip")]).await;
            assert_eq!((answer.status, answer.header("content-encoding")), (404, None), "{path}");
        }
    }
}

#[tokio::test]
async fn without_a_build_there_is_a_page_that_says_so() {
    let page = ask(nothing, "GET", "/", &[("accept-encoding", "br"), ("if-none-match", "*")]).await;
    assert_eq!((page.status, page.header("content-encoding")), (200, None));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert_eq!(&page.body[..], include_bytes!("missing.html"));
    let head = ask(nothing, "HEAD", "/", &[]).await;
    assert_eq!((head.status, head.body.len(), head.headers), (200, 0, page.headers));
    assert_eq!(ask(nothing, "GET", "/index.html", &[]).await.status, 404);
}
