//! The pages as they are served: compressed or not, cached, under their policies, on the right listener.

use crate::support::Server;

const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// A header of an answer.
fn header(answer: &str, name: &str) -> Option<String> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(given, _)| given.eq_ignore_ascii_case(name))?;
    Some(found.1.to_owned())
}

/// The first asset of this kind that a page loads.
fn asset(page: &str, ending: &str) -> String {
    let mut quoted = page.split('"').filter(|text| text.starts_with("/assets/"));
    quoted
        .find(|path| path.ends_with(ending))
        .unwrap()
        .to_owned()
}

#[test]
fn pages_are_asked_for_again_and_sent_again_only_when_they_changed() {
    let server = Server::start(&[]);
    for path in ["/", "/monitor", "/scan", "/call", "/login", "/console"] {
        let (status, answer) = server.get(path);
        assert_eq!(status, 200, "{path}");
        assert_eq!(
            header(&answer, "content-type").unwrap(),
            "text/html; charset=utf-8"
        );
        assert_eq!(header(&answer, "cache-control").unwrap(), "no-cache");
        assert_eq!(
            header(&answer, "content-encoding"),
            None,
            "{path}: nobody said that it takes gzip"
        );
        assert!(answer.contains("<!doctype html>"), "{path}");
        let tag = header(&answer, "etag").unwrap();
        let (status, again) = server.http("GET", path, &format!("If-None-Match: {tag}\r\n"), "");
        assert_eq!(status, 304, "{path}");
        assert!(again.ends_with("\r\n\r\n"), "{path}: without a body");
    }
}

#[test]
fn what_belongs_to_pages_is_compressed_and_kept_for_good() {
    let server = Server::start(&[]);
    let page = server.body("/monitor", "");
    for (ending, kind) in [
        (".js", "text/javascript; charset=utf-8"),
        (".css", "text/css; charset=utf-8"),
    ] {
        let path = asset(&page, ending);
        let (status, plain) = server.get(&path);
        assert_eq!(status, 200, "{path}");
        let (status, packed) = server.http("HEAD", &path, GZIP, "");
        assert_eq!(status, 200, "{path}");
        assert_eq!(header(&packed, "content-type").unwrap(), kind);
        assert_eq!(header(&packed, "content-encoding").unwrap(), "gzip");
        assert_eq!(header(&packed, "vary").unwrap(), "accept-encoding");
        assert!(
            header(&packed, "cache-control")
                .unwrap()
                .contains("immutable")
        );
        let length = |answer: &str| {
            header(answer, "content-length")
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        assert!(length(&packed) < length(&plain), "{path}");
    }
    assert_eq!(server.get("/assets/none.js").0, 404);
    assert_eq!(server.get("/assets/").0, 404);
    let (status, _) = server.http("POST", "/monitor", "", "");
    assert_eq!(status, 405);
    assert!(server.body("/metrics", "").lines().any(|line| {
        line.starts_with("signalbox_http_requests_total{")
            && line.contains("route=\"pages\"")
            && !line.ends_with(" 0")
    }));
}

#[test]
fn each_page_may_do_what_it_needs_and_no_more() {
    let server = Server::start(&[(
        "ORDER_URL_TEMPLATE",
        "https://wms.example.com/orders/{orderNo}",
    )]);
    let of = |path: &str, name: &str| header(&server.get(path).1, name).unwrap();
    let policy = |path| of(path, "content-security-policy");
    assert!(policy("/monitor").ends_with("frame-src 'self' https://wms.example.com"));
    assert_eq!(
        of("/monitor", "cross-origin-opener-policy"),
        "same-origin-allow-popups"
    );
    assert!(policy("/scan").contains("script-src 'self' 'wasm-unsafe-eval';"));
    for path in ["/", "/call", "/login", "/console"] {
        assert!(!policy(path).contains("wasm"), "{path}");
        assert!(!policy(path).contains("example.com"), "{path}");
        assert_eq!(of(path, "cross-origin-opener-policy"), "same-origin");
    }
    assert!(
        server
            .body("/monitor", "")
            .contains("https://wms.example.com/orders/{orderNo}")
    );
}

#[test]
fn the_console_is_on_the_operators_listener_where_there_is_one() {
    let server = Server::start(&[("ADMIN_ADDR", "127.0.0.1:0")]);
    assert_eq!(server.get("/console").0, 404);
    assert_eq!(server.get("/monitor").0, 200);
}
