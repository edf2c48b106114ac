//! The pages, the console and what belongs to them: embedded, compressed, made by `web/build.mjs`.

use super::Http;
use crate::{settings::Settings, telemetry::HttpRoute};
use axum::{
    Extension, Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    io::{Read, Write},
    sync::Arc,
};

/// Path, media type and gzip of every file.
static FILES: &[(&str, &str, &[u8])] = &include!("../../web/dist/files.rs");

/// What the pages are told, in the place of this.
const PLACE: &str = "__SIGNALBOX__";
/// Where the files are whose names change with their contents.
const ASSETS: &str = "/assets/";
/// The flow explorer, for operators.
const CONSOLE: &str = "/console";

/// What a page knows of its server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    /// Nobody needs an account.
    development: bool,
    /// Where the page of an order is, with `{orderNo}` in it.
    order_url: Option<&'a str>,
    /// Where phones reach this server, if that is elsewhere.
    origin: Option<&'a str>,
    /// Signaling is for everybody.
    guests: bool,
    version: &'static str,
}

/// One file, ready to be sent.
struct File {
    gzip: Bytes,
    headers: HeaderMap,
}

/// All pages but the console, which is an operator's.
pub(super) fn routes(settings: &Settings) -> Router<Arc<Http>> {
    router(settings, |path| path != CONSOLE, HttpRoute::Pages)
}

/// The console alone: it holds no data, and asks `/api/flows` for it.
pub(super) fn console(settings: &Settings) -> Router<Arc<Http>> {
    router(settings, |path| path == CONSOLE, HttpRoute::Console)
        .route("/console/", get(|| async { Redirect::permanent(CONSOLE) }))
}

fn router(settings: &Settings, which: fn(&str) -> bool, route: HttpRoute) -> Router<Arc<Http>> {
    let mut router = Router::new();
    for (path, kind, gzip) in FILES.iter().filter(|(path, ..)| which(path)) {
        let file = Arc::new(File::new(path, kind, gzip, settings));
        let answer =
            move |headers: HeaderMap| async move { (Extension(route), file.answer(&headers)) };
        router = router.route(path, get(answer));
    }
    router
}

impl File {
    fn new(path: &str, kind: &'static str, gzip: &'static [u8], settings: &Settings) -> Self {
        let asset = path.starts_with(ASSETS);
        let gzip = if asset {
            Bytes::from_static(gzip)
        } else {
            told(gzip, settings)
        };
        let mut headers = HeaderMap::new();
        let cache = if asset {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        // What is sent is the same thing, compressed or not: the tag is a weak one (RFC 9110, section 8.8.1).
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&gzip));
        for (name, value) in [
            (header::CONTENT_TYPE, kind.to_owned()),
            (header::CACHE_CONTROL, cache.to_owned()),
            (header::ETAG, format!("W/\"{hash}\"")),
            (header::VARY, "accept-encoding".to_owned()),
        ] {
            set(&mut headers, name, &value);
        }
        permit(path, &mut headers, settings);
        Self { gzip, headers }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let mut headers = self.headers.clone();
        if asked.get(header::IF_NONE_MATCH) == headers.get(header::ETAG) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        if takes_gzip(asked) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            return (headers, self.gzip.clone()).into_response();
        }
        (headers, unpacked(&self.gzip)).into_response()
    }
}

/// What single pages may do beyond the policy for all (`layers::security_headers`).
fn permit(path: &str, headers: &mut HeaderMap, settings: &Settings) {
    let mut policy = super::layers::POLICY.to_owned();
    match path {
        // Orders open in a frame of their own site, or in a tab that the next order opens in as well.
        "/monitor" => {
            let site = settings.pages.order_site().unwrap_or_default();
            policy = format!("{policy}; frame-src 'self' {site}");
            let opener = HeaderName::from_static("cross-origin-opener-policy");
            set(headers, opener, "same-origin-allow-popups");
        }
        // Barcodes are read by WebAssembly where the browser cannot.
        "/scan" => {
            let scripts = "script-src 'self'";
            policy = policy.replace(scripts, &format!("{scripts} 'wasm-unsafe-eval'"));
        }
        _ => return,
    }
    set(headers, header::CONTENT_SECURITY_POLICY, &policy);
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let codings = asked.get_all(header::ACCEPT_ENCODING).iter();
    codings
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = weight.trim().trim_start_matches("q=").parse() == Ok(0.0);
            matches!(name.trim(), "gzip" | "*") && !refused
        })
}

/// A page with what it is told in it.
fn told(gzip: &[u8], settings: &Settings) -> Bytes {
    let told = Told {
        development: !settings.server.production(),
        order_url: settings.pages.order_url.as_deref(),
        origin: settings.pages.origin.as_deref(),
        guests: settings.rtc.guests,
        version: env!("CARGO_PKG_VERSION"),
    };
    let told = serde_json::to_string(&told).unwrap_or_default();
    let page = String::from_utf8(unpacked(gzip)).unwrap_or_default();
    let page = page.replace(PLACE, &escaped(&told));
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    // Into memory: it cannot fail.
    let _ = packed.write_all(page.as_bytes());
    packed.finish().unwrap_or_default().into()
}

/// For an attribute's value (HTML, section 13.1.2.3).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    // We packed it ourselves.
    let _ = GzDecoder::new(gzip).read_to_end(&mut plain);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Env;

    #[test]
    fn every_page_is_there_and_knows_its_server() {
        let env = Env::from_pairs([(
            "ORDER_URL_TEMPLATE",
            "https://wms.example.com/\"o\"?a&no={orderNo}",
        )]);
        let settings = Settings::read(&env).unwrap();
        for path in ["/", "/monitor", "/scan", "/call", "/login", "/console"] {
            let (_, kind, gzip) = FILES.iter().find(|(p, ..)| *p == path).expect(path);
            let file = File::new(path, kind, gzip, &settings);
            let page = String::from_utf8(unpacked(&file.gzip)).unwrap();
            assert!(page.starts_with("<!doctype html>"), "{path}");
            assert!(!page.contains(PLACE), "{path}");
            if path == "/monitor" {
                assert!(
                    page.contains("wms.example.com/\\&quot;o\\&quot;?a&amp;no={orderNo}"),
                    "{page}"
                );
                let policy = file.headers.get(header::CONTENT_SECURITY_POLICY).unwrap();
                assert!(
                    policy
                        .to_str()
                        .unwrap()
                        .ends_with("frame-src 'self' https://wms.example.com")
                );
            }
        }
    }

    #[test]
    fn files_are_sent_compressed_to_whoever_takes_that() {
        let takes = |said: &str| {
            let mut headers = HeaderMap::new();
            set(&mut headers, header::ACCEPT_ENCODING, said);
            takes_gzip(&headers)
        };
        assert!(takes("gzip, deflate, br") && takes("br;q=1.0, gzip;q=0.8") && takes("*"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("identity"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
