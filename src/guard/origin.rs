//! Which sites' browsers may connect. Checked on the upgrade and on polling, not only by CORS headers:
//! a browser sends a WebSocket upgrade whatever CORS says (cross-site WebSocket hijacking).

use http::{HeaderMap, HeaderValue, header};

/// The allowed origins.
#[derive(Debug, Clone)]
pub struct Origins {
    any: bool,
    list: Vec<String>,
}

impl Origins {
    /// From the setting, already checked there.
    pub fn new(list: &[String]) -> Self {
        Self {
            any: list.iter().any(|o| o == "*"),
            list: list.to_vec(),
        }
    }

    /// Every site is let in.
    pub fn allow_any(&self) -> bool {
        self.any
    }

    /// Whether a request with these headers may come in: no `Origin` (not a browser), the server's
    /// own (equal to `Host`), or one of the list.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::ORIGIN)
            .is_none_or(|origin| self.allow_origin(origin, headers.get(header::HOST)))
    }

    /// The same for an origin that is there.
    pub fn allow_origin(&self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        if self.any {
            return true;
        }
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        let own = origin
            .split_once("://")
            .zip(host.and_then(|h| h.to_str().ok()))
            .is_some_and(|((_, authority), host)| authority == host.to_ascii_lowercase());
        own || self.list.contains(&origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &[&str], origin: Option<&str>) -> bool {
        let list: Vec<String> = list.iter().map(|s| (*s).to_owned()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "box.local:3000".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        Origins::new(&list).allow(&headers)
    }

    #[test]
    fn only_listed_origins_the_own_and_none_pass() {
        let list = ["https://app.example.com"];
        assert!(allowed(&list, None));
        assert!(allowed(&list, Some("https://app.example.com")));
        assert!(allowed(&list, Some("http://box.local:3000")));
        for evil in [
            "https://evil.example.com",
            "https://app.example.com.evil.com",
            "https://app.example.com:444",
            "http://app.example.com",
            "null",
            "http://box.local:3001",
        ] {
            assert!(!allowed(&list, Some(evil)), "{evil}");
        }
        assert!(allowed(&["*"], Some("https://evil.example.com")));
    }
}
