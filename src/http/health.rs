//! Is it there, is it ready, what is in it (contract, section 8).

use super::{ApiError, Http};
use crate::event::{Code, Text};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, atomic::Ordering};
use time::{OffsetDateTime, format_description::well_known::Iso8601};

/// The process's memory in bytes, under the names that Node uses. There is no managed heap here:
/// `heapTotal` is the data segment, `heapUsed` what of the process is resident and its own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    rss: u64,
    heap_total: u64,
    heap_used: u64,
}

#[derive(Serialize)]
struct SessionCounts {
    total: usize,
    active: usize,
}

#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    uptime: f64,
    timestamp: String,
    sessions: SessionCounts,
    rooms: usize,
    peers: usize,
    memory: Memory,
    version: &'static str,
}

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

#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionDetail {
    session_id: String,
    has_mobile: bool,
    has_monitor: bool,
    created_at: String,
}

#[derive(Serialize)]
struct Sessions {
    total: usize,
    active: usize,
    details: Vec<SessionDetail>,
    /// For `?after=`, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Status {
    status: &'static str,
    timestamp: String,
    uptime: f64,
    memory: Memory,
    sessions: Sessions,
    rooms: usize,
    peers: usize,
    version: &'static str,
}

/// Most sessions on one page.
const PAGE_MOST: usize = 1000;

pub(super) async fn status(
    State(http): State<Arc<Http>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Status>, ApiError> {
    let Query(page) = page.map_err(|e| {
        ApiError::new(
            &http,
            Code::ValidationError,
            Text::InvalidPayload(e.body_text()),
        )
    })?;
    let totals = (http.sources.sessions)();
    let limit = page.limit.unwrap_or(100).min(PAGE_MOST);
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
pub(super) async fn livez() -> &'static str {
    "ok"
}

/// Clients may be sent here.
pub(super) async fn readyz(State(http): State<Arc<Http>>) -> impl IntoResponse {
    let ready = http.ready.load(Ordering::Relaxed);
    let (code, status) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    };
    (code, Json(json!({ "status": status, "checks": {} })))
}

pub(super) async fn version() -> impl IntoResponse {
    Json(json!({ "name": "signalbox", "version": env!("CARGO_PKG_VERSION") }))
}

/// As JavaScript's `toISOString` writes it.
fn timestamp(at: OffsetDateTime) -> String {
    use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};
    const MILLISECONDS: EncodedConfig = Config::DEFAULT
        .set_year_is_six_digits(false)
        .set_time_precision(TimePrecision::Second {
            decimal_digits: std::num::NonZeroU8::new(3),
        })
        .encode();
    at.format(&Iso8601::<MILLISECONDS>).unwrap_or_default()
}

fn from_ms(unix_ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .map_or_else(|_| String::new(), timestamp)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_those_of_javascript() {
        assert_eq!(from_ms(1_761_102_000_000), "2025-10-22T03:00:00.000Z");
        assert_eq!(from_ms(1_761_102_000_007), "2025-10-22T03:00:00.007Z");
    }
}
