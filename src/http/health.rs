//! Is it there, is it ready, what is in it (contract, section 8).

use super::{
    ApiError, Http,
    error::ErrorBody,
    extract::Asked,
    timestamp::{from_ms, timestamp},
};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, atomic::Ordering};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

/// The process's memory in bytes, under the names that Node uses. There is no managed heap here:
/// `heapTotal` is the data segment, `heapUsed` what of the process is resident and its own.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Memory {
    rss: u64,
    heap_total: u64,
    heap_used: u64,
}

/// How many scan sessions there are.
#[derive(Serialize, ToSchema)]
struct SessionCounts {
    total: usize,
    active: usize,
}

/// What there is at the moment.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: &'static str,
    uptime: f64,
    #[schema(format = DateTime)]
    timestamp: String,
    sessions: SessionCounts,
    rooms: usize,
    peers: usize,
    memory: Memory,
    version: &'static str,
}

/// The process, in the form of the original servers.
#[utoipa::path(get, path = "/health", tag = "operations", responses((status = 200, body = Health, description = "It answers")))]
pub(super) async fn health(State(http): State<Arc<Http>>) -> Json<Health> {
    let sessions = (http.sources.sessions)();
    Json(Health {
        status: "ok",
        uptime: http.started.elapsed().as_secs_f64(),
        timestamp: timestamp(OffsetDateTime::now_utc()),
        sessions: SessionCounts {
            total: sessions.total,
            active: sessions.active,
        },
        rooms: (http.sources.rooms)(),
        peers: (http.sources.peers)(),
        memory: memory(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// A page of sessions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// At most so many; more than 1000 are cut to that.
    #[param(value_type = Option<usize>, maximum = 4_294_967_295_u32, default = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// A scan session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionDetail {
    session_id: String,
    has_mobile: bool,
    has_monitor: bool,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A page of scan sessions.
#[derive(Serialize, ToSchema)]
struct Sessions {
    total: usize,
    active: usize,
    details: Vec<SessionDetail>,
    /// For `?after=`, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// What there is at the moment, with the scan sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    status: &'static str,
    #[schema(format = DateTime)]
    timestamp: String,
    uptime: f64,
    memory: Memory,
    sessions: Sessions,
    rooms: usize,
    peers: usize,
    version: &'static str,
}

/// Sessions on a page, unless asked for otherwise.
const PAGE: u32 = 100;
/// Most sessions on one page.
const PAGE_MOST: u32 = 1000;

/// What is in it: scan sessions, by page.
#[utoipa::path(get, path = "/status", tag = "operations", params(Page), security((), ("operator" = [])),
    responses((status = 200, body = Status, description = "A page of scan sessions, and the totals"), (status = 400, body = ErrorBody, description = "VALIDATION_ERROR: a parameter is not as described"),
        (status = 401, body = ErrorBody, description = "AUTH_ERROR: METRICS_TOKEN is set and was not given")))]
pub(super) async fn status(
    State(http): State<Arc<Http>>,
    Asked(page): Asked<Page>,
) -> Result<Json<Status>, ApiError> {
    let totals = (http.sources.sessions)();
    let limit = page.limit.unwrap_or(PAGE).min(PAGE_MOST) as usize;
    let mut found = (http.sources.session_page)(page.after.as_deref(), limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|s| s.session.as_str().to_owned());
    let details = found.into_iter().map(|s| SessionDetail {
        session_id: s.session.as_str().to_owned(),
        has_mobile: s.status.has_mobile,
        has_monitor: s.status.has_monitor,
        created_at: from_ms(s.created_ms),
    });
    Ok(Json(Status {
        status: "running",
        timestamp: timestamp(OffsetDateTime::now_utc()),
        uptime: http.started.elapsed().as_secs_f64(),
        memory: memory(),
        sessions: Sessions {
            total: totals.total,
            active: totals.active,
            details: details.collect(),
            next,
        },
        rooms: (http.sources.rooms)(),
        peers: (http.sources.peers)(),
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// The process runs. Nothing is looked at: a restart would not help a part that is away.
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200, content_type = "text/plain", body = String, description = "It runs")))]
pub(super) async fn livez() -> &'static str {
    "ok"
}

/// The parts that this server needs, each `up` or `away`.
#[derive(Serialize, ToSchema)]
struct Checks {
    store: &'static str,
}

/// Whether clients may come.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ready` or `draining`.
    status: &'static str,
    /// A part is away; the others go on without it, so clients are still welcome.
    degraded: bool,
    checks: Checks,
}

/// Clients may be sent here.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, body = Ready, description = "They may"), (status = 503, body = Ready, description = "It is starting or stopping")))]
pub(super) async fn readyz(State(http): State<Arc<Http>>) -> (StatusCode, Json<Ready>) {
    let (code, status) = if http.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    };
    let up = http.store.up();
    let ready = Ready {
        status,
        degraded: !up,
        checks: Checks {
            store: if up { "up" } else { "away" },
        },
    };
    (code, Json(ready))
}

/// What runs here.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    name: &'static str,
    version: &'static str,
}

/// Which version this is.
#[utoipa::path(get, path = "/version", tag = "operations", responses((status = 200, body = Version, description = "Name and version")))]
pub(super) async fn version() -> Json<Version> {
    Json(Version {
        name: "signalbox",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Memory from /proc/self/statm (proc(5)): size, resident, shared, text, lib, data, in pages.
fn memory() -> Memory {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Vec<u64> = statm
        .split(' ')
        .filter_map(|n| n.trim().parse().ok())
        .collect();
    let field = |i: usize| pages.get(i).copied().unwrap_or_default() * PAGE;
    Memory {
        rss: field(1),
        heap_total: field(5),
        heap_used: field(1).saturating_sub(field(2)),
    }
}
