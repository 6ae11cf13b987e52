//! The page from the binary: compressed as it was built, and cached by name.
//! Where the page was not built, the binary says so.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, net::SocketAddr, path::Path};

use ::http::Request;
use gogochat_testkit::{
    http::{self, Answer},
    process::Dev,
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
/// What `npm run build` in web/ makes.
const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/app/dist/page");

#[tokio::test]
async fn each_file_comes_as_it_was_compressed_and_once() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    if !Path::new(BUILT).exists() {
        let page = ask(dev.http, "GET", "/", &[("accept-encoding", "br")]).await;
        assert!(String::from_utf8_lossy(&page.body).contains("built without the web page"));
        return;
    }
    let page = ask(dev.http, "GET", "/", &[]).await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let script = html.split('"').find(|text| text.starts_with("/assets/") && text.ends_with(".js")).unwrap();

    for (path, name, cache) in [
        ("/", "/index.html", "no-cache"),
        ("/icon.svg", "/icon.svg", "no-cache"),
        (script, script, "public, max-age=31536000, immutable"),
    ] {
        for (accept, coding, suffix) in
            [("gzip, deflate, br, zstd", "br", ".br"), ("gzip, deflate", "gzip", ".gz"), ("deflate", "", "")]
        {
            let bytes = fs::read(format!("{BUILT}{name}{suffix}")).unwrap();
            let whole = ask(dev.http, "GET", path, &[("accept-encoding", accept)]).await;
            assert_eq!((whole.status, whole.body == bytes), (200, true), "{path} {accept}");
            assert_eq!(header(&whole, "content-encoding"), coding, "{path} {accept}");
            assert_eq!(header(&whole, "content-length"), bytes.len().to_string(), "{path} {accept}");
            assert_eq!(header(&whole, "vary"), "accept-encoding", "{path} {accept}");
            assert_eq!(header(&whole, "cache-control"), cache, "{path} {accept}");

            let head = ask(dev.http, "HEAD", path, &[("accept-encoding", accept)]).await;
            assert_eq!((head.status, head.body.len()), (200, 0), "{path} {accept}");
            let tag = header(&whole, "etag");
            let unchanged = ask(dev.http, "GET", path, &[("accept-encoding", accept), ("if-none-match", tag)]).await;
            assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{path} {accept}");
            for same in ["etag", "vary", "cache-control", "content-security-policy"] {
                assert_eq!(header(&head, same), header(&whole, same), "{path} {accept}");
                assert_eq!(header(&unchanged, same), header(&whole, same), "{path} {accept}");
            }
            assert_eq!(header(&head, "content-length"), bytes.len().to_string(), "{path} {accept}");
        }
    }
    for hidden in
        [format!("{script}.br"), format!("{script}.gz"), "/.vite/manifest.json".into(), "/manifest.json".into()]
    {
        assert_eq!(ask(dev.http, "GET", &hidden, &[]).await.status, 404, "{hidden}");
    }
}

async fn ask(address: SocketAddr, verb: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(verb).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    http::send(address, request.body(Default::default()).unwrap()).await.unwrap()
}

/// Empty where it is missing.
fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}
