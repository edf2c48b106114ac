//! What every HTTP answer goes through: measuring, security headers, the limit on `/api`, operators only.

use super::{ApiError, Http, extract::Address};
use crate::{
    event::{Code, Text},
    guard::bearer,
    telemetry::{HttpRoute, LimitLayer, RejectReason},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Instant};

/// Measures by route template; an unknown path is never a label.
pub(super) async fn observe(
    State(http): State<Arc<Http>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let route = HttpRoute::ALL
        .iter()
        .copied()
        // A method that the route does not take is nothing of that route.
        .find(|r| Some(r.as_str()) == path && request.method().as_str() == r.method())
        .unwrap_or(HttpRoute::Other);
    let response = next.run(request).await;
    // Files say themselves what they are.
    let route = response.extensions().get().copied().unwrap_or(route);
    http.telemetry
        .metrics
        .http(route, response.status().as_u16(), began.elapsed());
    response
}

/// What pages may load and do: their own server's things alone.
pub(super) const POLICY: &str = "default-src 'self'; base-uri 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'self'; img-src 'self' data:; object-src 'none'; script-src 'self'; script-src-attr 'none'; style-src 'self'; connect-src 'self' ws: wss:";

/// The headers that helmet sets by default.
pub(super) async fn security_headers(
    State(http): State<Arc<Http>>,
    request: Request,
    next: Next,
) -> Response {
    const HEADERS: [(&str, &str); 11] = [
        ("content-security-policy", POLICY),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("origin-agent-cluster", "?1"),
        ("referrer-policy", "no-referrer"),
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-dns-prefetch-control", "off"),
        ("x-download-options", "noopen"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-permitted-cross-domain-policies", "none"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        // Whoever has promised to come back by TLS alone never hears of a certificate that is not trusted.
        if name == "strict-transport-security" && http.settings.pages.origin.is_some() {
            continue;
        }
        response
            .headers_mut()
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Nothing for whoever is blocked, but probes: they are not the ones that are meant.
pub(super) async fn blocked(
    State(http): State<Arc<Http>>,
    request: Request,
    next: Next,
) -> Response {
    const PROBES: [&str; 4] = ["/livez", "/readyz", "/health", "/metrics"];
    let address = Address::of(&http, request.extensions(), request.headers());
    let blocked = http.blocks.blocked(&address, Instant::now());
    if !blocked || PROBES.contains(&request.uri().path()) || is_admin(&http, request.headers()) {
        return next.run(request).await;
    }
    http.telemetry.metrics.reject(RejectReason::Blocked);
    ApiError::new(&http, Code::Forbidden, Text::Blocked).into_response()
}

/// Limits `/api` by address. Calls with an admin token are not limited.
pub(super) async fn api_limit(
    State(http): State<Arc<Http>>,
    request: Request,
    next: Next,
) -> Response {
    if !limited(&http, &request) {
        return next.run(request).await;
    }
    let budget = http
        .api
        .check(&Address::of(&http, request.extensions(), request.headers()));
    let mut response = if budget.pass {
        next.run(request).await
    } else {
        http.telemetry.metrics.rate_limited(LimitLayer::Http);
        ApiError::new(&http, Code::RateLimit, Text::TooManyRequests)
            .retry_after(budget.reset)
            .into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("ratelimit-limit", u64::from(budget.limit)),
        ("ratelimit-remaining", u64::from(budget.remaining)),
        ("ratelimit-reset", budget.reset.as_secs()),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    response
}

fn limited(http: &Http, request: &Request) -> bool {
    let path = request.uri().path();
    let under = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|p| p.is_empty() || p.starts_with('/'))
    };
    let operations = under("/api/flows") || under("/api/admin");
    under("/api")
        && !is_admin(http, request.headers())
        && !(operations && may_look_inside(http, request.headers()))
}

fn is_admin(http: &Http, headers: &HeaderMap) -> bool {
    bearer(headers)
        .and_then(|token| http.verifier.verify(token).ok())
        .is_some_and(|identity| identity.admin)
}

/// Whether `METRICS_TOKEN` was given, or none is set.
fn is_operator(http: &Http, headers: &HeaderMap) -> bool {
    http.settings
        .telemetry
        .metrics_token
        .as_ref()
        .is_none_or(|wanted| {
            // Hashes are compared, so that the time it takes says nothing about the token.
            bearer(headers).is_some_and(|given| Sha256::digest(given) == Sha256::digest(wanted))
        })
}

/// In production flows are for admins alone (contract, section 8).
fn may_look_inside(http: &Http, headers: &HeaderMap) -> bool {
    let development = !http.settings.server.production();
    is_admin(http, headers) || (development && is_operator(http, headers))
}

/// Asks for `METRICS_TOKEN`, if one is set.
pub(super) async fn operators_only(
    State(http): State<Arc<Http>>,
    request: Request,
    next: Next,
) -> Response {
    only(is_operator(&http, request.headers()), &http, request, next).await
}

/// Asks for an admin's token; in development only if `METRICS_TOKEN` is set, which does as well.
pub(super) async fn admins_only(
    State(http): State<Arc<Http>>,
    request: Request,
    next: Next,
) -> Response {
    only(
        may_look_inside(&http, request.headers()),
        &http,
        request,
        next,
    )
    .await
}

async fn only(may: bool, http: &Http, request: Request, next: Next) -> Response {
    if may {
        next.run(request).await
    } else {
        ApiError::new(http, Code::AuthError, Text::AdminOnly).into_response()
    }
}
